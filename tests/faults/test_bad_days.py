"""Bad days, through the real jobs: each stops at its gate with a line that says what is wrong, and what stood before stays."""

import datetime as dt
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.support.postgres import database
from tests.support.scores import in_lake, published, rows_in, run_here, stage, with_features
from tests.support.shop import FIRST, make_config

from propensity.contracts import ACTIVITY, LANDED, SCORES
from propensity.delivery.publish import publish
from propensity.events.synthetic import generate
from propensity.storage import Lake

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
GOOD_DAYS = 12
BAD_DAY = FIRST + dt.timedelta(days=GOOD_DAYS)
SCORE_DATE = BAD_DAY + dt.timedelta(days=1)
FEATURES = {
    "history_days": 30,
    "horizon_days": 3,
    "active_days": 10,
    "fields": [{"event_type": "order", "field": "topic", "count": [10]}],
}


@dataclass
class Shop:
    """A small project with published scores, and the events of one more day."""

    lake: Lake
    address: str
    events: pa.Table
    """The bad day's events as they should be."""

    @property
    def file(self) -> Path:
        return self.lake.config.home / "raw" / f"{BAD_DAY}.parquet"

    def state(self) -> dict[str, object]:
        """Everything a bad day must not change."""
        tables = (ACTIVITY, LANDED, SCORES)
        return {t.name: (self.lake.version(t), self.lake.files(t)) for t in tables} | {
            "rows": published(self.address),
            "publications": rows_in(self.address, "SELECT * FROM publications ORDER BY 1, 2"),
        }


@pytest.fixture(scope="module")
def shop(tmp_path_factory, postgres_server) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("bad_days")
    orders = {
        "name": "orders",
        "files": "{home}/raw/{date}.parquet",
        "event_type": "order",
        "columns": {"user_id": "customer", "region": "market", "event_time": "happened_at", "value": "amount"},
        "fields": {"topic": "topic", "brand": "brand"},
        "require": ["topic"],
    }
    config = make_config(folder, tables={"events": [orders]}, features=FEATURES)
    by_day = daily(generate(150, FIRST, GOOD_DAYS + 1, seed=4))
    (config.home / "raw").mkdir(parents=True)
    for day, events in by_day.items():
        pq.write_table(events, config.home / "raw" / f"{day}.parquet")
    with database(postgres_server, "bad_days") as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROPENSITY_CONF", str(folder / "conf"))
        patch.setenv("PROPENSITY_HOME", str(folder / "home"))
        patch.setenv("PROPENSITY_DATABASE_URL", address)
        lake = Lake(config)
        landing = job("land", "--score-date", BAD_DAY, "--purpose", "scoring")["landing"]
        for region in config.region_names:
            gate(region, landing, BAD_DAY)
        publish(lake, stage(lake, "before", users=40, date=str(BAD_DAY)), address, run_here)
        yield Shop(lake, address, by_day[BAD_DAY])


def daily(events: pa.Table) -> dict[dt.date, pa.Table]:
    days = np.array([t.date() for t in events["happened_at"].to_pylist()])
    return {day: events.filter(pa.array(days == day)) for day in np.unique(days)}


class RefusedError(Exception):
    """A job that ended with another exit status than 0."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


def job(name: str, *arguments: object) -> dict:
    """Run a job's main in this process, so that one Spark serves every case; return its verdict."""
    import contextlib
    import io

    verdict = Path(os.environ["PROPENSITY_HOME"]) / f"{name}.verdict"
    verdict.unlink(missing_ok=True)
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", [name, *map(str, arguments), "--verdict", str(verdict)])
        status = importlib.import_module(name).main()
    if status:
        assert not verdict.exists(), "a refused job left a verdict"
        raise RefusedError(status, errors.getvalue())
    return json.loads(verdict.read_text())


def gate(region: str, landing: str | None, date: dt.date = SCORE_DATE) -> dict:
    chosen = ["--landing", landing] if landing else []
    return job("gate", "--stage", "events", "--region", region, "--score-date", date, "--purpose", "scoring", *chosen)


def land_and_judge(region: str = "alps") -> dict:
    return gate(region, job("land", "--score-date", SCORE_DATE, "--purpose", "scoring")["landing"])


def alps(events: pa.Table, count: int, column: str, value: object) -> pa.Table:
    """Return the events with one column of the first `count` events of the alps changed."""
    mine = np.flatnonzero(np.array(events["market"].to_pylist()) == "ALPS")[:count]
    values = events[column].to_pylist()
    for row in mine:
        values[row] = value
    return events.set_column(events.column_names.index(column), column, pa.array(values, events.schema.field(column).type))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_text(events: pa.Table) -> pa.Table:
    return events.set_column(events.column_names.index("amount"), "amount", pc.cast(events["amount"], pa.string()))


LATER = dt.datetime(2031, 5, 5, 12, tzinfo=dt.UTC)
Change = Callable[[pa.Table], pa.Table]
CASES: dict[str, tuple[Change, list[str]]] = {
    "empty": (lambda e: e.slice(0, 0), ["of expected failed: the day is empty", "(1 in all)", f"{BAD_DAY}, expected 0"]),
    "duplicated": (lambda e: pa.concat_tables([e, e]), ["of duplicated_share failed", "more than once", "user "]),
    "future dates": (lambda e: alps(e, 6, "happened_at", LATER), ["of outside_day failed", "(6 in all)", "2031-05-05", "alps-0"]),
    "negative values": (lambda e: alps(e, 7, "amount", -3.5), ["of negative_value failed", "(7 in all)", "-3.5", "alps-0"]),
    "unknown region": (
        lambda e: alps(e, 5, "market", "MOON"),
        ["of unknown_region failed", "(5 in all)", "'MOON'", "regions.yaml"],
    ),
    "no user": (lambda e: alps(e, 2, "customer", None), ["of null_user failed", "(2 in all)"]),
    "no time": (lambda e: alps(e, 3, "happened_at", None), ["of null_time failed", "(3 in all)"]),
    "wrong type": (as_text, ["check type", "column amount is string", "wants double", f"{BAD_DAY}.parquet", "in all"]),
}


def judge_unchanged(shop: Shop, words: list[str]) -> None:
    before = shop.state()
    with pytest.raises(RefusedError) as caught:
        land_and_judge()
    assert caught.value.status == 2
    assert caught.value.line.startswith("error: ")
    assert caught.value.line.count("\n") == 1
    for word in words:
        assert word in caught.value.line
    assert shop.state() == before
    assert published(shop.address, date=str(BAD_DAY)) == in_lake(shop.lake, date=str(BAD_DAY)) != []


@pytest.mark.parametrize("name", CASES)
def test_a_bad_day_stops_at_its_gate_and_changes_nothing(shop, name):
    change, words = CASES[name]
    pq.write_table(change(shop.events), shop.file)
    judge_unchanged(shop, words)


def test_a_truncated_file_stops_the_landing_and_changes_nothing(shop):
    pq.write_table(shop.events, shop.file)
    cut(shop.file)
    judge_unchanged(shop, ["check readable", "not a whole Parquet file", f"{BAD_DAY}.parquet", "deliver the file again"])


def test_a_missing_file_stops_the_landing_and_changes_nothing(shop):
    shop.file.unlink()
    judge_unchanged(shop, ["days without a file", str(BAD_DAY)])


def test_a_bad_region_does_not_stop_the_others_and_the_mended_day_lands(shop):
    pq.write_table(alps(shop.events, 4, "amount", -1.0), shop.file)
    landing = job("land", "--score-date", SCORE_DATE, "--purpose", "scoring")["landing"]
    with pytest.raises(RefusedError, match="negative_value"):
        gate("alps", landing)
    assert gate("coast", landing)["passed"]
    assert [BAD_DAY in days_in(shop.lake, region) for region in ("alps", "coast")] == [False, True]

    # As an operator sees it: a process of its own, one line, exit 2.
    command = [sys.executable, "jobs/gate.py", "--stage", "events", "--region", "alps", "--score-date", str(SCORE_DATE)]
    command += ["--purpose", "scoring", "--landing", landing]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        f"error: gate events, alps, {SCORE_DATE}: ExpectColumnValuesToBeBetween of negative_value failed"
    )

    pq.write_table(shop.events, shop.file)
    assert land_and_judge("alps")["passed"]
    assert BAD_DAY in days_in(shop.lake, "alps")


def days_in(lake: Lake, region: str) -> list[dt.date]:
    return lake.read_rows(LANDED, region=region)["event_date"].to_pylist()


def test_scores_are_published_by_tasks_on_spark(shop):
    date, new = str(BAD_DAY), with_features(shop.lake, stage(shop.lake, "after", users=60, date=str(BAD_DAY), seed=8, files=3))
    arguments = ["--region", "alps", "--score-date", date, "--run-id", new.run_id]
    verdict = job("publish", *arguments)
    assert {k: verdict[k] for k in ("skipped", "rows", "run_id", "version")} == {
        "skipped": False,
        "rows": 60,
        "run_id": "after",
        "version": "v1",
    }
    assert published(shop.address, date=date) == in_lake(shop.lake, date=date)
    assert job("publish", *arguments)["skipped"]


def test_scores_that_their_gate_refuses_are_not_published_whatever_the_order_of_the_caller(shop):
    bad = stage(shop.lake, "doubtful", users=7, date=str(BAD_DAY), seed=9)  # not the customers that have features
    before = published(shop.address, date=str(BAD_DAY)), in_lake(shop.lake, date=str(BAD_DAY))
    with pytest.raises(RefusedError, match="gate scores") as caught:
        job("publish", "--region", "alps", "--score-date", str(BAD_DAY), "--run-id", bad.run_id)
    assert caught.value.status == 2
    assert (published(shop.address, date=str(BAD_DAY)), in_lake(shop.lake, date=str(BAD_DAY))) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--run-id", "nothing"], "no such run of scores"),
        (["--run-id", "../../etc/passwd"], "no such run of scores"),
        (["--region", "coast"], "the run is of alps"),
        (["--region", "moon"], "unknown region"),
        (["--score-date", "2025-02-30"], "is not a date"),
    ],
)
def test_a_wrong_argument_is_one_line(shop, change, words):
    stage(shop.lake, "some", date=str(BAD_DAY), seed=8)
    arguments = {"--region": "alps", "--score-date": str(BAD_DAY), "--run-id": "some"} | dict([tuple(change)])
    with pytest.raises(RefusedError, match=words) as caught:
        job("publish", *(part for pair in arguments.items() for part in pair))
    assert (caught.value.status, caught.value.line.count("\n")) == (2, 1)


def test_a_database_that_is_down_is_one_line_without_its_password_and_worth_another_try(shop, monkeypatch):
    with_features(shop.lake, stage(shop.lake, "some", date=str(BAD_DAY), seed=8))
    monkeypatch.setenv("PROPENSITY_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/scores")
    with pytest.raises(RefusedError, match="the scores database is not reachable") as caught:
        job("publish", "--region", "alps", "--score-date", BAD_DAY, "--run-id", "some")
    assert (caught.value.status, caught.value.line.count("\n")) == (3, 1)
    assert "hunter2" not in caught.value.line


def test_a_full_disk_or_closed_folder_keeps_the_last_verdict(shop):
    """The pages' folder cannot be written: one line, and the gate stays shut."""
    folder = shop.lake.config.home / "data_docs" / "events" / "plains"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("in the way")
    pq.write_table(alps(shop.events, 1, "amount", 5.0), shop.file)
    with pytest.raises(RefusedError, match="could not write") as caught:
        land_and_judge("plains")
    assert (caught.value.status, caught.value.line.count("\n")) == (3, 1)
    folder.unlink()
    assert land_and_judge("plains")["passed"]
