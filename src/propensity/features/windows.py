"""From activity to sparse feature rows: pure functions over the sorted events of one bucket.

Everything is point in time: a row for `score_date` sees days before it and none after.  Missing is not zero: a channel
without an event has no entry.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import MAX_CHANNELS, Config
from propensity.contracts import day_number
from propensity.features.csr import SparseBatch

RECENCY_DAYS = 28.0
"""Decay of the recency channel: exp(-days since the last event / 28)."""


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
    user: npt.NDArray[np.int64]
    """(R,) position in `users`."""
    token: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    """(R,) days since 1970-01-01."""
    count: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]


def sort_activity(parts: Sequence[pa.Table], schema: pa.Schema) -> Activity:
    """Return the rows of some activity files, of that schema, in the order that :func:`build_features` needs."""
    table = pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
    ids = table["user_id"].combine_chunks()
    users = pc.unique(ids)
    users = users.take(pc.sort_indices(users))
    user = pc.index_in(ids, value_set=users).to_numpy().astype(np.int64)
    token = table["token"].to_numpy()
    day = table["event_date"].cast(pa.int32()).to_numpy()
    order = np.lexsort((day, (user << 32) | token))
    count, value = table["count"].to_numpy(), table["value"].to_numpy()
    return Activity(users, user[order], token[order], day[order], count[order], value[order])


@dataclass(frozen=True)
class Plan:
    """Which channels there are and which of them each token has."""

    channels: tuple[str, ...]
    """Names by slot, as ``Features.channel_names`` gives them."""
    masks: npt.NDArray[np.uint32]
    """(T,) bit s of a token's mask: the token has channel s."""
    history_days: int


def build_features(activity: Activity, score_date: dt.date, plan: Plan) -> tuple[pa.Array, SparseBatch]:
    """Return the users with an event in the history before `score_date`, ascending, and their features."""
    end = day_number(score_date)
    seen = (activity.day < end) & (activity.day >= end - plan.history_days)
    seen &= plan.masks[activity.token] != 0
    user, token, day = activity.user[seen], activity.token[seen], activity.day[seen]
    if not len(user):
        return activity.users.slice(0, 0), SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int64))
    first = np.flatnonzero(np.concatenate([[True], (user[1:] != user[:-1]) | (token[1:] != token[:-1])]))
    pairs = _Pairs(first, end - day, activity.count[seen], activity.value[seen])
    matrix = np.stack([pairs.channel(name) for name in plan.channels], axis=1)
    slots = np.arange(len(plan.channels), dtype=np.uint32)
    has = ((plan.masks[token[first]][:, None] >> slots) & 1).astype(bool) & (matrix != 0)
    ids = token[first][:, None] * np.int32(MAX_CHANNELS) + slots.astype(np.int32)
    present, start = np.unique(user[first], return_index=True)
    lengths = np.add.reduceat(has.sum(axis=1), start)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return activity.users.take(pa.array(present)), SparseBatch(ids[has], matrix[has], offsets)


@dataclass(frozen=True)
class _Pairs:
    """The events of P (user, token) pairs: pair p's rows run from ``first[p]`` to the next one's."""

    first: npt.NDArray[np.int64]
    ago: npt.NDArray[np.int32]
    """Days before the score date, descending within a pair, at least 1."""
    count: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]

    def channel(self, name: str) -> npt.NDArray[np.float32]:
        """Return (P,) the channel's values, 0 where it has none."""
        kind, _, window = name.partition("_")
        if window:
            return self._window(kind, int(window))
        return self._recency() if kind == "recency" else self._interval()

    def _window(self, kind: str, days: int) -> npt.NDArray[np.float32]:
        inside = self.ago <= days
        amounts: dict[str, npt.NDArray[Any]] = {"count": self.count, "value": self.value, "days": np.ones(len(inside), np.int32)}
        amount = amounts[kind]
        total = np.add.reduceat(np.where(inside, amount, 0).astype(np.float64), self.first)
        result: npt.NDArray[np.float32] = (np.sign(total) * np.log1p(np.abs(total))).astype(np.float32)
        return result

    def _last(self) -> npt.NDArray[np.int64]:
        return np.append(self.first[1:], len(self.ago)) - 1

    def _recency(self) -> npt.NDArray[np.float32]:
        return np.exp(-self.ago[self._last()] / RECENCY_DAYS).astype(np.float32)

    def _interval(self) -> npt.NDArray[np.float32]:
        last = self._last()
        steps = last - self.first  # one activity row a day: n days are n - 1 intervals
        mean = (self.ago[self.first] - self.ago[last]) / np.maximum(steps, 1)
        return np.where(steps > 0, np.log1p(mean), 0).astype(np.float32)
