"""
### Train one model for each region, and promote those that earn it

**When:** weekly, and by hand.  **Work, for each region:** check the landed events → build features → check them → build labels →
check them → train → evaluate on a window that training never saw → promote.

| parameter | meaning |
|---|---|
| `regions` | which regions; all of the configuration unless chosen |
| `score_date` | train with what was known on that day (UTC); empty: the day of the run's logical date |
| `device` | `cpu`, `cuda` (an error where there is none) or `auto` |
| `force` | compute again what is already there |

**What to expect.** `land` brings in every day that the training windows need and that has not landed, in one job.  One region
that fails does not stop another; the run is then red at the end, the other regions are done.  Running a day again skips
what is finished.

A challenger that does not beat both baselines, or is worse than the champion, is **not** promoted: `promote` ends as *skipped*,
because nothing is broken, and says why in its log and in its XCom `reason`.  The champion stays.  New champions are
announced as one event of the asset `propensity_champion`, which starts `propensity_score` for them.

**When it fails.** A red task's log ends with one line that says what is wrong and what to do.  Refusals (wrong input, a gate) are
not retried; everything else is, twice.  Training takes the pool `gpu`, whichever device it runs on: `auto` decides on the worker.
"""

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain, get_current_context, task, task_group

from propensity.config import load_config
from propensity_airflow import facts
from propensity_airflow.defaults import ACTIVITY, CHAMPION, GPU, LANDING, RUN_TIMEOUT, SPARK, TASK_DEFAULTS
from propensity_airflow.job_operator import job
from propensity_airflow.promotion import announce_champions
from propensity_airflow.schedule import BEGINNING, timetable

config = load_config()

with DAG(
    "propensity_train",
    doc_md=__doc__,
    schedule=timetable(config.runtime.schedule.train, config.runtime.schedule),
    start_date=BEGINNING,
    catchup=config.runtime.schedule.catchup,
    params=facts.form(config, device=True),
    default_args=TASK_DEFAULTS,
    dagrun_timeout=RUN_TIMEOUT,
    max_active_runs=1,
    tags=["propensity", "training"],
):

    @task
    def plan() -> list[str]:
        """Check the run's facts; return its regions."""
        return facts.plan(get_current_context())

    run: Any = plan()
    day = {"score_date": run["score_date"]}
    redo = {"force": run["force"]}
    window = {"purpose": "training", **redo}

    landed = job("land", {**day, **window}, pool=LANDING)  # all regions at once
    run >> landed

    @task_group
    def each_region(region: str) -> Any:
        """Train one region; return what became of its challenger."""
        here = {"region": region, **day}
        news = {"stage": "events", **here, **window, "landing": landed.told("landing")}
        gate_events = job("gate", news, task_id="gate_events", outlets=[ACTIVITY])
        features = job("features", {**here, **window}, pool=SPARK)
        gate_features = job("gate", {"stage": "features", **here, **window}, task_id="gate_features")
        labels = job("labels", {**here, **redo}, pool=SPARK)
        gate_labels = job("gate", {"stage": "labels", **here, **window}, task_id="gate_labels")
        train = job("train", {**here, "device": run["device"], **redo}, pool=GPU)
        evaluate = job("evaluate", {**here, "version": train.told("version"), **redo})
        promote = job("promote", {**here, "version": train.told("version")}, skip_unless="promoted")
        chain(gate_events, features, gate_features, labels, gate_labels, train, evaluate, promote)
        return promote.output

    @task(trigger_rule="all_done", outlets=[CHAMPION])
    def announce(outcomes: list[dict[str, Any]]) -> list[str]:
        """Announce the new champions, whatever became of the other regions."""
        return announce_champions(outcomes, get_current_context())

    # The last task decides a run's colour: without this one, `announce` would hide that a region failed.
    every_region = EmptyOperator(task_id="every_region", trigger_rule="none_failed")

    outcomes: Any = each_region.expand(region=run)
    chain([outcomes, announce(outcomes)], every_region)
