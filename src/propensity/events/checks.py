"""What is counted of raw events before they land: the figures that the events gate judges, with examples."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class Regions(NamedTuple):
    """The regions of N events."""

    names: tuple[str, ...]
    """As configured, then UNKNOWN_REGION."""
    of: npt.NDArray[np.int32]
    """(N,) position in `names`."""

    def known(self) -> npt.NDArray[np.bool_]:
        """Return (N,) whether there is one."""
        return self.of < len(self.names) - 1


@dataclass
class Tally:
    """Counts by (region, day), and up to five examples of each kind of bad row in each region."""

    counts: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    examples: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Region -> check -> texts."""

    def of(self, region: str, day: int) -> dict[str, int]:
        """Return the counts of one region and day, to add to."""
        return self.counts.setdefault((region, day), dict.fromkeys(COUNTS, 0))

    def add(self, check: str, places: "_Places", bad: npt.NDArray[np.bool_]) -> None:
        """Add the rows where `bad` is true to the counts of their region and day."""
        for key, amount in zip(places.keys, np.bincount(places.of[bad]).tolist(), strict=False):
            if amount:
                self.of(*key)[check] += amount

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


class _Places(NamedTuple):
    """The (region, day) of every one of N rows."""

    keys: list[tuple[str, int]]
    of: npt.NDArray[np.int64]
    """(N,) position in `keys`."""


def _places(region: Regions, day: npt.NDArray[np.int32]) -> _Places:
    keys = (region.of.astype(np.int64) << 32) + (day.astype(np.int64) + (1 << 31))
    encoded = pa.array(keys).dictionary_encode()
    found = [(region.names[key >> 32], (key & 0xFFFFFFFF) - (1 << 31)) for key in encoded.dictionary.to_pylist()]
    return _Places(found, encoded.indices.to_numpy().astype(np.int64))


def tally(
    events: pa.Table, source: EventSource, path: str, region: Regions, day: npt.NDArray[np.int32], said: int | None
) -> Tally:
    """Count a file's N events.

    `day` is (N,) the day of each event; `said` is the day that the file's name says, or None.  Events outside it are counted
    under the day said.
    """
    result, user = Tally(), events["user_id"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    time_missing = events["event_time"].is_null().to_numpy()
    home = np.where(time_missing, -1, day) if said is None else np.full(len(day), said, np.int32)
    checks = {
        "events": np.ones(len(day), bool),
        "expected": np.full(len(day), not source.optional),
        "duplicated": _duplicates(events, user),
        "outside_day": np.zeros(len(day), bool) if said is None else (day != said) & ~time_missing,
        "negative_value": np.asarray(pc.less(events["value"], 0).fill_null(False)),
        "null_user": events["user_id"].is_null().to_numpy(),
        "null_time": time_missing,
        "missing_required": missing_required(events, source),
        "unknown_region": ~region.known(),
    }
    places = _places(region, home)
    for check, bad in checks.items():
        result.add(check, places, bad)
        if check not in ("events", "expected", "missing_required") and bad.any():
            for number in np.unique(region.of[bad]).tolist():
                worst = events.filter(pa.array(bad & (region.of == number))).slice(0, MAX_EXAMPLES)
                result.examples.setdefault(region.names[number], {})[check] = [_show(row, path) for row in worst.to_pylist()]
    for place, users in enumerate(_users(user, places)):
        result.of(*places.keys[place])["users"] = users
    return result


def missing_required(events: pa.Table, source: EventSource) -> npt.NDArray[np.bool_]:
    """Return (N,) whether an event lacks a field that its source requires."""
    missing = np.zeros(len(events), bool)
    for name in source.require:
        missing |= events[name].is_null().to_numpy()
    return missing


def _duplicates(events: pa.Table, user: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return (N,) whether an equal row stands before this one."""
    repeated = np.zeros(len(events), bool)
    maybe = np.flatnonzero(_at_one_time(events, user))
    numbered = events.take(pa.array(maybe)).append_column("row", pa.array(maybe))
    first = numbered.group_by(events.column_names, use_threads=False).aggregate([("row", "min")])["row_min"].to_numpy()
    repeated[maybe] = True
    repeated[first] = False
    return repeated


def _at_one_time(events: pa.Table, user: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return (N,) whether another event seems to have the same customer and time: the only ones whose columns are compared."""
    time = events["event_time"].cast(pa.int64()).fill_null(-1).to_numpy()
    key = time * np.int64(0x9E3779B97F4A7C1) + user  # two that differ may share a key, and are then compared for nothing
    order = np.argsort(key)
    same = key[order][1:] == key[order][:-1]
    result = np.zeros(len(key), bool)
    result[order[1:]] = same
    result[order[:-1]] |= same
    return result


def _users(user: npt.NDArray[np.int32], places: _Places) -> list[int]:
    """Return how many different customers each place has; `user` is (N,), negative for none."""
    known = user >= 0
    pairs = pc.unique(pa.array((places.of[known] << 32) | user[known])).to_numpy()
    counts: list[int] = np.bincount(pairs >> 32, minlength=len(places.keys)).tolist()
    return counts


def _show(row: Mapping[str, Any], path: str) -> str:
    time = row["event_time"].strftime("%Y-%m-%d %H:%M:%S") if row["event_time"] else "no time"
    return f"user {row['user_id']} at {time} worth {row['value']} in {row['region']!r} [{path.rsplit('/', 1)[-1]}]"
