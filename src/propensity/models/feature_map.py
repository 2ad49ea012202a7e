"""Which feature ids the model knows, and the dense row of its embedding that each of them has."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from propensity.errors import DataError
from propensity.features.csr import IntArray, OffsetArray, SparseBatch
from propensity.models.ragged import keep

TABLE_LIMIT = 1 << 25
"""Up to this highest id a lookup table is kept (4 bytes an id); above it ids are found by bisection."""


class IdMap:
    """Ascending ids and their positions.  An id outside has position -1: never another id's position."""

    def __init__(self, ids: IntArray) -> None:
        """Raise DataError when `ids` (D,) do not strictly ascend from zero up."""
        if len(ids) and (int(ids[0]) < 0 or (np.diff(ids) <= 0).any()):
            raise DataError("ids do not strictly ascend", where="id map", do="sort them and keep each once")
        self.ids: IntArray = np.ascontiguousarray(ids, np.int32)
        self.table: IntArray | None = None
        if len(ids) and int(ids[-1]) < TABLE_LIMIT:
            self.table = np.full(int(ids[-1]) + 2, -1, np.int32)
            self.table[self.ids] = np.arange(len(ids), dtype=np.int32)

    def __len__(self) -> int:
        """Return how many ids there are."""
        return len(self.ids)

    def positions(self, wanted: npt.NDArray[np.int32]) -> IntArray:
        """Return the position of each wanted id (N,), -1 where it is unknown."""
        if len(self.ids) == 0:
            return np.full(len(wanted), -1, np.int32)
        if self.table is not None:
            # Clipping sends everything above the highest id to the table's last entry, which is -1; so do negative ids.
            last = len(self.table) - 1
            return self.table[np.where(wanted < 0, last, np.minimum(wanted, last))]
        at = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[at] == wanted, at, -1).astype(np.int32)


class FeatureMap(IdMap):
    """Feature id -> dense row."""

    def dense_rows(self, batch: SparseBatch) -> tuple[SparseBatch, int]:
        """Return the batch with rows of the map instead of feature ids, and how many unknown features were dropped."""
        rows = self.positions(batch.indices)
        known = rows >= 0
        dropped = len(rows) - int(np.count_nonzero(known))
        if dropped == 0:
            return SparseBatch(rows, batch.values, batch.offsets), 0
        return SparseBatch(rows[known], batch.values[known], keep(batch.offsets, known)), dropped


def count_features(batches: Iterable[SparseBatch]) -> OffsetArray:
    """Return how many rows have each feature id: (highest id + 1,)."""
    total = np.zeros(0, np.int64)
    for batch in batches:
        counts = np.bincount(batch.indices)
        if len(counts) > len(total):
            counts[: len(total)] += total
            total = counts
        else:
            total[: len(counts)] += counts
    return total
