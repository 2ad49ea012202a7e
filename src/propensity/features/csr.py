"""Sparse batches: many users' features as CSR arrays, checked once at the boundary, never made dense."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.errors import DataError

IntArray = npt.NDArray[np.int32]
OffsetArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SparseBatch:
    """B users' sparse features in CSR form: row b has ``indices[offsets[b]:offsets[b + 1]]``, strictly ascending."""

    indices: IntArray
    """(N,) feature ids, not negative."""
    values: FloatArray
    """(N,) finite."""
    offsets: OffsetArray
    """(B + 1,) from 0 to N."""

    def __len__(self) -> int:
        """Return the number of users B."""
        return len(self.offsets) - 1

    def rows(self, start: int, stop: int) -> "SparseBatch":
        """Return users ``[start, stop)`` without copying values."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return SparseBatch(self.indices[first:last], self.values[first:last], self.offsets[start : stop + 1] - first)

    def take(self, order: npt.NDArray[np.int64]) -> "SparseBatch":
        """Return the users at positions `order`, in that order, copied."""
        lengths = np.diff(self.offsets)[order]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.repeat(self.offsets[order] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return SparseBatch(self.indices[source], self.values[source], offsets)

    def check(self) -> "SparseBatch":
        """Return self; raise DataError when a CSR invariant is broken."""
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.indices):
            raise DataError("offsets do not run from 0 to the number of entries", where="sparse batch")
        if len(self.indices) != len(self.values):
            raise DataError(f"{len(self.indices)} indices but {len(self.values)} values", where="sparse batch")
        if (np.diff(self.offsets) < 0).any():
            raise DataError("offsets descend", where="sparse batch")
        if not np.isfinite(self.values).all():
            raise DataError("a value is not finite", where="sparse batch", count=int((~np.isfinite(self.values)).sum()))
        if len(self.indices) and self.indices.min() < 0:
            raise DataError("a feature id is negative", where="sparse batch", count=int((self.indices < 0).sum()))
        starts = np.zeros(len(self.indices), bool)
        inner = self.offsets[:-1]
        starts[inner[inner < len(self.indices)]] = True
        falls = (np.diff(self.indices) <= 0) & ~starts[1:]
        if falls.any():
            raise DataError("feature ids do not ascend within a row", where="sparse batch", count=int(falls.sum()))
        return self


def from_arrow(indices: pa.Array, values: pa.Array) -> SparseBatch:
    """Return the batch in two list columns without copying; sliced columns are fine."""
    offsets = indices.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    start = int(values.offsets[0].as_py())
    return SparseBatch(
        indices.values.to_numpy()[first:last], values.values.to_numpy()[start : start + last - first], offsets - first
    )


def to_arrow(batch: SparseBatch) -> tuple[pa.ListArray, pa.ListArray]:
    """Return the batch as two list columns."""
    offsets = pa.array(batch.offsets.astype(np.int32))
    return (
        pa.ListArray.from_arrays(offsets, pa.array(batch.indices, pa.int32())),
        pa.ListArray.from_arrays(offsets, pa.array(batch.values, pa.float32())),
    )


def concat(batches: Sequence[SparseBatch]) -> SparseBatch:
    """Return the users of all batches, one after the other."""
    if not batches:
        return SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int64))
    starts = np.cumsum([0, *(len(b.indices) for b in batches)])
    offsets = [np.zeros(1, np.int64), *(b.offsets[1:] + start for b, start in zip(batches, starts, strict=False))]
    return SparseBatch(
        np.concatenate([b.indices for b in batches]),
        np.concatenate([b.values for b in batches]),
        np.concatenate(offsets),
    )
