"""Daily features of the whole window: ours, from bucketed activity, beside peers that start from raw events.

Ours is ``engine.features.make_features``, commit included: as it goes, which for regions of this size is two threads of one
process; through Spark, as a larger one would go; and with its buckets mapped over two plain processes.  Every contender has two
threads, a process of its own in each turn, its engine started and warmed up on a small part before the clock runs, and the files
of all in the page cache.  After the first turn the rows of every peer are compared with ours, all of them; where any differs,
nothing is reported.
"""

import argparse
import datetime as dt
import json
import shutil
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.speed.contest import in_turns, load, report, rows_of, times
from benchmarks.speed.events import Shape, configuration, day_file, write_day, write_vocabulary
from benchmarks.speed.features_peers import ENGINES, THREADS, Task
from propensity.config import Config
from propensity.contracts import FEATURES
from propensity.features.csr import from_arrow
from propensity.storage import Lake

OURS, SPARK, BARE = "ours", "ours, through Spark", "ours, two bare processes"
SLOW = {"Spark SQL from raw": 1, "Spark with Arrow from raw": 1, "Polars streaming from raw": 1, SPARK: 2, BARE: 2}
"""Turns of those who take half a minute and more, or as long to start; a first look goes without them."""
WINDOWS = (7, 28, 91)
SCORE_DATE = dt.date(2025, 4, 2)
FULL, FAST = 20_000_000, 2_000_000
USERS_EACH = 67
"""Events for one customer in the window."""
TOLERANCE = 1e-5
MODULE = "benchmarks.speed.features"


def shape_of(events: int) -> Shape:
    """Return the shape of so many events in the window, 67 for a customer."""
    return Shape(users=events // USERS_EACH + 1, events_a_day=events // WINDOWS[-1])


def days() -> list[dt.date]:
    """Return the window's days."""
    return [SCORE_DATE - dt.timedelta(days=n) for n in range(WINDOWS[-1], 0, -1)]


def config_of(home: Path) -> Config:
    """Return the configuration of the events under `home`."""
    return configuration(home, days()[0], WINDOWS)


def _task(home: Path, out: Path, only: int | None = None) -> Task:
    files = tuple(str(day_file(home, day)) for day in days()[:only])
    return Task(files, str(home / "vocabulary.parquet"), SCORE_DATE, WINDOWS, out)


# -- what is timed -----------------------------------------------------------------------------------------------------


def _features(lake: Lake, regions: tuple[str, ...], small: int | None) -> None:
    from propensity.engine.features import SMALL, make_features

    for region in regions:
        make_features(lake, region, [SCORE_DATE], force=False, small=SMALL if small is None else small)


def _forget(lake: Lake) -> None:
    shutil.rmtree(lake.path(FEATURES.name), ignore_errors=True)


def start_ours(home: Path, small: int | None) -> Callable[[], None]:
    """Build the smallest region, with Spark when `small` is 0, and throw it away; return the building of all regions."""
    lake = Lake(config_of(home))
    _forget(lake)
    _features(lake, lake.config.region_names[-1:], small)
    _forget(lake)
    return lambda: _features(lake, lake.config.region_names, small)


def start_bare(home: Path) -> Callable[[], None]:
    """Do the same with two processes in the place of Spark."""
    from propensity.engine import features as engine

    lake = Lake(config_of(home))
    pool = get_context("fork").Pool(THREADS)

    def pooled(_: Config, function: Any, items: Any, shared: Any, *__: object) -> list[Any]:
        return pool.map(partial(_call, function, shared), items, chunksize=1)

    def run(regions: tuple[str, ...]) -> None:
        with mock.patch.object(engine, "map_cheaply", pooled):
            _features(lake, regions, 0)

    _forget(lake)
    run(lake.config.region_names[-1:])
    _forget(lake)
    return lambda: run(lake.config.region_names)


def _call(function: Any, shared: Any, item: Any) -> Any:
    return function(item, shared)


def start_peer(home: Path, name: str) -> Callable[[], None]:
    """Start a peer's engine and make one day's rows with it; return the making of all."""
    run = ENGINES[name]()
    out = home / "peers" / name
    warm = home / "peers" / "warm"
    for folder in (out, warm):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
    run(_task(home, warm, only=1))
    return lambda: run(_task(home, out))


def start(name: str, home: Path) -> Callable[[], None]:
    """Start a contender; return what is timed."""
    if name == BARE:
        return start_bare(home)
    if name in (OURS, SPARK):
        return start_ours(home, 0 if name == SPARK else None)
    return start_peer(home, name)


# -- data, agreement ---------------------------------------------------------------------------------------------------


def prepare(home: Path, events: int) -> None:
    """Make raw events, land them all, write the vocabulary for the peers; what is there stays."""
    from propensity.engine.landing import commit, land
    from propensity.events.landing import plan_landing

    shape, config = shape_of(events), config_of(home)
    for day in days():
        write_day(home, shape, day)
    lake = Lake(config)
    landing = plan_landing(lake, days())
    if landing is not None:
        land(lake, landing)
        for region in landing.regions:
            commit(lake, landing.id, region)
    write_vocabulary(lake, home)


def disagreement(home: Path, name: str) -> float:
    """Return the largest relative difference of a peer's values from ours; raise SystemExit when anything else differs."""
    lake, worst = Lake(config_of(home)), 0.0
    for region in lake.config.region_names:
        ours = lake.read_rows(FEATURES, region=region, score_date=SCORE_DATE.isoformat())
        files = sorted((home / "peers" / name / f"region={region}").glob("*.parquet"))
        theirs = pa.concat_tables([pq.read_table(f, columns=["user_id", "indices", "values"], partitioning=None) for f in files])
        users, mine = _sorted(ours)
        others, other = _sorted(theirs)
        same = np.array_equal(users, others) and np.array_equal(mine.offsets, other.offsets)
        if not same or not np.array_equal(mine.indices, other.indices):
            raise SystemExit(f"error: {name} has other rows than ours in region {region}; nothing is reported")
        worst = max(worst, float(np.max(np.abs(mine.values - other.values) / mine.values, initial=0)))
    if worst > TOLERANCE:
        raise SystemExit(f"error: {name} has other values than ours, by {worst:.1e}; nothing is reported")
    return worst


def _sorted(rows: pa.Table) -> tuple[Any, Any]:
    rows = rows.combine_chunks()
    batch = from_arrow(*(rows[name].combine_chunks() for name in ("indices", "values")))
    users = rows["user_id"].to_numpy()
    order = np.argsort(users)
    return users[order], batch.take(order)


def made(home: Path, events: int) -> Path:
    """Prepare so many events in a folder of their own below `home`, unless they are there; return it."""
    place = home.resolve() / str(events)
    place.mkdir(parents=True, exist_ok=True)
    in_turns(MODULE, ["prepare"], ["--home", str(place), "--events", str(events)], 1)
    return place


# -- the benchmark -----------------------------------------------------------------------------------------------------


def measure(home: Path, fast: bool, events: int | None = None) -> dict[str, Any]:
    """Prepare, time all in turns, compare every peer's rows with ours after the first; return the figures."""
    count = events or (FAST if fast else FULL)
    home, differences = made(home, count), {}
    before, peers = load(), [name for name in ENGINES if not (fast and name in SLOW)]
    figures = in_turns(
        MODULE, [OURS, SPARK, BARE, *peers], ["--home", str(home)], 1 if fast else 3,
        lambda: differences.update({name: disagreement(home, name) for name in peers}), SLOW,
    )  # fmt: skip
    return {"events": count, "users": shape_of(count).users, "windows": WINDOWS, "threads": THREADS, "contenders": figures,
            "largest_difference": differences, "load_before": before, "load_after": load()}  # fmt: skip


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines, ratios to ours as it goes."""
    base = result["contenders"][OURS]["all_s"]
    lines = [
        [name, len(f["all_s"]), f"{f['run_s']:.1f}", f"{result['events'] / f['run_s'] / 1e6:.1f}",
         f"{times(base, f['all_s']):.1f}", f"{f['cpu_s']:.0f}", f"{f['start_s']:.1f}", f"{f['peak_mb'] / 1024:.1f}"]
        for name, f in result["contenders"].items()
    ]  # fmt: skip
    title = f"features of {result['events'] / 1e6:.0f} M events, {result['users'] / 1e3:.0f} k customers"
    heads = [title, "turns", "s", "M events/s", "to ours", "processor s", "start and warm-up s", "peak GB"]
    return [
        *rows_of(heads, lines), "",
        f"Windows {result['windows']} days, {result['threads']} threads each, medians of the turns, of a round's ratios; "
        f"load average {result['load_before']:.1f} before, {result['load_after']:.1f} after.",
    ]  # fmt: skip


def main() -> None:
    """Measure and print the table; with a contender's name, run that one alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", nargs="?", default="all")
    parser.add_argument("--home", type=Path, default=Path("var/bench/features"))
    parser.add_argument("--events", type=int, help="in the window of 91 days")
    parser.add_argument("--fast", action="store_true", help="a tenth of the events, one turn")
    arguments = parser.parse_args()
    if arguments.name == "prepare":
        report(lambda: partial(prepare, arguments.home, arguments.events))
    elif arguments.name != "all":
        report(lambda: start(arguments.name, arguments.home))
    else:
        result = measure(arguments.home, arguments.fast, arguments.events)
        print(json.dumps(result))
        print("\n".join(table(result)))


if __name__ == "__main__":
    main()
