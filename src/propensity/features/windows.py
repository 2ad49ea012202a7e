"""From activity to sparse feature rows: pure functions over the sorted events of one bucket.

Everything is point in time: a row for `score_date` sees days before it and none after.  Missing is not zero: a channel
without an event has no entry.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import Config
from propensity.contracts import day_number
from propensity.errors import DataError
from propensity.features.csr import SparseBatch

if TYPE_CHECKING:
    from propensity.features.merging_kernel import Rows
    from propensity.features.windows_kernel import Channels

RECENCY_DAYS = 28.0
"""Decay of the recency channel: exp(-days since the last event / 28)."""

LOGS = 4096
"""Counts below it have their log1p looked up."""
BLOCK = 1 << 12
"""Values whose log1p is computed at once: they stay in the processor's cache."""


def training_cutoffs(config: Config, score_date: dt.date) -> tuple[dt.date, ...]:
    """Return the label windows' starts, newest first: held-out test, validation, then the other training windows.

    Windows do not overlap, and the newest one ends on `score_date`: its labels are complete.
    """
    step = dt.timedelta(days=config.features.horizon_days)
    return tuple(score_date - step * k for k in range(1, config.models.train_windows + 2))


def needed_dates(config: Config, score_date: dt.date, purpose: str) -> tuple[dt.date, ...]:
    """Return the dates to build features for: the training cutoffs, or for scoring the score date alone."""
    return training_cutoffs(config, score_date) if purpose == "training" else (score_date,)


@dataclass(frozen=True)
class Activity:
    """A bucket's activity, sorted by (user, token, day).  R rows."""

    users: pa.Array
    """(U,) the different users, ascending."""
    user: npt.NDArray[np.int32]
    """(R,) position in `users`."""
    token: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    """(R,) days since 1970-01-01."""
    count: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return the rows as a table of that schema, as activity files have it."""
        user = self.users.take(pa.array(self.user))
        return pa.table([user, self.token, pa.array(self.day).cast(pa.date32()), self.count, self.value], schema=schema)

    def repeats(self) -> bool:
        """Say whether any two rows have the same user, token and day."""
        same = [column[1:] == column[:-1] for column in (self.user, self.token, self.day)]
        return bool(np.logical_and.reduce(same).any())

    def rows(self) -> "Rows":
        """Return the rows for compiled code."""
        from propensity.features.merging_kernel import Rows  # compiled code is a worker's business, not the driver's

        return Rows(self.user, self.token, self.day, self.count, self.value)


def sort_activity(parts: Sequence[pa.Table], schema: pa.Schema) -> Activity:
    """Return the rows of some activity files, of that schema, in the order that :func:`build_features` needs.

    Files are sorted by (user, token, day), so they are merged; raise DataError for one that is not.
    """
    from propensity.features.merging_kernel import Rows, merge

    parts = [schema.empty_table(), *parts]
    starts = np.cumsum([0, *(part.num_rows for part in parts)])
    users, user = _positions([part["user_id"].combine_chunks() for part in parts])
    table = pa.concat_tables(parts)
    days = table["event_date"].cast(pa.int32())
    rows = Rows(user, *(_owned(column) for column in (table["token"], days, table["count"], table["value"])))
    result = Rows(*(np.empty_like(column) for column in rows))
    wrong = merge(rows, starts, len(users), result)
    if wrong >= 0:
        example = [str(value) for value in table.slice(wrong, 1).to_pylist()]
        raise DataError(
            "rows of a file are not in the order of (user, token, day)", where="activity", examples=example,
            do="land the days of that file again, with --force",
        )  # fmt: skip
    return Activity(users, *result)


def _owned(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column as an array that compiled code takes: in one piece and writable."""
    return np.concatenate([np.zeros(0, column.type.to_pandas_dtype()), *(chunk.to_numpy() for chunk in column.chunks)])


def _positions(ids: Sequence[pa.Array]) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Return the different ids, ascending, and the position of each row's among them; ids come in runs."""
    runs = [pc.run_end_encode(part) for part in ids]
    users, position = ranked(pa.concat_arrays([run.values for run in runs]))
    lengths = np.concatenate([np.diff(run.run_ends.to_numpy(), prepend=0) for run in runs])
    return users, np.repeat(position, lengths)


def ranked(ids: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Return the different ids, ascending, and the position of each one's among them."""
    encoded = ids.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return encoded.dictionary.take(pa.array(order)), rank[encoded.indices.to_numpy()]


@dataclass(frozen=True)
class Plan:
    """Which channels there are and which of them each token has."""

    channels: tuple[str, ...]
    """Names by slot, as ``Features.channel_names`` gives them."""
    masks: npt.NDArray[np.uint32]
    """(T,) bit s of a token's mask: the token has channel s."""
    history_days: int

    def at(self, score_date: dt.date) -> "Channels":
        """Return the plan of one score date for compiled code."""
        from propensity.features import windows_kernel as kernel

        codes = {"count": kernel.COUNT, "days": kernel.DAYS, "value": kernel.VALUE, "recency": kernel.RECENCY,
                 "interval": kernel.INTERVAL}  # fmt: skip
        split = [name.partition("_") for name in self.channels]
        kinds = np.array([codes[kind] for kind, _, _ in split], np.int64)
        windows = np.array([int(window or 0) for _, _, window in split], np.int64)
        decay = np.exp(-np.arange(self.history_days + 1) / RECENCY_DAYS).astype(np.float32)
        logs = np.log1p(np.arange(LOGS, dtype=np.float64)).astype(np.float32)
        return kernel.Channels(kinds, windows, np.array(self.masks), day_number(score_date), self.history_days, logs, decay)


def build_features(activity: Activity, score_date: dt.date, plan: Plan) -> tuple[pa.Array, SparseBatch]:
    """Return the users with an event in the history before `score_date`, ascending, and their features.

    Raise DataError for a token that the plan does not know.
    """
    from propensity.features.windows_kernel import Found, find, place, room

    unknown = int((activity.token >= len(plan.masks)).sum())
    if unknown:
        raise DataError("tokens without an id", where="activity", count=unknown, do="restore the tokens table")
    rows, channels = activity.rows(), plan.at(score_date)
    entries, users = room(rows, channels.masks)
    found = Found(
        np.empty(entries, np.int32), np.empty(entries, np.float32), np.empty(entries, np.int64), np.empty(entries, np.float64),
        np.empty(users, np.int32), np.empty(users + 1, np.int64),
    )  # fmt: skip
    entries, late, users = find(rows, channels, found)
    for start in range(0, late, BLOCK):
        stop = min(start + BLOCK, late)
        raw = found.raw[start:stop]
        size = np.abs(raw)
        place(found, start, np.copysign(np.log1p(size, out=size), raw, out=size))
    batch = SparseBatch(found.ids[:entries], found.values[:entries], found.offsets[: users + 1])
    return activity.users.take(pa.array(found.users[:users])), batch
