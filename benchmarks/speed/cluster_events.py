"""What Spark's own event log says of a session: which executors it had, which task ran where and how long."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GROUP = "spark.jobGroup.id"


@dataclass(frozen=True)
class Task:
    """A task that Spark finished."""

    run: str
    """The job group it belongs to."""
    index: int
    """Its position among the tasks of its stage: the bucket, where a stage has one task for each."""
    executor: str
    seconds: float
    """In the executor, Python included; what Spark takes to hand the task over is left out."""


@dataclass(frozen=True)
class Session:
    """One session's log."""

    executors: tuple[str, ...]
    """Ids of executors that joined; the driver of local mode is one."""
    tasks: tuple[Task, ...]

    def of(self, run: str) -> list[Task]:
        """Return the tasks of a run in the order of their buckets."""
        return sorted((task for task in self.tasks if task.run == run), key=lambda task: task.index)


def options(folder: Path) -> dict[str, str]:
    """Return the Spark properties that make a session write its log below a folder, one plain file for each session."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": folder.resolve().as_uri(), "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }  # fmt: skip


def session(folder: Path) -> Session:
    """Return the newest session that wrote its log below a folder."""
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    return read(newest.read_text().splitlines())


def read(lines: list[str]) -> Session:
    """Return what the lines of a log say."""
    events = [json.loads(line) for line in lines]
    runs = {stage: _run(event) for event in _named(events, "JobStart") for stage in event["Stage IDs"]}
    added = tuple(str(event["Executor ID"]) for event in _named(events, "ExecutorAdded"))
    ended = [event for event in _named(events, "TaskEnd") if event["Task End Reason"]["Reason"] == "Success"]
    return Session(added, tuple(_task(event, runs[event["Stage ID"]]) for event in ended))


def _named(events: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    return (event for event in events if event["Event"] == f"SparkListener{name}")


def _run(event: Mapping[str, Any]) -> str:
    return str((event.get("Properties") or {}).get(GROUP, ""))


def _task(event: Mapping[str, Any], run: str) -> Task:
    about, metrics = event["Task Info"], event["Task Metrics"]
    return Task(run, int(about["Index"]), str(about["Executor ID"]), metrics["Executor Run Time"] / 1e3)
