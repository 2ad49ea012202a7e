"""What one more day costs as the window grows: landing and features, a day at a time, closed months compacted.

A lake grows to each length in turn, whole months at once and the open month by days, as it stands after daily runs; then three
days are landed and committed one by one and the features of the next day are made three times, all regions, as the jobs do.
Beside it DuckDB makes the same features from the window's raw files.
"""

import datetime as dt
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.events import Shape, configuration, day_file, write_day, write_vocabulary
from benchmarks.speed.features_peers import Task, duckdb_engine
from propensity.contracts import ACTIVITY, FEATURES
from propensity.storage import Lake

FIRST = dt.date(2025, 1, 1)
LENGTHS = (28, 91, 364)
SHAPE = Shape(users=40_000, events_a_day=30_000)
SMALL = Shape(users=4_000, events_a_day=3_000)
STEP = 7
"""Days of an open month landed at once: so few stay a file each."""


def land_days(lake: Lake, days: Sequence[dt.date]) -> None:
    """Land days and commit them in every region; nothing happens where they have landed."""
    from propensity.engine.landing import commit, land
    from propensity.events.landing import plan_landing

    landing = plan_landing(lake, days)
    if landing is not None:
        land(lake, landing)
        for region in landing.regions:
            commit(lake, landing.id, region)


def land_until(lake: Lake, stop: dt.date) -> None:
    """Land everything before a day: closed months at once, the open month a few days at a time."""
    opened = stop.replace(day=1)
    closed = [FIRST + dt.timedelta(days=n) for n in range((opened - FIRST).days)]
    if closed:
        land_days(lake, closed)
    for first in range(0, (stop - opened).days, STEP):
        count = min(STEP, (stop - opened).days - first)
        land_days(lake, [opened + dt.timedelta(days=first + n) for n in range(count)])


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def at_length(home: Path, shape: Shape, length: int, rounds: int) -> dict[str, Any]:
    """Return what a day costs when the window is so many days long."""
    windows = tuple(sorted({7, 28, length}))
    lake = Lake(configuration(home, FIRST, windows, called=f"conf-{length}"))
    stop = FIRST + dt.timedelta(days=length)
    for n in range(length):
        write_day(home, shape, FIRST + dt.timedelta(days=n))
    land_until(lake, stop - dt.timedelta(days=rounds))
    landing = [timed(partial(land_days, lake, [stop - dt.timedelta(days=n)])) for n in range(rounds, 0, -1)]
    vocabulary = write_vocabulary(lake, home)
    files = tuple(str(day_file(home, FIRST + dt.timedelta(days=n))) for n in range(length))
    task = Task(files, str(vocabulary), stop, windows, home / "peers" / "day")
    ours, theirs = [], []
    for _ in range(rounds):
        shutil.rmtree(lake.path(FEATURES.name), ignore_errors=True)
        ours.append(timed(lambda: _make(lake, stop)))
        shutil.rmtree(task.out, ignore_errors=True)
        task.out.parent.mkdir(parents=True, exist_ok=True)
        theirs.append(timed(lambda: duckdb_engine()(task)))
    rows = sum(file.rows for region in lake.config.region_names for file in lake.files(ACTIVITY, region=region))
    return {"days": length, "activity_rows": rows, "landing_s": statistics.median(landing), "landing_most_s": max(landing),
            "features_s": statistics.median(ours), "duckdb_s": statistics.median(theirs)}  # fmt: skip


def _make(lake: Lake, score_date: dt.date) -> None:
    from propensity.engine.features import make_features

    for region in lake.config.region_names:
        make_features(lake, region, [score_date], force=False)


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the cost of a day at every length of the window; the lake under `home` is made anew."""
    home, shape, lengths, rounds = home.resolve(), SMALL if fast else SHAPE, LENGTHS[:2] if fast else LENGTHS, 1 if fast else 3
    from propensity.engine.session import spark_context

    before = load()
    shutil.rmtree(home, ignore_errors=True)
    spark_context(configuration(home, FIRST, (7, 28)))
    at_length(home / "warm-up", SMALL, 8, 1)
    found = [at_length(home, shape, length, rounds) for length in lengths]
    return {"events_a_day": shape.events_a_day, "users": shape.users, "rounds": rounds, "lengths": found, "load_before": before,
            "load_after": load()}  # fmt: skip


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    lines = [
        [f["days"], f"{f['activity_rows'] / 1e6:.1f}", f"{f['landing_s']:.2f}", f"{f['landing_most_s']:.2f}",
         f"{f['features_s']:.2f}", f"{f['landing_s'] + f['features_s']:.2f}", f"{f['duckdb_s']:.2f}"]
        for f in result["lengths"]
    ]  # fmt: skip
    heads = ["window, days", "M rows landed", "landing a day s", "dearest of the days s", "its features s", "both s",
             "DuckDB's features from raw s"]  # fmt: skip
    return [
        *rows_of(heads, lines), "",
        f"{result['events_a_day'] / 1e3:.0f} k events a day, {result['users'] / 1e3:.0f} k customers, median of "
        f"{result['rounds']}; load average {result['load_before']:.1f} before, {result['load_after']:.1f} after.",
    ]  # fmt: skip
