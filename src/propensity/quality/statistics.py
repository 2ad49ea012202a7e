"""Small statistics of big tables: what the tasks count while they write, and the gates judge afterwards.

Every function takes arrays that are in memory anyway and returns plain JSON values, so that a result fits into a file's
footer or a manifest.  ``examples`` holds at most five strings for each check, for the person who has to find the bad rows.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.errors import MAX_EXAMPLES

UNKNOWN_REGION = "?"
"""Stands for the region of events whose region value no configured region claims."""

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int32]
OffsetArray = npt.NDArray[np.int64]
Statistics = dict[str, Any]


class Sparse(Protocol):
    """What is needed of a sparse batch; the rooms `features` and `quality` do not import each other."""

    @property
    def indices(self) -> IntArray:
        """(N,) feature ids."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(N,) feature values."""

    @property
    def offsets(self) -> OffsetArray:
        """(B + 1,) where each row starts."""


def feature_statistics(batch: Sparse, users: pa.Array) -> Statistics:
    """Count what a feature gate wants to know of B users: ``batch`` (B rows) and ``users`` (B,)."""
    lengths = np.diff(batch.offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    finite = np.isfinite(batch.values)
    falls = _falls(batch.indices, batch.offsets)
    usable = batch.values[finite]
    return {
        "users": len(users),
        "nonzeros": len(batch.indices),
        "empty_rows": int((lengths == 0).sum()),
        "not_finite": int((~finite).sum()),
        "not_ascending": int(falls.sum()),
        "negative_ids": int((batch.indices < 0).sum()),
        "duplicated_users": _repeated(users),
        "longest_row": int(lengths.max(initial=0)),
        "smallest": float(usable.min()) if len(usable) else 0.0,
        "largest": float(usable.max()) if len(usable) else 0.0,
        "examples": {
            "empty_rows": _named(users, lengths == 0),
            "not_finite": _named_by(users, owner[~finite]),
            "not_ascending": _named_by(users, owner[falls]),
            "negative_ids": _named_by(users, owner[batch.indices < 0]),
            "duplicated_users": _repeated_examples(users),
        },
    }


def label_statistics(categories: pa.ListArray, users: pa.Array, known: Iterable[int] | None = None) -> Statistics:
    """Count what a label gate wants to know of B users: ``categories`` (B lists of category ids) and ``users`` (B,).

    `known` are the ids of all categories; None leaves `unknown_category` at 0.
    """
    ids, offsets = _flat(categories)
    lengths = np.diff(offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    falls = _falls(ids, offsets)
    strange = np.zeros(len(ids), bool) if known is None else ~np.isin(ids, np.fromiter(known, np.int64))
    return {
        "users": len(users),
        "positives": len(ids),
        "users_without": int((lengths == 0).sum()),
        "not_ascending": int(falls.sum()),
        "unknown_category": int(strange.sum()),
        "duplicated_users": _repeated(users),
        "examples": {
            "not_ascending": _named_by(users, owner[falls]),
            "unknown_category": [str(i) for i in dict.fromkeys(ids[strange].tolist())][:MAX_EXAMPLES],
            "duplicated_users": _repeated_examples(users),
        },
    }


def score_statistics(scores: pa.Table) -> Statistics:
    """Count what a score gate wants to know of a file of the scores table (columns as in ``contracts.SCORES``)."""
    table = scores.combine_chunks()
    users, (ids, offsets) = table["user_id"], _flat(table["categories"])
    values, value_offsets = _flat(table["scores"])
    lengths, value_lengths = np.diff(offsets), np.diff(value_offsets)
    owner = np.repeat(np.arange(len(value_lengths)), value_lengths)
    wrong = ~((values >= 0) & (values <= 1))  # NaN is neither
    rises = _within(values[1:] > values[:-1], value_offsets) if len(values) else np.zeros(0, bool)
    repeated = _repeated_in_row(ids, lengths)
    tops = values[value_offsets[:-1][value_lengths > 0]]
    return {
        "users": len(users),
        "pairs": len(values),
        "duplicated_users": _repeated(users),
        "not_probability": int(wrong.sum()),
        "not_descending": int(rises.sum()),
        "repeated_category": len(repeated),
        "empty_rows": int((lengths == 0).sum()),
        "uneven_rows": int((lengths != value_lengths).sum()),
        "priors": int(pc.sum(pc.equal(table["score_source"], "prior")).as_py() or 0),
        "sum_top_score": float(tops[np.isfinite(tops)].sum()),
        "mean_top_score": float(tops[np.isfinite(tops)].mean()) if np.isfinite(tops).any() else 0.0,
        "model_versions": pc.unique(table["model_version"]).to_pylist(),
        "run_ids": pc.unique(table["run_id"]).to_pylist(),
        "examples": {
            "duplicated_users": _repeated_examples(users),
            "not_probability": _with_value(users, owner, values, wrong),
            "not_descending": _named_by(users, owner[rises]),
            "repeated_category": _named_by(users, repeated),
            "empty_rows": _named(users, lengths == 0),
            "uneven_rows": _named(users, lengths != value_lengths),
        },
    }


def raw_event_statistics(
    events: pa.Table,
    day: dt.date,
    known_regions: Mapping[str, str],
    *,
    require: Sequence[str] = (),
    expected: bool = True,
) -> Statistics:
    """Count one day's raw events of one source, by region: ``{"statistics": [row, …], "examples": {check: [text, …]}}``.

    `events` has columns user_id, event_time (timestamp, UTC), region (as text) and, where the source has them, value and token
    fields.  `known_regions` maps each value of the region column to its region; a value outside it, null included, counts under
    the region ``?``.  An event is *missing_required* when one of the columns `require` is null.  Each known region gets a row,
    events or none; `expected` says whether a region without events counts as an empty source.
    """
    names = [*dict.fromkeys(known_regions.values()), UNKNOWN_REGION]
    region = _regions(events["region"], known_regions, names)
    flags = _flags(events, day, require)
    flags["unknown_region"] = region == len(names) - 1
    rows = []
    for code, name in enumerate(names):
        mine = region == code
        if name == UNKNOWN_REGION and not mine.any():
            continue
        row: Statistics = {"region": name, "day": day.isoformat(), "events": int(mine.sum())}
        row["users"] = len(pc.unique(events["user_id"].filter(pa.array(mine)).drop_null()))
        row.update({check: int((flag & mine).sum()) for check, flag in flags.items()})
        row["empty_sources"] = int(expected and name != UNKNOWN_REGION and not mine.any())
        rows.append(row)
    return {"statistics": rows, "examples": {c: _event_examples(events, f) for c, f in flags.items() if f.any()}}


def merge_event_statistics(parts: Sequence[Statistics]) -> Statistics:
    """Add up what several sources, or several parts of a day, counted: one row for each (region, day), in that order.

    `users` becomes the largest of the parts, a lower bound: who is in two parts is one user.
    """
    merged: dict[tuple[str, str], Statistics] = {}
    examples: dict[str, list[str]] = {}
    for part in parts:
        for row in part["statistics"]:
            mine = merged.setdefault((row["region"], row["day"]), {"region": row["region"], "day": row["day"]})
            for key, value in row.items():
                if key == "users":
                    mine[key] = max(mine.get(key, 0), value)
                elif key not in {"region", "day"}:
                    mine[key] = mine.get(key, 0) + value
        merge_examples(examples, part["examples"])
    return {"statistics": [merged[key] for key in sorted(merged)], "examples": examples}


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
    return taken.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)


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
    return column.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)


def _flat(column: pa.ListArray | pa.ChunkedArray) -> tuple[npt.NDArray[Any], OffsetArray]:
    """Return (values, offsets from 0) of a list column, sliced ones included."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    offsets = array.offsets.to_numpy().astype(np.int64)
    return array.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]], offsets - offsets[0]


def _within(relation: BoolArray, offsets: OffsetArray) -> BoolArray:
    """Return (N,) whether entry n stands in `relation` to its predecessor in the same row; `relation` is (N - 1,)."""
    flags = np.concatenate([[False], relation])
    starts = offsets[:-1]
    flags[starts[starts < len(flags)]] = False
    return flags


def _falls(ids: IntArray, offsets: OffsetArray) -> BoolArray:
    return _within(ids[1:] <= ids[:-1], offsets) if len(ids) else np.zeros(0, bool)


def _repeated_in_row(ids: IntArray, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the row of each entry whose id stands in that row already."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((ids, owner))
    same = (ids[order][1:] == ids[order][:-1]) & (owner[order][1:] == owner[order][:-1])
    return owner[order][1:][same]


def _repeated(users: pa.Array | pa.ChunkedArray) -> int:
    return len(users) - len(pc.unique(users))


def _repeated_examples(users: pa.Array | pa.ChunkedArray) -> list[str]:
    if not _repeated(users):
        return []
    counts = pc.value_counts(users)
    often = counts.filter(pc.greater(counts.field("counts"), 1))[:MAX_EXAMPLES]
    return [f"user {pair['values']} ({pair['counts']} times)" for pair in often.to_pylist()]


def _named(users: pa.Array | pa.ChunkedArray, flag: BoolArray) -> list[str]:
    return _named_by(users, np.flatnonzero(flag))


def _named_by(users: pa.Array | pa.ChunkedArray, rows: npt.NDArray[Any]) -> list[str]:
    return [f"user {users[int(row)].as_py()}" for row in dict.fromkeys(rows.tolist())][:MAX_EXAMPLES]


def _with_value(users: pa.ChunkedArray, owner: npt.NDArray[Any], values: npt.NDArray[Any], flag: BoolArray) -> list[str]:
    return [f"user {users[int(owner[n])].as_py()}: {values[n]}" for n in np.flatnonzero(flag)[:MAX_EXAMPLES]]
