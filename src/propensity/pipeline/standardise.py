"""Each feature in units of its own deviation."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from propensity.features.csr import SparseBatch
from propensity.pipeline.transformer import SparseTransformer, Tensors

ALIKE = 1e-12
"""A deviation below this part of the largest value is rounding: the feature is constant."""


class Standardise(SparseTransformer):
    """(x - mean) / deviation of each feature, over the rows that have it: missing is not zero and takes no part.

    A feature that was constant stays as it is: its presence is all it says, and centring would make that zero.  So does one that
    was not there in training.
    """

    kind = "standardise"

    def __init__(self) -> None:
        none = np.zeros(0)
        self.ids_: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        """(D,) ids that vary, ascending; so are their `mean_` and `deviation_` in float64."""
        self.mean_: npt.NDArray[np.float64] = none
        self.deviation_: npt.NDArray[np.float64] = none

    def fit(self, many: SparseBatch) -> Self:
        """Learn mean and deviation of every feature that varies."""
        order = np.argsort(many.indices, kind="stable")
        values = many.values[order].astype(np.float64)
        ids, starts, counts = np.unique(many.indices[order], return_index=True, return_counts=True)
        if len(ids) == 0:
            return self._with(ids.astype(np.int32), np.zeros(0), np.zeros(0))
        largest = np.maximum.reduceat(np.abs(values), starts)
        # Parts of the largest value, so that no square overflows or vanishes.
        unit = np.where(largest > 0, largest, 1.0)
        parts = values / np.repeat(unit, counts)
        mean = np.add.reduceat(parts, starts) / counts
        deviation = np.sqrt(np.add.reduceat((parts - np.repeat(mean, counts)) ** 2, starts) / counts)
        varies = (deviation > ALIKE) & (deviation * unit >= np.finfo(np.float64).tiny)
        return self._with(ids[varies].astype(np.int32), (mean * unit)[varies], (deviation * unit)[varies])

    def _with(self, ids: npt.NDArray[np.int32], mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64]) -> Self:
        self.ids_, self.mean_, self.deviation_ = ids, mean, deviation
        return self

    def apply(self, batch: SparseBatch) -> SparseBatch:
        """Return the rows with the values of the features that vary standardised."""
        if len(self.ids_) == 0:
            return batch
        at = np.minimum(np.searchsorted(self.ids_, batch.indices), len(self.ids_) - 1)
        known = self.ids_[at] == batch.indices
        values = batch.values.astype(np.float64)
        values[known] = (values[known] - self.mean_[at[known]]) / self.deviation_[at[known]]
        return SparseBatch(batch.indices, values.astype(batch.values.dtype), batch.offsets)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: there is nothing to set, and what was learned are tensors."""
        return {}

    def tensors(self) -> Tensors:
        """Return ids, means and deviations."""
        return {"ids": self.ids_, "mean": self.mean_, "deviation": self.deviation_}

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step as it was saved."""
        ids, mean, deviation = tensors["ids"], tensors["mean"], tensors["deviation"]
        if ids.ndim != 1 or ids.dtype != np.int32 or (np.diff(ids) <= 0).any():
            raise ValueError("ids are no ascending int32")
        if any(array.shape != ids.shape or array.dtype != np.float64 for array in (mean, deviation)):
            raise ValueError(f"{len(ids)} ids but mean {mean.shape} and deviation {deviation.shape}")
        if not np.isfinite(mean).all() or not (np.isfinite(deviation) & (deviation > 0)).all():
            raise ValueError("a mean or a deviation is no number")
        return cls(**described)._with(ids, mean, deviation)
