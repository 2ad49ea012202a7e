"""Small statistics of big tables: what the tasks count while they write, and the gates judge afterwards.

Every function takes arrays that are in memory anyway and returns plain JSON values, so that a result fits into a file's
footer or a manifest.  ``examples`` holds at most five strings for each check, for the person who has to find the bad rows.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.errors import MAX_EXAMPLES
from propensity.features.csr import IntArray, OffsetArray, SparseBatch

NAMED_AT_MOST = 1000
"""Of so many bad entries, the first ones, examples are chosen: a broken table must not cost a name for each row."""

DISTRIBUTIONS = "distributions"
"""Under this key a score file's footer has what its customers' features and scores look like, for the drift table."""

BoolArray = npt.NDArray[np.bool_]
Statistics = dict[str, Any]


def feature_statistics(batch: SparseBatch, users: pa.Array) -> Statistics:
    """Count what a feature gate wants to know of B users: ``batch`` (B rows) and ``users`` (B,)."""
    lengths = np.diff(batch.offsets)
    finite = np.isfinite(batch.values)
    falls, negative = _falls(batch.indices, batch.offsets), batch.indices < 0
    usable = batch.values if finite.all() else batch.values[finite]
    return {
        "users": len(users),
        "nonzeros": len(batch.indices),
        "empty_rows": int((lengths == 0).sum()),
        "not_finite": int((~finite).sum()),
        "not_ascending": int(falls.sum()),
        "negative_ids": int(negative.sum()),
        "duplicated_users": _repeated(users),
        "longest_row": int(lengths.max(initial=0)),
        "smallest": float(usable.min()) if len(usable) else 0.0,
        "largest": float(usable.max()) if len(usable) else 0.0,
        "examples": {
            "empty_rows": _named(users, lengths == 0),
            "not_finite": _named_by(users, _rows_of(batch.offsets, ~finite)),
            "not_ascending": _named_by(users, _rows_of(batch.offsets, falls)),
            "negative_ids": _named_by(users, _rows_of(batch.offsets, negative)),
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
        "priors": _equal(table["score_source"], "prior"),
        "profiles": _equal(table["score_source"], "profile"),
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


def _equal(column: pa.Array | pa.ChunkedArray, value: str) -> int:
    return int(pc.sum(pc.equal(column, value)).as_py() or 0)


def _flat(column: pa.ListArray | pa.ChunkedArray) -> tuple[npt.NDArray[Any], OffsetArray]:
    """Return (values, offsets from 0) of a list column, sliced ones included."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    offsets = array.offsets.to_numpy().astype(np.int64)
    values: npt.NDArray[Any] = array.values.to_numpy(zero_copy_only=False)
    return values[offsets[0] : offsets[-1]], offsets - offsets[0]


def _within(relation: BoolArray, offsets: OffsetArray) -> BoolArray:
    """Return (N,) whether entry n stands in `relation` to its predecessor in the same row; `relation` is (N - 1,)."""
    flags = np.concatenate([[False], relation])
    starts = offsets[:-1]
    flags[starts[starts < len(flags)]] = False
    return flags


def _falls(ids: IntArray, offsets: OffsetArray) -> BoolArray:
    return _within(ids[1:] <= ids[:-1], offsets) if len(ids) else np.zeros(0, bool)


def _rows_of(offsets: OffsetArray, flag: BoolArray) -> npt.NDArray[np.int64]:
    """Return the row of each flagged entry: usually there is none, and no need to know every entry's."""
    rows: npt.NDArray[np.int64] = np.searchsorted(offsets, np.flatnonzero(flag), side="right") - 1
    return rows


def _repeated_in_row(ids: IntArray, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the row of each entry whose id stands in that row already."""
    if len(lengths) and (lengths == lengths[0]).all():  # the usual case: sorting short rows of equal length is ten times quicker
        rows = np.sort(ids.reshape(len(lengths), -1), axis=1)
        return np.nonzero(rows[:, 1:] == rows[:, :-1])[0]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((ids, owner))
    same = (ids[order][1:] == ids[order][:-1]) & (owner[order][1:] == owner[order][:-1])
    repeated: npt.NDArray[np.int64] = owner[order][1:][same]
    return repeated


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
    names = dict.fromkeys(f"user {users[int(row)].as_py()}" for row in rows[:NAMED_AT_MOST].tolist())
    return list(names)[:MAX_EXAMPLES]


def _with_value(users: pa.ChunkedArray, owner: npt.NDArray[Any], values: npt.NDArray[Any], flag: BoolArray) -> list[str]:
    return [f"user {users[int(owner[n])].as_py()}: {values[n]}" for n in np.flatnonzero(flag)[:MAX_EXAMPLES]]
