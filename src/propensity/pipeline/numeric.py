"""Steps over the numbers of sparse rows: each is one function of values, the same for a row and a batch."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS
from propensity.features.csr import SparseBatch
from propensity.pipeline.named import finite
from propensity.pipeline.transformer import SparseTransformer, Tensors

Values = npt.NDArray[Any]


class _OfSlots(SparseTransformer):
    """A function of the values in some slots; a feature's slot is its id modulo MAX_CHANNELS."""

    def __init__(self, slots: tuple[int, ...] | None = None) -> None:
        """Take the slots to change; None: every feature."""
        if slots is not None and not all(0 <= slot < MAX_CHANNELS for slot in slots):
            raise ValueError(f"slots must be from 0 to {MAX_CHANNELS - 1}: {slots}")
        self.slots = slots
        self._chosen = np.zeros(MAX_CHANNELS, bool)
        self._chosen[list(range(MAX_CHANNELS) if slots is None else slots)] = True

    @abstractmethod
    def function(self, values: Values) -> Values:
        """Return what values (N,) become."""

    def apply(self, batch: SparseBatch) -> SparseBatch:
        """Return the rows with the chosen features' values changed."""
        if self.slots is None:
            return SparseBatch(batch.indices, self.function(batch.values), batch.offsets)
        chosen = self._chosen[batch.indices % MAX_CHANNELS]
        values = batch.values.copy()
        values[chosen] = self.function(batch.values[chosen])
        return SparseBatch(batch.indices, values, batch.offsets)

    def describe(self) -> Mapping[str, Any]:
        """Return the slots."""
        return {"slots": None if self.slots is None else list(self.slots)}

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step as it was saved."""
        del tensors
        settings = dict(described)
        slots = settings.pop("slots")
        return cls(slots=None if slots is None else tuple(slots), **settings)


class Log1p(_OfSlots):
    """sign(x) log(1 + |x|): counts and amounts spread over decades become comparable."""

    kind = "log1p"

    def function(self, values: Values) -> Values:
        """Return the signed logarithms."""
        return np.sign(values) * np.log1p(np.abs(values))


class Decay(_OfSlots):
    """exp(-x / days): days ago become recency between 0 and 1."""

    kind = "decay"

    def __init__(self, days: float, slots: tuple[int, ...] | None = None) -> None:
        """Take the days in which a value falls by a factor of e."""
        super().__init__(slots)
        self.days = finite("days", days)
        if days <= 0:
            raise ValueError(f"days must be above 0: {days}")

    def function(self, values: Values) -> Values:
        """Return the decayed values."""
        return np.exp(-values / self.days)

    def describe(self) -> Mapping[str, Any]:
        """Return slots and days."""
        return {**super().describe(), "days": self.days}


class Clip(_OfSlots):
    """What lies outside [low, high] becomes the nearer end."""

    kind = "clip"

    def __init__(self, low: float | None = None, high: float | None = None, slots: tuple[int, ...] | None = None) -> None:
        """Take the ends; None: open."""
        super().__init__(slots)
        ends = [finite("low and high", end) for end in (low, high) if end is not None]
        if not ends or ends != sorted(ends):
            raise ValueError(f"one of low and high must be given, and they must not cross: {low}, {high}")
        self.low, self.high = low, high

    def function(self, values: Values) -> Values:
        """Return the bounded values."""
        return np.clip(values, self.low, self.high)

    def describe(self) -> Mapping[str, Any]:
        """Return slots and both ends."""
        return {**super().describe(), "low": self.low, "high": self.high}


class DropZeros(SparseTransformer):
    """Leave out entries that are zero: where zero means "none", a feature given as 0 and one left out are the same."""

    kind = "drop_zeros"

    def apply(self, batch: SparseBatch) -> SparseBatch:
        """Return the rows without zero entries."""
        kept = batch.values != 0
        if kept.all():
            return batch
        offsets = np.concatenate([[0], np.cumsum(kept)])[batch.offsets].astype(np.int64)
        return SparseBatch(batch.indices[kept], batch.values[kept], offsets)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: there is nothing to set."""
        return {}

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step."""
        del tensors
        return cls(**described)
