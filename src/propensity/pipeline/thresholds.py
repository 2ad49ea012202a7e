"""What a bundle promises: the lowest probability that is picked, so that an expected precision holds."""

from dataclasses import dataclass

from propensity.features.csr import FloatArray


@dataclass(frozen=True)
class Thresholds:
    """The lowest probability that is picked, for each precision promised and each category."""

    precisions: tuple[float, ...]
    """(P,) ascending."""
    confidence: float
    """How probable it is at least that a category's promise holds."""
    values: FloatArray
    """(P, C) float32; inf where nothing can be promised."""

    def at(self, precision: float) -> FloatArray:
        """Return the thresholds (C,) of one of the promised precisions; raise ValueError for another one."""
        chosen: FloatArray = self.values[self.precisions.index(precision)]
        return chosen
