"""Where the time of the daily features goes: one process, every bucket of the largest region, in processor time."""

import cProfile
import pstats
import shutil
import time
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.speed import features
from benchmarks.speed.contest import load, rows_of
from propensity.config import Config
from propensity.contracts import ACTIVITY, FEATURES
from propensity.storage import Lake

STAGES = {
    "read activity files": "read",
    "merge them by (user, token, day)": "sort_activity",
    "make the features": "build_features",
    "check the rows": "check",
    "count what the gate judges": "feature_statistics",
    "write the feature files": "_write_atomically",
    "commit": "commit",
}
"""What a line of the table is called, and the function whose time it is, callees included."""


def _here(_: Config, function: Any, items: Any, shared: Any, *__: object) -> list[Any]:
    return [function(item, shared) for item in items]


def measure(home: Path, fast: bool, events: int | None = None) -> dict[str, Any]:
    """Return the seconds of each stage, and of the whole."""
    from propensity.engine import features as engine

    home = features.made(home.parent / "features", events or (features.FAST if fast else features.FULL))
    lake = Lake(features.config_of(home))
    region, before, profile = lake.config.region_names[0], load(), cProfile.Profile(time.process_time)
    for last in (False, True):  # the first time compiles
        shutil.rmtree(lake.path(FEATURES.name), ignore_errors=True)
        with mock.patch.object(engine, "map_cheaply", _here):
            begun = time.process_time()
            if last:
                profile.enable()
            engine.make_features(lake, region, [features.SCORE_DATE], force=False, small=0)
            profile.disable()
    whole = time.process_time() - begun
    rows = sum(file.rows for file in lake.files(ACTIVITY, region=region))
    return {"rows": rows, "whole_s": whole, "stages": _seconds(profile), "load_before": before, "load_after": load()}


def _seconds(profile: cProfile.Profile) -> dict[str, float]:
    spent = dict.fromkeys(STAGES, 0.0)
    names = {function: stage for stage, function in STAGES.items()}
    for (path, _, function), figures in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if function in names and "/propensity/" in path:
            spent[names[function]] += figures[3]
    return spent


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    stages = {**result["stages"], "everything else": result["whole_s"] - sum(result["stages"].values())}
    lines = [
        [name, f"{s:.2f}", f"{100 * s / result['whole_s']:.0f}%", f"{1e9 * s / result['rows']:.0f}"] for name, s in stages.items()
    ]
    heads = [f"{result['rows'] / 1e6:.1f} M rows of activity, one process", "s", "share", "ns a row"]
    return [*rows_of(heads, lines), "", f"{result['whole_s']:.2f} s in all; load average {result['load_before']:.1f} before, "
            f"{result['load_after']:.1f} after."]  # fmt: skip
