"""Skew: a region of a hundred times the others' customers, and one customer with 100,000 features.

All through the engine, regions one after the other in one Spark session of two tasks, as a day goes.  A bucket's seconds are
those that Spark's event log gives its task.  Customers are dealt to buckets by a hash, so a large region has larger buckets, all
alike; what remains uneven is one customer who is large by himself.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.reference import CHANNELS, FEATURES
from benchmarks.speed.cluster_driver import Driver
from benchmarks.speed.cluster_events import Session, options, session
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import DAY, REGION, Shape, add_region, reference_lake, write_rows
from benchmarks.speed.reference_lake import rows_of as rows_in
from propensity.config import MAX_CHANNELS
from propensity.contracts import FEATURES as TABLE
from propensity.features.csr import SparseBatch
from propensity.storage import Lake

TIMES = 100
"""Customers of the large region, to those of each of the others."""
OTHERS = tuple(f"small-{number}" for number in range(1, 5))
EVEN, GIANT = "even", "with-giant"
HIS_FEATURES = 100_000
BUCKETS, TASKS = 16, 2
LARGE = {False: 96_000, True: 24_000}
FEW = {False: 32_000, True: 10_000}
"""Customers of the region that the giant joins."""
TAIL_BAR, BUSY_BAR = 1.5, 0.8
"""Most that the slowest bucket of the large region takes, to the median one; least share of the time that both tasks work."""
GIANT_BAR = 2.0
"""Most that the slowest bucket takes, to the median one, where one holds the giant."""


def prepare(home: Path, large: Shape, few: Shape) -> None:
    """Make a lake of five regions, one large, and two more that differ by one customer; one champion scores them all."""
    lake, _ = reference_lake(home, large)
    for number, region in enumerate(OTHERS, 1):
        if not lake.files(TABLE, region=region):
            add_region(lake, replace(large, users=large.users // TIMES, seed=number), region)
    if not lake.files(TABLE, region=GIANT):
        add_region(lake, few, EVEN)
        _add_giant(lake, few)


def _add_giant(lake: Lake, shape: Shape) -> None:
    """Write the region's rows with one customer more, of HIS_FEATURES features, in the first bucket."""
    files = []
    for bucket in range(shape.buckets):
        users, batch = rows_in(shape, bucket)
        if bucket == 0:
            users, batch = pa.concat_arrays([users, pa.array([shape.users])]), with_giant(batch)
        files.append(write_rows(lake, GIANT, bucket, users, batch))
    lake.commit(TABLE, files, {"region": GIANT, "score_date": DAY.isoformat()}, {})


def with_giant(batch: SparseBatch, count: int = HIS_FEATURES) -> SparseBatch:
    """Return the rows with one of `count` features more: every second word with all its channels."""
    words = 2 * np.arange(-(-count // len(CHANNELS)))
    his = (words[:, None] * MAX_CHANNELS + np.arange(len(CHANNELS))).ravel()[:count].astype(np.int32)
    indices = np.concatenate([batch.indices, his])
    values = np.concatenate([batch.values, np.full(count, 0.01, np.float32)])
    return SparseBatch(indices, values, np.append(batch.offsets, len(indices)))


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return what regions and buckets take, medians over rounds."""
    home, before, rounds = home.resolve(), load(), 2 if fast else 3
    large = Shape(LARGE[fast], buckets=BUCKETS, history=True)
    few = Shape(FEW[fast], buckets=BUCKETS, history=True, seed=9)
    prepare(home, large, few)
    regions = (REGION, *OTHERS, EVEN, GIANT)
    taken: dict[str, list[float]] = {region: [] for region in regions}
    rows: dict[str, int] = {}
    with Driver(home, "local[2]", options(home / "events")) as driver:
        for number in range(rounds + 1):
            for region in regions:
                told = driver.score(large, f"{region} {number}", region)
                rows[region] = told["rows"]
                taken[region].append(told["seconds"])
            print(f"round {number} of {rounds}: {', '.join(f'{r} {s[-1]:.2f} s' for r, s in taken.items())}", flush=True)
    log = session(home / "events")
    found = {region: _of_region(log, region, rows[region], taken[region][1:]) for region in regions}
    return _judged(found) | {"rounds": rounds, "load": [before, load()]}


def _of_region(log: Session, region: str, rows: int, taken: Sequence[float]) -> dict[str, Any]:
    """Return a region's seconds and its buckets': a bucket's are the median over rounds, in their order."""
    each = [[task.seconds for task in log.of(f"{region} {number}")] for number in range(1, len(taken) + 1)]
    seconds = statistics.median(taken)
    buckets = [statistics.median(column) for column in zip(*each, strict=True)]
    first = min(round_[0] for round_ in each)  # the least disturbed: what one customer adds is less than what rounds differ by
    return {
        "customers": rows, "seconds": seconds, "users_s": rows / seconds, "buckets_s": buckets, "first_s": first,
        "largest_s": max(buckets), "median_s": statistics.median(buckets), "tail": max(buckets) / statistics.median(buckets),
        "busy": statistics.median(sum(one) / TASKS / total for one, total in zip(each, taken, strict=True)),
    }  # fmt: skip


def _judged(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the regions, what the day takes in all to what its large region does, and whether the bars are met."""
    large, giant, even = found[REGION], found[GIANT], found[EVEN]
    day = sum(found[region]["seconds"] for region in (REGION, *OTHERS))
    met = {"large": large["tail"] <= TAIL_BAR and large["busy"] >= BUSY_BAR, "giant": giant["tail"] <= GIANT_BAR}
    return {"regions": found, "day_to_large": day / large["seconds"], "met": met,
            "giant_extra_s": giant["first_s"] - even["first_s"]}  # fmt: skip


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    lines = []
    for region, one in result["regions"].items():
        told = f"{one['customers']:,}", f"{one['seconds']:.2f}", f"{one['users_s']:,.0f}"
        buckets = f"{one['median_s'] * 1e3:.0f}", f"{one['largest_s'] * 1e3:.0f}", f"{one['tail']:.2f}", f"{one['busy']:.2f}"
        lines.append([NAMES.get(region, region), *told, *buckets])
    title = [
        "region",
        "customers",
        "seconds",
        "customers a second",
        "a bucket's ms",
        "the slowest's",
        "tail/median",
        "tasks busy",
    ]
    met = result["met"]
    return [
        "Whether a large region has stragglers, and what one enormous customer holds up.",
        "",
        *rows_of(title, lines),
        "",
        f"The five regions together take {result['day_to_large']:.2f} of the large one.  Bars for it: tail/median {TAIL_BAR}, "
        f"tasks busy {BUSY_BAR}: {_word(met['large'])}.  The customer with {HIS_FEATURES:,} features costs his bucket "
        f"{result['giant_extra_s'] * 1e3:+.0f} ms; bar for tail/median there {GIANT_BAR}: {_word(met['giant'])}.",
        f"float32, {BUCKETS} buckets a region, {FEATURES:,} features, {TASKS} tasks; median of {result['rounds']} rounds in "
        f"turns; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]


NAMES = {REGION: "large", EVEN: "even customers", GIANT: f"and one of {HIS_FEATURES:,} features"}


def _word(said: bool) -> str:
    return "met" if said else "NOT met"
