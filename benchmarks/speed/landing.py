"""Landing one day, ours beside DuckDB doing the same; and what a day costs as the window grows.

Ours is ``engine.landing.land``: plan, the counts that the events gate judges, new tokens, activity files by region and bucket,
manifests.  A day so small needs no Spark; it is timed with Spark too, as a large one would go.  DuckDB reads the same file, makes
the same rows, sorted, in as many files; once with the gate's counts and once without.  An ordinary day is one file a bucket; the
last day of a month rewrites the month.  All are warmed up by the same landing.
"""

import argparse
import datetime as dt
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.speed import features
from benchmarks.speed.contest import in_turns, load, report, rows_of, times
from benchmarks.speed.events import day_file
from benchmarks.speed.features_peers import THREADS
from benchmarks.speed.landing_peers import Day, land_by_duckdb
from propensity.storage import Lake

OURS, SPARK, MONTH_END = "ours", "ours, through Spark", "ours, the last day of a month"
COUNTED, PLAIN = "DuckDB, with the gate's counts", "DuckDB, without them"
FEWER = {SPARK: 2, MONTH_END: 2}
"""Turns of those that take a dozen seconds to start and warm up; a first look goes without them."""
MODULE = "benchmarks.speed.landing"


def start_ours(home: Path, day: dt.date, small: int) -> Callable[[], None]:
    """Land a day, with Spark when it is more than `small` bytes; return the same, again and staged only."""
    from propensity.engine.landing import land
    from propensity.events.landing import plan_landing

    lake = Lake(features.config_of(home))

    def run() -> None:
        landing = plan_landing(lake, [day], force=True)
        if landing is not None:
            land(lake, landing, small)

    run()
    return run


def start_duckdb(home: Path, day: dt.date, counts: bool) -> Callable[[], None]:
    """Land a day by DuckDB; return the same."""
    buckets, out = features.config_of(home).tables.buckets, home / "peers" / "landing"
    task = Day(day_file(home, day), home / "vocabulary.parquet", buckets, out)

    def run() -> None:
        land_by_duckdb(task, counts)

    run()
    return run


def start(name: str, home: Path) -> Callable[[], None]:
    """Start a contender; return what is timed."""
    last = features.days()[-1]
    closed = last.replace(day=1) - dt.timedelta(days=1)
    if name in (OURS, SPARK, MONTH_END):
        from propensity.engine.landing import SMALL

        return start_ours(home, closed if name == MONTH_END else last, 0 if name == SPARK else SMALL)
    return start_duckdb(home, last, name == COUNTED)


def measure(home: Path, fast: bool, events: int | None = None) -> dict[str, Any]:
    """Prepare, time all in turns; return the figures.  The data is that of `features`, in the folder beside."""
    count = events or (features.FAST if fast else features.FULL)
    home = features.made(home.parent / "features", count)
    before = load()
    names = [name for name in (OURS, COUNTED, PLAIN, SPARK, MONTH_END) if not (fast and name in FEWER)]
    figures = in_turns(MODULE, names, ["--home", str(home)], 1 if fast else 3, fewer=FEWER)
    return {"events": features.shape_of(count).events_a_day, "threads": THREADS, "contenders": figures, "load_before": before,
            "load_after": load()}  # fmt: skip


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines, ratios to DuckDB with the gate's counts."""
    base = result["contenders"][COUNTED]["all_s"]
    lines = [
        [name, len(f["all_s"]), f"{f['run_s']:.2f}", f"{times(base, f['all_s']):.2f}", f"{f['cpu_s']:.2f}", f"{f['start_s']:.1f}",
         f"{f['peak_mb'] / 1024:.1f}"]
        for name, f in result["contenders"].items()
    ]  # fmt: skip
    title = f"landing a day of {result['events'] / 1e3:.0f} k events"
    heads = [title, "turns", "s", "to DuckDB with counts", "processor s", "start and warm-up s", "peak GB"]
    return [
        *rows_of(heads, lines), "",
        f"{result['threads']} threads each, medians of the turns, of a round's ratios; load average "
        f"{result['load_before']:.1f} before, {result['load_after']:.1f} after.",
    ]  # fmt: skip


def main() -> None:
    """Measure and print the table; with a contender's name, run that one alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", nargs="?", default="all")
    parser.add_argument("--home", type=Path, default=Path("var/bench/landing"))
    parser.add_argument("--events", type=int, help="in the window of 91 days")
    parser.add_argument("--fast", action="store_true", help="a tenth of the events, one turn")
    arguments = parser.parse_args()
    if arguments.name != "all":
        report(partial(start, arguments.name, arguments.home))
        return
    result = measure(arguments.home, arguments.fast, arguments.events)
    print(json.dumps(result))
    print("\n".join(table(result)))


if __name__ == "__main__":
    main()
