"""What a run is doing, while it does it: a live table on a terminal, a line for each change elsewhere."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.stack import Running
from propensity.errors import PropensityError

POLL_SECONDS = 0.4
FINISHED = {"success", "failed"}
MARKS = {
    "success": ("✓", "green"),
    "failed": ("✗ failed", "bold red"),
    "upstream_failed": ("– not reached", "red"),
    "skipped": ("– skipped", "yellow"),
    "running": ("▶", "bold cyan"),
    "queued": ("·", "dim"),
    "scheduled": ("·", "dim"),
    "up_for_retry": ("↻ will retry", "yellow"),
}
WAITING = Text("·", "dim")
TAIL_BYTES = 8192
NOISE = ("Running ", "Ended ", "WARNING", "Setting ", "To adjust ", "done {", "nothing to do {")
TaskInstance = Mapping[str, Any]


class Progress:
    """Follows one run to its end."""

    def __init__(self, running: Running, console: Console, dag: str, run_id: str) -> None:
        self.running, self.console, self.dag, self.run_id = running, console, dag, run_id
        self.started = time.monotonic()
        self.told: dict[tuple[str, int], str] = {}
        self.regions: dict[int, str] = {}

    def follow(self) -> list[dict[str, Any]]:
        """Show the run until it ends; return its task instances.  Raise PropensityError with the failing task's line."""
        with Live(console=self.console, refresh_per_second=4, transient=False, auto_refresh=False) as live:
            while True:
                run = self.running.api.run(self.dag, self.run_id)
                tasks = self.running.api.tasks(self.dag, self.run_id)
                self._learn_regions(tasks)
                if self.console.is_terminal:
                    live.update(self._view(tasks), refresh=True)
                else:
                    self._tell(tasks)
                if run["state"] in FINISHED:
                    break
                time.sleep(POLL_SECONDS)
        if run["state"] == "failed":
            raise self._failure(tasks)
        return tasks

    def _learn_regions(self, tasks: list[dict[str, Any]]) -> None:
        # A mapped task shows its region from its start on; the plan names them all before.
        if not self.regions:
            plan = next((t for t in tasks if t["task_id"] == "plan" and t["state"] == "success"), None)
            names = self.running.api.xcom(plan) if plan else None
            self.regions = dict(enumerate(names or []))

    def _view(self, tasks: list[dict[str, Any]]) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(f"{self.dag}  {time.monotonic() - self.started:4.0f} s")
        columns = list(self.regions.values()) or [""]
        for name in columns:
            table.add_column(name, min_width=16)
        for stage in stages(tasks):
            cells = {t["map_index"]: _cell(t) for t in tasks if short(t["task_id"]) == stage}
            table.add_row(f"  {stage}", *(cells.get(i, WAITING) for i in ([-1] if -1 in cells else range(len(columns)))))
        lines = [f"  {self._name(t)}: {line}" for t in tasks if (line := self._last_line(t))]
        return Group(table, *(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in lines))

    def _tell(self, tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            key = (task["task_id"], task["map_index"])
            text = str(task["state"])
            if text == "running":
                text += f": {self._last_line(task)}"
            if text in {self.told.get(key), "None", "queued", "scheduled", "running: "}:
                continue
            self.told[key] = text
            seconds = f" after {task['duration']:.1f} s" if task["state"] in {"success", "failed"} and task["duration"] else ""
            line = f"{time.monotonic() - self.started:6.1f} s  {self._name(task)}: {text}{seconds}"
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _name(self, task: TaskInstance) -> str:
        region = self.regions.get(task["map_index"])
        return f"{short(task['task_id'])} {region}" if region and task["map_index"] >= 0 else short(task["task_id"])

    def _last_line(self, task: TaskInstance) -> str:
        if task["state"] != "running":
            return ""
        return last_line(self.running.stack.airflow_home / "logs", task)

    def _failure(self, tasks: list[dict[str, Any]]) -> PropensityError:
        failed = [t for t in tasks if t["state"] == "failed"]
        lines = [f"{self._name(t)}: {error_line(self.running.api.log(t))}" for t in failed]
        do = f"read the logs in {self.running.stack.airflow_home / 'logs'}, or look at the run with make up"
        return PropensityError("; ".join(lines) or "the run failed", where=self.dag, do=do)


def short(task_id: str) -> str:
    """Return a task's name without its group."""
    return task_id.rpartition(".")[2]


def stages(tasks: list[dict[str, Any]]) -> list[str]:
    """Return the stages of a run in the order of work: tasks of the run itself around those of its regions."""
    first = [short(t["task_id"]) for t in tasks if short(t["task_id"]) in {"plan", "land"}]
    inner = [short(t["task_id"]) for t in tasks if "." in t["task_id"]]
    order = {name: i for i, name in enumerate(ORDER)}
    return list(dict.fromkeys([*sorted(first, reverse=True), *sorted(inner, key=lambda name: order.get(name, len(order)))]))


ORDER = (
    "champion", "gate_events", "features", "gate_features", "labels", "gate_labels", "train", "evaluate", "promote",
    "score", "drift", "gate_scores", "publish",
)  # fmt: skip


def _cell(task: TaskInstance) -> Text:
    mark, style = MARKS.get(str(task["state"]), ("·", "dim"))
    seconds = task["duration"] if task["state"] == "success" else None
    return Text(f"{mark} {seconds:.1f} s" if seconds is not None else mark, style)


def last_line(logs: Path, task: TaskInstance) -> str:
    """Return the newest line that a running task's job printed."""
    place = logs / f"dag_id={task['dag_id']}" / f"run_id={task['dag_run_id']}" / f"task_id={task['task_id']}"
    if task["map_index"] >= 0:
        place /= f"map_index={task['map_index']}"
    try:
        with (place / f"attempt={task['try_number']}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        entry = _entry(line)
        event = str(entry.get("event", ""))
        if event and str(entry.get("logger", "")).endswith("JobOperator") and not event.startswith(NOISE):
            return event
    return ""


def error_line(lines: list[str]) -> str:
    """Return the line of a failed task's log that says why."""
    told = [line for line in lines if line.startswith("error: ")]
    if told:
        return told[-1].removeprefix("error: ")
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1] if lines else "no log")


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and "event" in entry else {}
