"""What a day's features take as the customers of a region grow: from landed activity, the engine's own step, in one process."""

import datetime as dt
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.speed.events import Shape, configuration, write_day
from propensity.contracts import ACTIVITY
from propensity.storage import Lake

DAYS, REGION = 28, "us"
FIRST = dt.date(2025, 2, 1)
START = 2_000
"""Customers of all regions at the smallest point."""
EVENTS_EACH = 20
EVERYTHING = 2**60
"""Bytes up to which the engine starts no Spark."""


def landed_lake(home: Path, users: int) -> Lake:
    """Return a lake with so many customers' events of DAYS days, of one region landed; what is there stays."""
    from propensity.engine.landing import commit, land
    from propensity.events.landing import plan_landing

    shape = Shape(users=users, events_a_day=users * EVENTS_EACH // DAYS, tokens=20_000)
    days = [FIRST + dt.timedelta(days=n) for n in range(DAYS)]
    home = home / str(users)
    for day in days:
        write_day(home, shape, day)
    lake = Lake(configuration(home, FIRST, (7, DAYS)))
    landing = plan_landing(lake, days, regions=[REGION])
    if landing is not None:
        land(lake, landing, small=EVERYTHING)
        commit(lake, landing.id, REGION)
    return lake


def processor_seconds(lake: Lake) -> float:
    """Make and commit the region's features of the day after; return the processor seconds it took."""
    from propensity.engine.features import make_features

    begun = time.process_time()
    make_features(lake, REGION, [FIRST + dt.timedelta(days=DAYS)], force=True, small=EVERYTHING)
    return time.process_time() - begun


def activity_points(home: Path, steps: Iterable[int], rounds: int) -> dict[str, Any]:
    """Return the axis as :func:`growth_points.measured` does, without memory; sizes are the region's activity rows."""
    lakes = [landed_lake(home, START * 2**step) for step in steps]
    for lake in lakes:
        processor_seconds(lake)
    taken = [[processor_seconds(lake) for lake in lakes] for _ in range(rounds)]
    return {
        "name": "activity, to features",
        "sizes": [sum(file.rows for file in lake.files(ACTIVITY, region=REGION)) for lake in lakes],
        "seconds": [statistics.median(column) for column in zip(*taken, strict=True)],
        "rounds": taken,
        "peak_mb": [],
    }
