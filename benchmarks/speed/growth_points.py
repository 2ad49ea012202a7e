"""What scoring takes at lakes of many shapes: one process, one thread; reading, scoring and writing every file, nothing else.

Run as a process of its own by :mod:`benchmarks.speed.growth`, so that its memory is that of scoring alone.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.compute as pc

from benchmarks.reference import CATEGORIES, FEATURES, NON_ZEROS
from benchmarks.speed.growth_activity import activity_points
from benchmarks.speed.reference_lake import DAY, REGION, Shape, champion_of, feature_lake
from propensity.contracts import FEATURES as TABLE
from propensity.engine import buckets, scoring
from propensity.engine.worker_model import Champion, model_of
from propensity.storage import Lake

STEPS = {False: range(6), True: range(1, 6, 2)}
"""Doublings of the start, by whether less is wanted."""
LARGEST = STEPS[False][-1]
BUCKET, FEW = 1_600, 4_096
"""Customers of a bucket where they are doubled; of a lake where something else is."""
EVERYTHING = 2**60
"""Bytes up to which the engine starts no Spark."""
_models: dict[str, Any] = {}


@dataclass(frozen=True)
class Axis:
    """One thing that is doubled, and the lakes that it is doubled in."""

    name: str
    shapes: tuple[Shape, ...]
    sizes: tuple[float, ...] | None = None
    """None: the mean of the non-zeros that the customers came to have."""
    own_models: bool = False
    """Whether each lake has its own network; else that of the base shape scores them all."""


def axes(fast: bool) -> tuple[Shape, list[Axis]]:
    """Return the base shape, the reference's (`fast`: an eighth of its features), and what is doubled towards it."""
    steps, features = STEPS[fast], FEATURES // 8 if fast else FEATURES
    base = Shape(FEW, buckets=1, history=True, features=features)
    doubled = [2**step for step in steps]
    wide = [features // 2 ** (LARGEST - step) for step in steps]
    many = [CATEGORIES // 2 ** (LARGEST - step) for step in steps]
    long = [NON_ZEROS * 2 // 2 ** (LARGEST - step) for step in steps]
    return base, [
        Axis("customers", tuple(replace(base, users=BUCKET * n, buckets=n) for n in doubled), tuple(BUCKET * n for n in doubled)),
        Axis("buckets", tuple(replace(base, users=2 * FEW, buckets=n) for n in doubled), tuple(doubled)),
        Axis("non-zeros", tuple(replace(base, non_zeros=n) for n in long)),
        Axis("features", tuple(replace(base, features=n, seed=1) for n in wide), tuple(wide), own_models=True),
        Axis("categories", tuple(replace(base, categories=n, seed=2) for n in many), tuple(many), own_models=True),
    ]


def kept_model(champion: Champion, config: Any, precision: Any) -> Any:
    """Return a champion's model; those of all shapes stay, so that no round loads them again."""
    if champion.digest not in _models:
        _models[champion.digest] = model_of(champion, config, precision)
    return _models[champion.digest]


def processor_seconds(lake: Lake, champion: Champion) -> float:
    """Score every file as the engine's tasks do, one after the other; return the processor seconds that the tasks took."""
    taken: list[float] = []

    def here(function: Callable[..., Any], items: Sequence[Any], shared: Any, _: str | None = None) -> list[Any]:
        begun = time.process_time()
        results = [function(item, shared) for item in items]
        taken.append(time.process_time() - begun)
        return results

    with mock.patch.object(buckets, "map_here", here), mock.patch.object(scoring, "model_of", kept_model):
        scoring.score_region(lake, REGION, DAY, champion, force=True, small=EVERYTHING)
    return sum(taken)


def peak_of(work: Callable[[], object]) -> float:
    """Return the most memory in MB that this process held while it did some work: resident, shared pages included."""
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's high-water mark begins anew
    work()
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def measured(axis: Axis, home: Path, champion: Champion, rounds: int) -> dict[str, Any]:
    """Return an axis's sizes, processor seconds (medians of interleaved rounds) and peak memory."""
    lakes = [feature_lake(home, shape) for shape in axis.shapes]
    champions = [
        champion_of(lake, shape) if axis.own_models else champion for lake, shape in zip(lakes, axis.shapes, strict=True)
    ]
    pairs = list(zip(lakes, champions, strict=True))
    sizes = axis.sizes or [_non_zeros(lake) for lake in lakes]
    # Warm-up and memory at once, small buckets before large ones: what an earlier run left must not hide a later one's growth.
    order = sorted(range(len(pairs)), key=lambda at: axis.shapes[at].users // axis.shapes[at].buckets)
    peaks = {at: peak_of(lambda at=at: processor_seconds(*pairs[at])) for at in order}  # type: ignore[misc]
    taken = [[processor_seconds(*pair) for pair in pairs] for _ in range(rounds)]
    return {
        "name": axis.name,
        "sizes": list(sizes),
        "seconds": [statistics.median(column) for column in zip(*taken, strict=True)],
        "rounds": taken,
        "peak_mb": [peaks[at] for at in range(len(pairs))],
    }


def _non_zeros(lake: Lake) -> float:
    """Return the mean number of features of the customers in a lake."""
    rows = lake.read_rows(TABLE, region=REGION)
    return float(pc.sum(pc.list_value_length(rows["indices"])).as_py() / rows.num_rows)


def main() -> None:
    """Measure every axis, print the figures as JSON in the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    rounds = 1 if arguments.fast else 3
    base, every = axes(arguments.fast)
    lake = feature_lake(arguments.home, base)
    champion = champion_of(lake, base)
    processor_seconds(lake, champion)
    found = []
    for axis in every:
        found.append(measured(axis, arguments.home, champion, rounds))
        print(f"{axis.name}: {', '.join(f'{s:.3f}' for s in found[-1]['seconds'])} s", flush=True)
    found.append(activity_points(arguments.home / "activity", STEPS[arguments.fast], rounds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
