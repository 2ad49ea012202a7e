"""The distribution of deviations between two computations of the same scores, gathered piece by piece in bounded memory."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

INFINITY_BITS = 0x7F800000
DROPPED_BITS = 12
"""A bin holds the float32 values that agree in all but the last 12 bits: quantiles are exact to 0.05%."""


@dataclass
class Deviations:
    """Count, moments, quantiles and the largest of absolute deviations."""

    bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << (31 - DROPPED_BITS), np.int64))
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    def add(self, one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> None:
        """Take in the absolute differences of two arrays of the same shape; a value that is no number counts as infinite."""
        difference = np.abs(one.astype(np.float64) - other.astype(np.float64)).ravel()
        difference[~np.isfinite(difference)] = np.inf
        bits = difference.astype(np.float32).view(np.int32) >> DROPPED_BITS
        values, counts = np.unique(bits, return_counts=True)
        self.bins[values] += counts
        self.count += len(difference)
        self.total += float(difference.sum())
        self.squares += float((difference**2).sum())
        self.largest = max(self.largest, float(difference.max(initial=0.0)))

    def merge(self, other: "Deviations") -> None:
        """Take in what another one gathered."""
        self.bins += other.bins
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float:
        """Return the mean."""
        return self.total / max(self.count, 1)

    @property
    def variance(self) -> float:
        """Return the variance."""
        return max(self.squares / max(self.count, 1) - self.mean**2, 0.0)

    def quantile(self, share: float) -> float:
        """Return the value below which that share lies: the upper end of its bin, so never too small."""
        at = int(np.searchsorted(np.cumsum(self.bins), share * self.count))
        if at == 0:
            return 0.0
        upper = min((at + 1 << DROPPED_BITS) - 1, INFINITY_BITS)
        return float(min(np.int32(upper).view(np.float32), np.float32(self.largest)))

    def row(self) -> list[str]:
        """Return count, mean, variance, p25, p50, p75, p99 and max as text."""
        quantiles = [f"{self.quantile(share):.1e}" for share in (0.25, 0.5, 0.75, 0.99)]
        return [f"{self.count:,}", f"{self.mean:.1e}", f"{self.variance:.1e}", *quantiles, f"{self.largest:.1e}"]
