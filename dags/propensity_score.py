"""
### Score every customer of each region, and publish

**When:** daily; when a new champion is announced; and by hand.  **Work, for each region:** check the landed events → build
features → score with the champion → measure drift → check the scores → publish to the scores table and the database.

| parameter | meaning |
|---|---|
| `regions` | which regions; all of the configuration unless chosen |
| `score_date` | score with what was known on that day (UTC); empty: the day of the run's logical date |
| `force` | compute again what is already there |

**What to expect.** `land` brings in the days of the features' window that have not landed: a daily run lands one day.  The
champion is looked up once, in `champion`; its version and digest are passed on, so a run never mixes two models.  One region
that fails does not stop another; what was published before stays as it was.  Running a day again, by hand or in a backfill,
leaves exactly one set of rows and skips what is finished.  A run that an announcement started scores the announced regions, for
the day they were trained for.

**A week again:** `airflow backfill create --dag-id propensity_score --from-date 2017-12-26 --to-date 2018-01-01`

**When it fails.** A red task's log ends with one line that says what is wrong and what to do.  Refusals (wrong input, a gate, no
champion) are not retried; everything else is, twice.
"""

from typing import Any

from airflow.sdk import DAG, chain, get_current_context, task, task_group

from propensity.config import load_config
from propensity_airflow import facts
from propensity_airflow.defaults import ACTIVITY, CHAMPION, LANDING, RUN_TIMEOUT, SCORES, SPARK, TASK_DEFAULTS
from propensity_airflow.job_operator import job
from propensity_airflow.schedule import BEGINNING, timetable_or

config = load_config()

with DAG(
    "propensity_score",
    doc_md=__doc__,
    schedule=timetable_or(CHAMPION, config.runtime.schedule.score, config.runtime.schedule),
    start_date=BEGINNING,
    catchup=config.runtime.schedule.catchup,
    params=facts.form(config),
    default_args=TASK_DEFAULTS,
    dagrun_timeout=RUN_TIMEOUT,
    max_active_runs=2,
    tags=["propensity", "scoring"],
):

    @task
    def plan() -> list[str]:
        """Check the run's facts; return its regions."""
        return facts.plan(get_current_context(), CHAMPION)

    run: Any = plan()
    day = {"score_date": run["score_date"]}
    redo = {"force": run["force"]}
    window = {"purpose": "scoring", **redo}

    landed = job("land", {**day, **window}, pool=LANDING)  # all regions at once
    run >> landed

    @task_group
    def each_region(region: str) -> None:
        """Score and publish one region."""
        here = {"region": region, **day}
        champion = job("champion", {"region": region})
        model = {"version": champion.told("version"), "digest": champion.told("digest")}
        news = {"stage": "events", **here, **window, "landing": landed.told("landing")}
        gate_events = job("gate", news, task_id="gate_events", outlets=[ACTIVITY])
        features = job("features", {**here, **window}, pool=SPARK)
        score = job("score", {**here, **model, **redo}, pool=SPARK)
        staged = {"run_id": score.told("run_id")}
        drift = job("drift", {**here, **staged, **model, **redo})  # and its gate, where one is set
        gate_scores = job("gate", {"stage": "scores", **here, **window, **staged}, task_id="gate_scores")
        publish = job("publish", {**here, **staged, **redo}, pool=SPARK, outlets=[SCORES])
        chain(champion, gate_events, features, score, drift, gate_scores, publish)

    each_region.expand(region=run)
