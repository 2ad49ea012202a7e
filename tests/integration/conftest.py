"""One real installation for all tests of this room: scheduler, API, DAG processor, Postgres, in a home of its own."""

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ops.progress import error_line
from ops.stack import Running, running
from tests.support.shop import make_shop

from propensity.config import Config
from propensity.contracts import SCORES
from propensity.delivery.report import partitions
from propensity.storage import Lake

ROOT = Path(__file__).parents[2]
FIELDS = [
    {"event_type": "order", "field": "topic", "count": [10, 30], "days": [60], "recency": True, "interval": True},
    {"event_type": "order", "field": "brand", "count": [30]},
]
# Two regions, two scheduled days; the first is a Monday, on which the scheduler also trains.
CHANGES = {
    "regions": {"regions": {"alps": {"title": "The Alps", "values": ["ALPS"]}, "coast": {"values": ["COAST", "PLAINS"]}}},
    "features": {"history_days": 60, "horizon_days": 7, "active_days": 60, "fields": FIELDS},
    "models": {"train_windows": 5, "propensity_network": {"hidden": 32, "batch_size": 64, "max_epochs": 12, "patience": 2}},
    "runtime": {"schedule": {"start": "2025-06-16", "end": "2025-06-17", "catchup": True}},
    "tables": {"buckets": 1},
}
TRAINED = dt.date(2025, 6, 16)
ENDED = {"success", "failed"}


@dataclass
class Installation:
    """What the tests of this room act on."""

    running: Running
    trained: list[str] = field(default_factory=list)

    @property
    def api(self):
        return self.running.api

    @property
    def config(self) -> Config:
        return self.running.stack.config

    def wait(self, dag: str, run_id: str, seconds: float = 480.0) -> dict:
        """Wait for the end of a run; return it."""
        deadline = time.monotonic() + seconds
        while (run := self.api.run(dag, run_id))["state"] not in ENDED:
            assert time.monotonic() < deadline, f"{run_id} is still {run['state']}: {self.states(dag, run_id)}"
            time.sleep(0.3)
        return run

    def wait_for_runs(self, dag: str, count: int, seconds: float = 480.0, **filters) -> list[dict]:
        """Wait until a DAG has `count` runs of a kind and all of them have ended; return them, the newest first."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.api.runs(dag, **filters)
            if len(runs) >= count and all(r["state"] in ENDED for r in runs):
                return runs
            assert time.monotonic() < deadline, [(r["dag_run_id"], r["state"]) for r in runs]
            time.sleep(0.5)

    def wait_for_backfills(self, dag: str, seconds: float = 180.0) -> None:
        """Wait until no backfill is open: its runs end a little before it does, and a DAG has one at a time."""
        deadline = time.monotonic() + seconds
        while any(b["completed_at"] is None for b in self.api.call("GET", "/backfills", params={"dag_id": dag})["backfills"]):
            assert time.monotonic() < deadline
            time.sleep(0.3)

    def states(self, dag: str, run_id: str) -> dict[str, str]:
        """Return the state of every task of a run, by task and region."""
        return {self.name(t): t["state"] for t in self.api.tasks(dag, run_id)}

    def errors(self, dag: str, run_id: str) -> dict[str, str]:
        """Return the line that each failed task of a run ended with."""
        failed = [t for t in self.api.tasks(dag, run_id) if t["state"] in {"failed", "up_for_retry"}]
        return {self.name(t): error_line(self.api.log(t)) for t in failed}

    def name(self, task: dict) -> str:
        """Return a task's name with its region; one that never ran has only its index, in the order of the regions."""
        index, region = task["map_index"], task["rendered_map_index"]
        if index >= 0 and region in {None, str(index)}:
            region = self.api.xcom({**task, "task_id": "plan", "map_index": -1})[index]
        return f"{task['task_id'].rpartition('.')[2]} {region or ''}".strip()

    def published(self, region: str | None = None) -> dict[tuple[str, str], tuple[str, int]]:
        """Return (run id, rows) of what stands in the database, by region and day; each has one run id."""
        found = partitions(self.running.database, region)
        result = {(p.region, p.score_date): (p.run_id, p.rows) for p in found}
        assert len(result) == len(found), "a partition has rows of two runs"
        return result

    def in_lake(self, region: str) -> dict[str, tuple[set[str], int]]:
        """Return (run ids, rows) of what stands in the lake, by day."""
        lake = Lake(self.config)
        days = {f.partition["score_date"] for f in lake.files(SCORES, region=region)}
        tables = {day: lake.read_rows(SCORES, region=region, score_date=day) for day in days}
        return {day: (set(table["run_id"].to_pylist()), table.num_rows) for day, table in tables.items()}

    def airflow(self, *arguments: str) -> str:
        """Run Airflow's own command as a person would; return what it printed."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.running.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def installation():
    """Start everything once; stop everything at the end."""
    folder = Path(tempfile.mkdtemp(prefix="propensity-installation-"))
    folder.chmod(0o755)  # root's database server runs as nobody
    lake = make_shop(folder, customers=60, days=190, seed=3, **CHANGES)
    old = os.environ.get("POSTGRES_PORT")
    os.environ["POSTGRES_PORT"] = "0"
    try:
        with running(lake.config, print, port=0) as stack:
            yield Installation(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("POSTGRES_PORT") if old is None else os.environ.__setitem__("POSTGRES_PORT", old)


@pytest.fixture(scope="session")
def trained(installation):
    """The installation after the scheduler has trained every region by itself."""
    installation.api.unpause("propensity_train")
    (run,) = installation.wait_for_runs("propensity_train", 1)
    installation.trained = [run["dag_run_id"]]
    assert run["state"] == "success", installation.errors("propensity_train", run["dag_run_id"])
    return installation


@pytest.fixture(scope="session")
def scoring(trained):
    """The installation after the scheduler has also scored the days of its schedule."""
    trained.api.unpause("propensity_score")
    for run in trained.wait_for_runs("propensity_score", 2, run_type="scheduled"):
        assert run["state"] == "success", trained.errors("propensity_score", run["dag_run_id"])
    return trained


def pytest_collection_modifyitems(items):
    for item in items:
        if "installation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.airflow)
