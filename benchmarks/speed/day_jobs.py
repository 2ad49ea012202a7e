"""Where the seconds of a small region's day go: every job of the scoring DAG, in its order, as a process of its own.

The data is the Complete Journey's year, its last day not landed yet, with a champion that was trained briefly: what it scores is
worth little, and takes as long as ever.  Each round starts from a copy.  Jobs run on the leash that Airflow runs them on, and
publish to an embedded Postgres.  The parts of a row add up to the seconds from starting the process to its end:

``start``    the leash and the interpreter, until the first line of Python
``imports``  whatever is imported, whenever
``Spark``    importing pyspark and starting its JVM
``work``     the job's body without these
``rest``     arguments, configuration, opening the lake, the verdict, and ending the process

Processor seconds are those of the process and all that it waited for, and of a JVM as last seen.  What Airflow adds to them,
``day_airflow`` tells.
"""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from ops.postgres import postgres
from ops.process import free_port

from benchmarks.speed.contest import ROOT, load, rows_of
from propensity.config import Config, load_config
from propensity.storage import Lake

REGION, SCORE_DATE = "north", dt.date(2018, 1, 1)
BRIEFLY = {"train_windows": 3, "propensity_network": {"hidden": 64, "history_hidden": 32, "max_epochs": 1, "patience": 1}}
BAR_SECONDS = 30.0
PARTS = ("start_s", "imports_s", "spark_s", "work_s", "rest_s")


@dataclass(frozen=True)
class Step:
    """One task of the DAG: its job, and the facts that are its arguments."""

    task: str
    job: str
    facts: tuple[str, ...]
    more: tuple[str, ...] = ()


HERE, WINDOW, MODEL = ("region", "score_date"), ("purpose",), ("version", "digest")
DAY = (
    Step("land", "land", ("score_date", *WINDOW)),
    Step("champion", "champion", ("region",)),
    Step("gate_events", "gate", (*HERE, *WINDOW, "landing"), ("--stage=events",)),
    Step("features", "features", (*HERE, *WINDOW)),
    Step("score", "score", (*HERE, *MODEL)),
    Step("drift", "drift", (*HERE, "run_id", *MODEL)),
    Step("gate_scores", "gate", (*HERE, *WINDOW, "run_id"), ("--stage=scores",)),
    Step("publish", "publish", (*HERE, "run_id")),
)
"""The tasks of ``dags/propensity_score.py`` that run jobs."""


# -- the region's past ---------------------------------------------------------------------------------------------------


def prepared(home: Path) -> Config:
    """Return the configuration of a project below `home` that has landed all days but the last and has a champion."""
    conf = home / "conf"
    shutil.copytree(ROOT / "conf", conf, dirs_exist_ok=True)
    models = yaml.safe_load((conf / "models.yaml").read_text())
    (conf / "models.yaml").write_text(yaml.safe_dump(models | BRIEFLY))
    config = load_config(conf, home / "projects")
    if not (home / "past").is_dir():
        shutil.rmtree(config.home, ignore_errors=True)
        _make_past(Lake(config))
        kept = home / "past.new"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(config.home, kept, ignore=shutil.ignore_patterns("raw"))
        kept.replace(home / "past")
    return config


def put_back(config: Config, past: Path, keep: Collection[str] = ()) -> None:
    """Make the project what it was before the day, but for some of its folders.

    Event files stay where they are: landings know them by their paths.
    """
    for part in config.home.iterdir():
        if part.is_dir() and part.name not in {"raw", *keep}:
            shutil.rmtree(part)
    shutil.copytree(past, config.home, dirs_exist_ok=True)


def _make_past(lake: Lake) -> None:
    from propensity.engine.features import make_features, make_labels
    from propensity.engine.landing import commit, land
    from propensity.events.complete_journey import prepare
    from propensity.events.landing import days_needed, plan_landing
    from propensity.features.windows import training_cutoffs
    from propensity.models.data import TrainingTables
    from propensity.models.recipe import train
    from propensity.models.registry import crown

    yesterday = SCORE_DATE - dt.timedelta(days=1)
    prepare(lake.config.home / "raw")
    landing = plan_landing(lake, days_needed(lake.config, yesterday, "training"))
    if landing is not None:
        land(lake, landing, small=sys.maxsize)
        for region in landing.regions:
            commit(lake, landing.id, region)
    cutoffs = training_cutoffs(lake.config, yesterday)
    make_features(lake, REGION, [yesterday, *cutoffs], force=False, small=sys.maxsize)
    make_labels(lake, REGION, cutoffs, force=False, small=sys.maxsize)
    made = train(TrainingTables(lake, REGION), yesterday, "cpu", lambda _: None)
    crown(lake, REGION, None, made.version, made.digest, yesterday, "for the benchmark")


# -- a day ---------------------------------------------------------------------------------------------------------------


def run_day(config: Config, database: str, spark: str) -> tuple[dict[str, dict[str, Any]], int]:
    """Run every job of a day; return the figures of each by task, and how many customers were scored."""
    settings = {
        "PROPENSITY_CONF": str(config.folder),
        "PROPENSITY_HOME": str(config.home.parent),
        "PROPENSITY_DATABASE_URL": database,
    }
    facts: dict[str, Any] = {"region": REGION, "score_date": SCORE_DATE.isoformat(), "purpose": "scoring"}
    found = {}
    for step in DAY:
        arguments = [f"--{name.replace('_', '-')}={facts[name]}" for name in step.facts]
        found[step.task], verdict = run_job(step.job, [*arguments, *step.more], settings, spark)
        if verdict["skipped"]:
            raise SystemExit(f"error: {step.task} found nothing to do, so its time says nothing")
        facts |= {name: verdict[name] for name in ("landing", "version", "digest", "run_id", "users") if name in verdict}
    return found, facts["users"]


def run_job(
    name: str, arguments: Sequence[str], settings: Mapping[str, str], spark: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a job on the leash; return its figures and its verdict.  End this program, with its output, when it fails."""
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "plugins", "jobs", "."))
    environment = {**os.environ, **settings, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory() as folder:
        report, told = Path(folder) / "report.json", Path(folder) / "verdict.json"
        begun = time.monotonic()
        runner = [sys.executable, "-m", "benchmarks.speed.one_job", str(report), str(begun), spark, name]
        leash = [sys.executable, "-m", "propensity_airflow.leash", str(os.getpid())]
        command = [*leash, *runner, *arguments, f"--verdict={told}"]
        with (Path(folder) / "output").open("w+") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            jvm_s, status, usage = _watch(process)
            ended = time.monotonic()
            output.seek(0)
            if status:
                raise SystemExit(f"error: {name} ended with {status}\n{output.read()}")
        figures, verdict = json.loads(report.read_text()), json.loads(told.read_text())
    figures["rest_s"] = figures.pop("door_s") + ended - figures.pop("ended")
    figures |= {"wall_s": ended - begun, "cpu_s": usage + (jvm_s or 0.0), "jvm": jvm_s is not None}
    return figures, verdict


def _watch(process: "subprocess.Popen[bytes]") -> tuple[float | None, int, float]:
    """Wait for a process; return the processor seconds of its JVM (None: it had none), its status, and its own seconds."""
    jvm: float | None = None
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return jvm, process.returncode, usage.ru_utime + usage.ru_stime
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                if child.name() == "java":
                    jvm = max(jvm or 0.0, sum(child.cpu_times()[:2]))
        except psutil.Error:
            pass  # one of them has just ended
        time.sleep(0.02)


# -- the table -----------------------------------------------------------------------------------------------------------


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the figures of a day's jobs, medians of the rounds, and those of a day that starts Spark wherever it can."""
    before, home = load(), home.resolve()
    begun = time.monotonic()
    config = prepared(home)
    prepared_s = time.monotonic() - begun
    rounds = ["small"] * (1 if fast else 2) + ([] if fast else ["always"])
    found: list[dict[str, dict[str, Any]]] = []
    with postgres(home, free_port()) as server:
        for number, spark in enumerate(rounds, 1):
            put_back(config, home / "past")
            day, customers = run_day(config, server.address, spark)
            found.append(day)
            seconds = sum(job["wall_s"] for job in found[-1].values())
            print(f"day {number} of {len(rounds)}, Spark {spark}: {seconds:.1f} s; load {load():.1f}", flush=True)
    small = [day for day, spark in zip(found, rounds, strict=True) if spark == "small"]
    always = found[-1] if rounds[-1] == "always" else None
    jobs = {step.task: _middle([day[step.task] for day in small]) for step in DAY}
    told = {"rounds": len(small), "customers": customers, "prepared_s": prepared_s, "load": [before, load()]}
    return {"jobs": jobs, "always": always, "all": found, **told}


def _middle(days: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the round whose wall time is the median, whole, so that its parts add up."""
    return sorted(days, key=lambda day: day["wall_s"])[(len(days) - 1) // 2]


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    jobs = result["jobs"]
    names = ("wall_s", *PARTS, "cpu_s")
    total = {name: sum(job[name] for job in jobs.values()) for name in names}
    lines = [[task, *(f"{job[name]:.2f}" for name in names), "yes" if job["jvm"] else "no"] for task, job in jobs.items()]
    started = sum(job["jvm"] for job in jobs.values())
    lines.append(["**all**", *(f"**{total[name]:.2f}**" for name in names), str(started)])
    title = ["job", "seconds", "of these start", "imports", "Spark's start", "work", "rest", "processor s", "a JVM?"]
    verdict = "under" if total["wall_s"] < BAR_SECONDS else "NOT under"
    said = [f"A day of one region of {result['customers']:,} customers: {total['wall_s']:.1f} s, {verdict} {BAR_SECONDS:.0f} s."]
    if result["always"]:
        spark = result["always"].values()
        said += [f"With Spark in every step that has tasks, once: {sum(job['wall_s'] for job in spark):.1f} s "
                 f"and {sum(job['jvm'] for job in spark)} JVMs."]  # fmt: skip
    loads, past = result["load"], result["prepared_s"]
    said += [f"Each job's median of {result['rounds']}; load average {loads[0]:.1f} to {loads[1]:.1f}."]
    return [*rows_of(title, lines), "", *said, *([f"The region's past took {past:.0f} s to make."] if past > 1 else [])]
