"""From logits that rank to probabilities that hold: a slope and an offset for each category (Platt, 1999).

A rare category has too few positives to tell its own two numbers, so categories are drawn to what they have in common
(Efron and Morris, 1975): every category starts from the region's pooled slope and offset, which are drawn to 1 and 0, and departs
from them as far as a Gaussian prior lets it: penalised maximum likelihood.  One window tells what lasts and what was a promotion
that fortnight together, so only a share of the departure is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray
from propensity.models.penalised import Strength, newton
from propensity.pipeline.kernels import compiled
from propensity.pipeline.predictor import MODEL, PRIOR

POOLED = Strength(10.0, 10.0)
"""How strongly the pooled slope and offset are drawn to 1 and 0: like 40 customers at even odds, each weighing 1/4."""
DEPARTURE = Strength(300.0, 10.0)
PERSISTENCE = 0.6
BINS = 20
SIZES = (0.0, 10.0, 50.0, 200.0)
"""Lower bounds of the classes of categories, in customers expected to act."""


@dataclass(frozen=True)
class Calibration:
    """What each category's logit is multiplied by and what is added: float32, (C,) each."""

    slope: FloatArray
    offset: FloatArray

    def apply(self, logits: FloatArray) -> FloatArray:
        """Return calibrated logits (N, C), with the very bits that the scoring predictor has."""
        result = np.array(logits, np.float32, order="C")
        stretch(result, np.full(len(result), MODEL), self.slope, self.offset)
        return result


@compiled
def stretch(logits: Any, source: Any, slope: Any, offset: Any) -> None:
    """Multiply logits (B, C) by slopes (C,) and add offsets (C,), in place; rows whose source (B,) is the prior stay."""
    for b in range(logits.shape[0]):
        if source[b] != PRIOR:
            for c in range(logits.shape[1]):
                logits[b, c] = logits[b, c] * slope[c] + offset[c]


def fit_calibration(
    targets: FloatArray, logits: FloatArray, strength: Strength = DEPARTURE, persistence: float = PERSISTENCE
) -> Calibration:
    """Return the calibration of logits (N, C) that their model had not been trained on, given targets (N, C) of 0 and 1.

    `strength` holds a category to the pooled slope and offset; `persistence` is the share of its departure that is kept.
    Without a pair nothing changes.
    """
    if targets.shape != logits.shape or targets.ndim != 2:
        raise ValueError(f"targets {targets.shape} do not belong to logits {logits.shape}")
    if targets.size == 0:
        return Calibration(np.ones(targets.shape[1], np.float32), np.zeros(targets.shape[1], np.float32))
    more, shift, centre = newton(targets.reshape(-1, 1), logits.reshape(-1, 1), POOLED)
    slope, offset = 1 + more, shift - more * centre
    own, raised, middle = newton(targets, slope * logits + offset, strength)
    own, raised = persistence * own, persistence * raised
    slopes, offsets = (1 + own) * slope, (1 + own) * offset - own * middle + raised
    return Calibration(slopes.astype(np.float32), offsets.astype(np.float32))


def reliability(targets: FloatArray, probabilities: FloatArray, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Return (mean predicted, share observed, pairs) of equal-count bins of all pairs, lowest probability first."""
    flat, acted = probabilities.ravel(), targets.ravel()
    order = np.argsort(flat, kind="stable")
    edges = np.unique(np.linspace(0, len(flat), bins + 1).astype(np.int64))
    parts = [order[low:high] for low, high in pairwise(edges.tolist())]
    return [(float(flat[p].mean(dtype=np.float64)), float(acted[p].mean(dtype=np.float64)), len(p)) for p in parts]


def calibration_error(targets: FloatArray, probabilities: FloatArray, bins: int = BINS) -> float:
    """Return the expected calibration error over pairs: |mean predicted - share observed|, bins weighing by their pairs.

    NaN without a pair (Naeini, Cooper and Hauskrecht, 2015, with equal-count bins).
    """
    told = reliability(targets, probabilities, bins)
    pairs = sum(count for _, _, count in told)
    return sum(abs(said - seen) * count for said, seen, count in told) / pairs if pairs else float("nan")


def calibration_by_size(
    targets: FloatArray, probabilities: FloatArray, sizes: Sequence[float] = SIZES, bins: int = BINS
) -> list[dict[str, Any]]:
    """Return the calibration error of categories by size: the customers that are expected to act, not those who did.

    Classes by what happened would hold the categories that happened to do well or badly, and tell an error where there is none.
    """
    size: npt.NDArray[np.float64] = probabilities.sum(0, dtype=np.float64)
    result = []
    for low, high in zip(sizes, [*sizes[1:], np.inf], strict=True):
        mine = (size >= low) & (size < high)
        part, seen = probabilities[:, mine], targets[:, mine]
        result.append({
            "from": low,
            "categories": int(mine.sum()),
            "expected": float(size[mine].sum()),
            "positives": int(seen.sum()),
            "calibration_error": calibration_error(seen, part, bins),
        })  # fmt: skip
    return result
