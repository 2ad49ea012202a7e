"""Statistics of raw events: what landing counts of each day, before anybody may see the day."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.errors import MAX_EXAMPLES

UNKNOWN_REGION = "?"
"""Stands for the region of events whose region value no configured region claims."""

BoolArray = npt.NDArray[np.bool_]
Statistics = dict[str, Any]


def raw_event_statistics(
    events: pa.Table,
    day: dt.date,
    known_regions: Mapping[str, str],
    *,
    require: Sequence[str] = (),
    expected: bool = True,
) -> Statistics:
    """Count one day's raw events of one source: ``{"statistics": [row, …], "examples": {region: {check: [text, …]}}}``.

    `events` has columns user_id, event_time (timestamp, UTC), region (as text) and, where the source has them, value and token
    fields.  `known_regions` maps each value of the region column to its region; a value outside it, null included, counts under
    the region ``?``.  An event is *missing_required* when one of the columns `require` is null.  Each known region gets a row,
    events or none; `expected` says whether a region without events counts as an empty source.
    """
    names = [*dict.fromkeys(known_regions.values()), UNKNOWN_REGION]
    region = _regions(events["region"], known_regions, names)
    flags = _flags(events, day, require)
    flags["unknown_region"] = region == len(names) - 1
    rows, examples = [], {}
    for code, name in enumerate(names):
        mine = region == code
        if name == UNKNOWN_REGION and not mine.any():
            continue
        row: Statistics = {"region": name, "day": day.isoformat(), "events": int(mine.sum())}
        row["users"] = len(pc.unique(events["user_id"].filter(pa.array(mine)).drop_null()))
        row.update({check: int((flag & mine).sum()) for check, flag in flags.items()})
        row["empty_sources"] = int(expected and name != UNKNOWN_REGION and not mine.any())
        rows.append(row)
        examples[name] = {check: _event_examples(events, flag & mine) for check, flag in flags.items() if row[check]}
    return {"statistics": rows, "examples": examples}


def merge_event_statistics(parts: Sequence[Statistics]) -> Statistics:
    """Add up what several sources, or several parts of a day, counted: one row for each (region, day), in that order.

    `users` becomes the largest of the parts, a lower bound: who is in two parts is one user.
    """
    merged: dict[tuple[str, str], Statistics] = {}
    examples: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        for row in part["statistics"]:
            mine = merged.setdefault((row["region"], row["day"]), {"region": row["region"], "day": row["day"]})
            for key, value in row.items():
                if key == "users":
                    mine[key] = max(mine.get(key, 0), value)
                elif key not in {"region", "day"}:
                    mine[key] = mine.get(key, 0) + value
        for region, found in part["examples"].items():
            merge_examples(examples.setdefault(region, {}), found)
    return {"statistics": [merged[key] for key in sorted(merged)], "examples": examples}


def of_region(statistics: Statistics, region: str) -> Statistics:
    """Return what the gate of one region judges: its own rows and those of unknown regions, with their examples.

    The result is ``{"statistics": [row, …], "examples": {check: [text, …]}}``, as the landing manifest keeps it.
    """
    seen = (region, UNKNOWN_REGION)
    examples: dict[str, list[str]] = {}
    for name in seen:
        merge_examples(examples, statistics["examples"].get(name, {}))
    return {"statistics": [row for row in statistics["statistics"] if row["region"] in seen], "examples": examples}


def merge_examples(into: dict[str, list[str]], more: Mapping[str, Sequence[str]]) -> None:
    """Add `more` examples to `into`, keeping five for each check."""
    for check, found in more.items():
        into[check] = [*into.get(check, []), *found][:MAX_EXAMPLES]


def _regions(column: pa.ChunkedArray, known: Mapping[str, str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the position in `names` of each event's region, the last one for an unknown value."""
    position = {name: code for code, name in enumerate(names)}
    codes = pa.array([position[known[value]] for value in known], pa.int64())
    found = pc.index_in(column.cast(pa.string()), value_set=pa.array(list(known), pa.string()))
    taken = codes.take(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)
    found_codes: npt.NDArray[np.int64] = taken.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    return found_codes


def _flags(events: pa.Table, day: dt.date, require: Sequence[str]) -> dict[str, BoolArray]:
    """Return which events fail each check, (N,) each."""
    nothing = np.zeros(events.num_rows, bool)
    moment = events["event_time"].cast(pa.timestamp("us"), safe=False)
    start = dt.datetime.combine(day, dt.time.min)
    inside = pc.and_(pc.greater_equal(moment, start), pc.less(moment, start + dt.timedelta(days=1)))
    missing = nothing.copy()
    for name in require:
        missing |= _bools(events[name].is_null())
    value = events["value"] if "value" in events.column_names else None
    return {
        "duplicated": _duplicated(events),
        "outside_day": _bools(pc.invert(inside)),
        "negative_value": nothing if value is None else _bools(pc.less(value, 0)),
        "null_user": _bools(events["user_id"].is_null()),
        "null_time": _bools(moment.is_null()),
        "missing_required": missing,
    }


def _duplicated(events: pa.Table) -> BoolArray:
    """Mark each exact repetition of an earlier row."""
    numbered = events.append_column("__row", pa.array(np.arange(events.num_rows)))
    plain = pa.table({n: _plain(numbered[n]) for n in numbered.column_names})
    firsts = plain.group_by(events.column_names, use_threads=False).aggregate([("__row", "min")])["__row_min"].to_numpy()
    repeated = np.ones(events.num_rows, bool)
    repeated[firsts] = False
    return repeated


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _event_examples(events: pa.Table, flag: BoolArray) -> list[str]:
    rows = events.take(pa.array(np.flatnonzero(flag)[:MAX_EXAMPLES])).to_pylist()
    shown = [{k: r[k] for k in ("user_id", "event_time", "region", "value") if k in r} for r in rows]
    return [" ".join(f"{k}={v}" for k, v in row.items()) for row in shown]


def _bools(column: pa.ChunkedArray) -> BoolArray:
    flags: BoolArray = column.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
    return flags
