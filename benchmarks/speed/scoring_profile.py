"""Where the time of scoring goes: one process, one thread, every bucket of a region, in processor time a customer.

The network has both paths, as trained ones have; what peers compute in ``scoring`` has the sparse path alone.
"""

import cProfile
import pstats
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.config import Config
from propensity.config.scoring import Precision
from propensity.engine import scoring as engine

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
USERS = {False: 40_000, True: 10_000}
STAGES = {
    "read the feature files": ("storage.py", "read"),
    "look features up": ("reduced.py", "look_up"),
    "gather embedding rows, multiply matrices": ("reduced.py", "products"),
    "the history path": ("batch_kernel.py", "finish"),
    "the whole network in compiled loops": ("propensity_kernel.py", "score_rows"),
    "choose the 50 likeliest": ("predictor.py", "likeliest"),
    "count for the drift table": ("distributions.py", "add"),
    "count what the gate judges": ("statistics.py", "score_statistics"),
    "write the score files": ("storage.py", "_write_atomically"),
}
"""What a line is called, and the end of the file and the function whose time it is, callees included."""


def _here(_: Config, function: Any, items: Any, shared: Any, *__: object) -> list[Any]:
    return [function(item, shared) for item in items]


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the microseconds a customer of each stage, and of the whole, in each precision."""
    before, users = load(), USERS[fast]
    found = {precision: profiled(home, Shape(users, buckets=4, history=True), precision) for precision in PRECISIONS}
    return {"users": users, "precisions": found, "load": [before, load()]}


def profiled(home: Path, shape: Shape, precision: Precision) -> dict[str, float]:
    """Return a precision's microseconds by stage; `whole` is all of them and what is in none."""
    import torch

    torch.set_num_threads(1)
    lake, champion = reference_lake(home, shape, precision)
    profile = cProfile.Profile(time.process_time)
    with mock.patch.object(engine, "map_cheaply", _here), mock.patch.object(engine, "resolve_precision", return_value=precision):
        for last in (False, True):  # the first time compiles
            begun = time.process_time()
            if last:
                profile.enable()
            engine.score_region(lake, REGION, DAY, champion, force=True)
            profile.disable()
    whole = time.process_time() - begun
    return {name: 1e6 * s / shape.users for name, s in (_seconds(profile) | {"whole": whole}).items()}


def _seconds(profile: cProfile.Profile) -> dict[str, float]:
    spent = dict.fromkeys(STAGES, 0.0)
    for (path, _, function), figures in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        for stage, (end, name) in STAGES.items():
            if function == name and "/propensity/" in path and path.endswith(end):
                spent[stage] += figures[3]
    return spent


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    found = result["precisions"]
    rest = {name: one["whole"] - sum(one[stage] for stage in STAGES) for name, one in found.items()}
    lines = [[stage, *(f"{found[name][stage]:.1f}" for name in found)] for stage in STAGES]
    lines += [["everything else", *(f"{rest[name]:.1f}" for name in found)]]
    lines += [["**all**", *(f"**{found[name]['whole']:.1f}**" for name in found)]]
    title = ["processor time, µs a customer, one thread", *found]
    return [
        *rows_of(title, lines), "",
        f"{result['users']:,} customers, both paths; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]  # fmt: skip
