"""The history path's input: the customer's own features of each category, for the categories he has a history in.

Only (user, category) pairs with a stored feature take part, so the cost follows the non-zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS
from propensity.features.csr import FloatArray, IntArray, OffsetArray, SparseBatch
from propensity.models.feature_map import IdMap
from propensity.models.ragged import gather, join, owners

RECENCY_SCALE = 28.0
"""Days; the stored recency is exp(-gap / 28)."""
OTHER_SCALES = (7.0, 91.0)
"""Days; recencies derived from the stored one."""
RATIO_CAP = 5.0
"""Gap over the mean interval: above it a customer counts as gone."""


@dataclass(frozen=True)
class Pairs:
    """P (user, category) pairs of a batch, by user, then by category."""

    user: OffsetArray
    """(P,) position in the batch."""
    category: OffsetArray
    """(P,) position among the model's categories."""
    values: FloatArray
    """(P, F)."""
    offsets: OffsetArray
    """(B + 1,): user b has the pairs ``[offsets[b], offsets[b + 1])``."""
    activity: FloatArray
    """(B, A): log1p of the sum over categories of each windowed channel: how active the user is at all."""

    def take(self, order: npt.NDArray[np.int64]) -> "Pairs":
        """Return the pairs of the users at positions `order`, in that order."""
        offsets, source = gather(self.offsets, order)
        return Pairs(owners(offsets), self.category[source], self.values[source], offsets, self.activity[order])


class HistoryEncoder:
    """Finds the pairs in sparse rows and computes their F values.

    Per pair: every stored channel; recencies at other scales; gap over interval (capped); and the user's activity.
    """

    def __init__(self, categories: IntArray, channels: tuple[str, ...], slots: tuple[int, ...], history_days: int) -> None:
        """Take category tokens (C,) ascending, the names of the categories' channels and the slots they are stored in."""
        if len(slots) != len(channels) or len(set(slots)) != len(slots) or not set(slots) <= set(range(MAX_CHANNELS)):
            raise ValueError(f"{len(channels)} channels cannot lie in slots {slots}"[:200])
        self.categories = IdMap(categories)
        self.channels = channels
        self.slots = slots
        self.history_days = history_days
        self.columns = np.full(MAX_CHANNELS, -1, np.int64)
        self.columns[list(slots)] = np.arange(len(slots))
        self.windowed = [i for i, name in enumerate(channels) if name.startswith(("count_", "days_"))]
        self.recency = channels.index("recency") if "recency" in channels else None
        self.interval = channels.index("interval") if "interval" in channels else None

    @property
    def width(self) -> int:
        """Return F."""
        return int(self.none().shape[1])

    @property
    def activity_width(self) -> int:
        """Return A."""
        return len(self.windowed)

    def none(self) -> FloatArray:
        """Return the values (1, F) of a pair without history, for a user without activity."""
        return self._derive(np.zeros((1, len(self.channels)), np.float32), np.zeros((1, len(self.windowed)), np.float32))

    def encode(self, batch: SparseBatch) -> Pairs:
        """Return the pairs of a batch whose indices are feature ids."""
        token = batch.indices // MAX_CHANNELS
        category = self.categories.positions(token)
        column = self.columns[batch.indices - token * MAX_CHANNELS]
        at = np.flatnonzero((category >= 0) & (column >= 0))
        user = np.searchsorted(batch.offsets, at, side="right") - 1
        category = category[at]
        first = np.ones(len(at), bool)
        first[1:] = (np.diff(user) != 0) | (np.diff(category) != 0)
        pair = np.cumsum(first) - 1
        stored = np.zeros((int(first.sum()), len(self.channels)), np.float32)
        stored[pair, column[at]] = batch.values[at]
        pair_user = user[first].astype(np.int64)
        offsets = np.searchsorted(pair_user, np.arange(len(batch) + 1)).astype(np.int64)
        activity = self._activity(stored, pair_user, len(batch))
        return Pairs(pair_user, category[first].astype(np.int64), self._derive(stored, activity[pair_user]), offsets, activity)

    def _activity(self, stored: FloatArray, user: OffsetArray, users: int) -> FloatArray:
        totals = [np.bincount(user, np.expm1(stored[:, i]), users) for i in self.windowed]
        return np.log1p(np.stack(totals, 1)).astype(np.float32) if totals else np.zeros((users, 0), np.float32)

    def _derive(self, stored: FloatArray, activity: FloatArray) -> FloatArray:
        parts = [stored]
        if self.recency is not None:
            recency = stored[:, self.recency]
            parts += [(recency ** (RECENCY_SCALE / scale))[:, None] for scale in OTHER_SCALES]
            if self.interval is not None:
                gap = -RECENCY_SCALE * np.log(np.maximum(recency, np.float32(1e-12)))
                interval = stored[:, self.interval]
                # No interval is not an interval of zero days: it counts as longer than the history.
                days = np.where(interval > 0, np.expm1(interval), self.history_days)
                parts.append(np.minimum(gap / np.maximum(days, 1.0), RATIO_CAP)[:, None])
        parts.append(activity)
        values = np.concatenate(parts, axis=1, dtype=np.float32)
        if self.interval is not None:
            column = values[:, self.interval]
            column[column == 0] = np.log1p(np.float32(self.history_days))
        return values


def concat_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Return the pairs of all users, one part after the other."""
    offsets = join([p.offsets for p in parts])
    return Pairs(
        owners(offsets),
        np.concatenate([p.category for p in parts]),
        np.concatenate([p.values for p in parts]),
        offsets,
        np.concatenate([p.activity for p in parts]),
    )
