"""What is counted of raw events before they land: the figures that the events gate judges, with examples."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import EventSource
from propensity.errors import MAX_EXAMPLES

COUNTS = (
    "events",
    "expected",
    "users",
    "duplicated",
    "outside_day",
    "negative_value",
    "null_user",
    "null_time",
    "missing_required",
    "unknown_region",
)
"""The columns of the events gate's table, one row a (region, day).

`expected` counts the events of the sources that deliver every day: a day of campaigns without a purchase is an empty day."""

UNKNOWN_REGION = "?"


@dataclass
class Tally:
    """Counts by (region, day), and up to five examples of each kind of bad row in each region."""

    counts: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    examples: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Region -> check -> texts."""

    def of(self, region: str, day: int) -> dict[str, int]:
        """Return the counts of one region and day, to add to."""
        return self.counts.setdefault((region, day), dict.fromkeys(COUNTS, 0))

    def add(self, check: str, region: npt.NDArray[Any], day: npt.NDArray[np.int32], bad: npt.NDArray[np.bool_]) -> None:
        """Add the rows where `bad` is true to the counts of their region and day."""
        pairs, amounts = np.unique(np.stack([region[bad].astype(str), day[bad].astype(str)]), axis=1, return_counts=True)
        for name, number, amount in zip(*pairs, amounts, strict=True):
            self.of(str(name), int(number))[check] += int(amount)

    def merge(self, other: "Tally") -> None:
        """Add another file's tally to this one (users add up: the files of a day are different sources)."""
        for key, counted in other.counts.items():
            for check, amount in counted.items():
                self.of(*key)[check] += amount
        for region, mine in other.examples.items():
            for check, texts in mine.items():
                kept = self.examples.setdefault(region, {})
                kept[check] = (kept.get(check, []) + texts)[:MAX_EXAMPLES]

    def examples_for(self, region: str) -> dict[str, list[str]]:
        """Return check -> examples of one region, with those of rows that belong to no region."""
        mine, nobodys = self.examples.get(region, {}), self.examples.get(UNKNOWN_REGION, {})
        return {check: (mine.get(check, []) + nobodys.get(check, []))[:MAX_EXAMPLES] for check in {**mine, **nobodys}}

    def rows(self, region: str, days: Iterable[int], dates: Mapping[int, dt.date]) -> list[dict[str, Any]]:
        """Return the gate's rows of one region: every day asked for, with zeros where nothing came.

        Rows of an unknown region belong to nobody, so every region's gate sees them.
        """
        result = []
        for day in days:
            unknown = self.counts.get((UNKNOWN_REGION, day), {}).get("events", 0)
            mine = dict(self.counts.get((region, day), dict.fromkeys(COUNTS, 0)))
            result.append({"region": region, "event_date": dates[day].isoformat(), **mine, "unknown_region": unknown})
        return result


def tally(
    events: pa.Table, source: EventSource, path: str, region: npt.NDArray[Any], day: npt.NDArray[np.int32], said: int | None
) -> Tally:
    """Count a file's events.

    `region` and `day` are (N,) the configured region (``?`` for unknown) and the day of each event; `said` is the day that
    the file's name says, or None.  Events outside it are counted under the day said.
    """
    result = Tally()
    time_missing = events["event_time"].is_null().to_numpy()
    home = np.where(time_missing, -1, day) if said is None else np.full(len(day), said, np.int32)
    checks = {
        "events": np.ones(len(day), bool),
        "expected": np.full(len(day), not source.optional),
        "duplicated": _duplicates(events),
        "outside_day": np.zeros(len(day), bool) if said is None else (day != said) & ~time_missing,
        "negative_value": np.asarray(pc.less(events["value"], 0).fill_null(False)),
        "null_user": events["user_id"].is_null().to_numpy(),
        "null_time": time_missing,
        "missing_required": missing_required(events, source),
        "unknown_region": region == UNKNOWN_REGION,
    }
    for check, bad in checks.items():
        result.add(check, region, home, bad)
        if check not in ("events", "expected", "missing_required") and bad.any():
            for name in np.unique(region[bad].astype(str)):
                worst = events.filter(pa.array(bad & (region == name))).slice(0, MAX_EXAMPLES)
                result.examples.setdefault(str(name), {})[check] = [_show(row, path) for row in worst.to_pylist()]
    for key, users in _users(events, region, home).items():
        result.of(*key)["users"] = users
    return result


def missing_required(events: pa.Table, source: EventSource) -> npt.NDArray[np.bool_]:
    """Return (N,) whether an event lacks a field that its source requires."""
    missing = np.zeros(len(events), bool)
    for name in source.require:
        missing |= events[name].is_null().to_numpy()
    return missing


def _duplicates(events: pa.Table) -> npt.NDArray[np.bool_]:
    """Return (N,) whether an equal row stands before this one."""
    numbered = events.append_column("row", pa.array(np.arange(len(events))))
    first = numbered.group_by(events.column_names, use_threads=False).aggregate([("row", "min")])["row_min"].to_numpy()
    repeated = np.ones(len(events), bool)
    repeated[first] = False
    return repeated


def _users(events: pa.Table, region: npt.NDArray[Any], day: npt.NDArray[np.int32]) -> dict[tuple[str, int], int]:
    frame = pa.table({"region": pa.array(region), "day": pa.array(day), "user": events["user_id"]})
    counted = frame.group_by(["region", "day"]).aggregate([("user", "count_distinct")]).to_pylist()
    return {(str(row["region"]), int(row["day"])): int(row["user_count_distinct"]) for row in counted}


def _show(row: Mapping[str, Any], path: str) -> str:
    time = row["event_time"].strftime("%Y-%m-%d %H:%M:%S") if row["event_time"] else "no time"
    return f"user {row['user_id']} at {time} worth {row['value']} in {row['region']!r} [{path.rsplit('/', 1)[-1]}]"
