"""Where the seconds of a small region's day go under a real scheduler: what ``day_jobs`` runs bare, as a run of the scoring DAG.

The region's past and its day are those of ``day_jobs``.  Scheduler, DAG processor, API server and Postgres share the machine with
the jobs.  The tasks that the run's end waited for, one for the other, are a chain, and their seconds add up to the run's; others
ran beside them.

``waited``   from the end of the task before (the first: from the trigger) until this one's process starts: the scheduler sees
             that it may run, the executor takes it
``around``   the task's process without its job: reading the DAG, telling the API server, the verdict
``job``      the job, from its start to its end
"""

import datetime as dt
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.progress import short
from ops.stack import Running, running

from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.day_jobs import BAR_SECONDS, DAY, REGION, SCORE_DATE, prepared, put_back
from propensity.errors import PropensityError

DAG = "propensity_score"
ENDED = re.compile(r"Ended with status 0 after ([0-9.]+) s")
PARTS = ("waited_s", "around_s", "job_s")
CLOSING = "closing the run"
PATIENCE = 300.0
"""Seconds that a run may take."""


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return every task's seconds in the slower of two runs, and the runs' wall times."""
    before, home = load(), home.resolve()
    begun = time.monotonic()
    home = home.parent / "day_jobs"  # its region's past takes a while to make
    config, rounds = prepared(home), 1 if fast else 2
    put_back(config, home / "past")
    found: list[dict[str, Any]] = []
    with running(config, lambda text: print(text, flush=True), port=0) as stack:
        stack.api.unpause(DAG)
        started_s = time.monotonic() - begun
        for number in range(rounds):
            put_back(config, home / "past", keep=("airflow", "postgres"))
            run, tasks = _day(stack)
            found.append(accounted(run, tasks, {name_of(task): _worked(stack, task) for task in tasks}))
            print(f"day {number + 1} of {rounds}: {found[-1]['wall_s']:.1f} s; load {load():.1f}", flush=True)
    slower = sorted(found, key=lambda one: float(one["wall_s"]))[len(found) // 2]
    return {**slower, "all_s": [one["wall_s"] for one in found], "started_s": started_s, "load": [before, load()]}


def _day(stack: Running) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the DAG for the day; return the run and its tasks.  Raise PropensityError when one of them fails."""
    facts = {"regions": [REGION], "score_date": SCORE_DATE.isoformat()}
    run_id, deadline = stack.api.trigger(DAG, facts), time.monotonic() + PATIENCE
    while (run := stack.api.run(DAG, run_id))["state"] in {"queued", "running"} and time.monotonic() < deadline:
        time.sleep(0.5)
    tasks = stack.api.tasks(DAG, run_id)
    if run["state"] != "success":
        states = [f"{task['task_id']}: {task['state']}" for task in tasks]
        raise PropensityError(f"the run is {run['state']}", where=DAG, examples=states, do="read the tasks' logs")
    return run, tasks


def _worked(stack: Running, task: Mapping[str, Any]) -> float:
    """Return the seconds of a task's job, 0 for the task without one; raise PropensityError where there was nothing to do."""
    name = name_of(task)
    if name not in {step.task for step in DAY}:
        return 0.0
    if stack.api.xcom(task, "skipped") is not False:
        raise PropensityError(
            "found nothing to do, so its time says nothing", where=name, do="run the benchmark in an empty folder"
        )
    return job_seconds(stack.api.log(task))


def name_of(task: Mapping[str, Any]) -> str:
    """Return a task's name without its group."""
    return short(str(task["task_id"]))


def job_seconds(lines: Iterable[str]) -> float:
    """Return what a task's log says that its job took; raise ValueError where it does not say so once."""
    [took] = [float(match[1]) for match in map(ENDED.search, lines) if match]
    return took


def accounted(run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], jobs: Mapping[str, float]) -> dict[str, Any]:
    """Return the seconds of the run (`wall_s`), of each task of its chain (`tasks`), and of those beside it (`beside`)."""
    triggered, ended = _time(run["queued_at"] or run["start_date"]), _time(run["end_date"])
    chain, rest = [], sorted(tasks, key=lambda task: _time(task["end_date"]))
    begun = ended
    while rest:
        last = rest.pop()
        if _time(last["end_date"]) <= begun:
            chain.append(last)
            begun = _time(last["start_date"])
    chain.reverse()
    found: dict[str, dict[str, float]] = {}
    for task, before in zip(chain, [triggered, *(_time(task["end_date"]) for task in chain)], strict=False):
        whole, job = _seconds(task["start_date"], task["end_date"]), jobs[name_of(task)]
        waited = (_time(task["start_date"]) - before).total_seconds()
        found[name_of(task)] = {"waited_s": waited, "around_s": whole - job, "job_s": job}
    after = (ended - _time(chain[-1]["end_date"])).total_seconds()
    found[CLOSING] = {"waited_s": after, "around_s": 0.0, "job_s": 0.0}
    beside = {name_of(t): _seconds(t["start_date"], t["end_date"]) for t in tasks if name_of(t) not in found}
    return {"wall_s": (ended - triggered).total_seconds(), "tasks": found, "beside": beside}


def _seconds(begun: str, ended: str) -> float:
    return (_time(ended) - _time(begun)).total_seconds()


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    tasks = result["tasks"]
    total = {name: sum(task[name] for task in tasks.values()) for name in PARTS}
    lines = [[name, *(f"{task[part]:.2f}" for part in PARTS), f"{sum(task.values()):.2f}"] for name, task in tasks.items()]
    lines.append(["**all**", *(f"**{total[part]:.2f}**" for part in PARTS), f"**{sum(total.values()):.2f}**"])
    verdict = "under" if result["wall_s"] < BAR_SECONDS else "NOT under"
    others = ", ".join(f"{wall:.1f}" for wall in result["all_s"])
    loads = result["load"]
    beside = ", ".join(f"{name} ({seconds:.1f} s)" for name, seconds in result["beside"].items())
    return [
        *rows_of(["task", "waited, s", "around the job", "job", "together"], lines), "",
        f"One region's day from its trigger to the end of its run: {result['wall_s']:.1f} s, {verdict} {BAR_SECONDS:.0f} s "
        f"(runs took {others}).  Beside these tasks ran: {beside or 'none'}.",
        f"Starting Airflow took {result['started_s']:.0f} s before that; load average {loads[0]:.1f} to {loads[1]:.1f}.",
    ]  # fmt: skip
