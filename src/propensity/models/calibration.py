"""From logits that rank to probabilities that hold: a slope and an offset for each category (Platt, 1999).

A rare category has too few positives to tell its own two numbers, so categories are drawn to what they have in common
(Efron and Morris, 1975): every category starts from the region's pooled slope and offset, which are drawn to 1 and 0, and departs
from them as far as a Gaussian prior lets it.  How narrow that prior is, is chosen by cross-fitting over customers.  The fit is
penalised maximum likelihood by Newton's method, all categories at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray
from propensity.models.penalised import Doubles, Strength, newton
from propensity.pipeline.kernels import compiled

POOLED_STRENGTH = 10.0
"""How strongly the pooled slope and offset are drawn to 1 and 0: like that many customers at even odds, each weighing 1/4."""
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Inverse variances of the categories' prior to choose from."""
FOLDS = 4
CELLS = 1 << 20
"""Pairs worked on at once: 8 MiB an array."""
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
        stretch(result, np.ones(len(result), np.bool_), self.slope, self.offset)
        return result


@compiled
def stretch(logits: Any, chosen: Any, slope: Any, offset: Any) -> None:
    """Multiply the logits (B, C) of the `chosen` rows (B,) by their slopes (C,) and add the offsets (C,), in place."""
    for b in range(logits.shape[0]):
        if chosen[b]:
            for c in range(logits.shape[1]):
                logits[b, c] = logits[b, c] * slope[c] + offset[c]


def none(categories: int) -> Calibration:
    """Return the calibration that changes nothing."""
    return Calibration(np.ones(categories, np.float32), np.zeros(categories, np.float32))


def fit_calibration(targets: FloatArray, logits: FloatArray, strength: Strength | None = None, seed: int = 0) -> Calibration:
    """Return the calibration of logits (N, C) that their model had not been trained on, given targets (N, C) of 0 and 1.

    Without `strength` it is chosen by cross-fitting over customers: the strongest of those that are equally good.
    """
    if targets.shape != logits.shape or targets.ndim != 2:
        raise ValueError(f"targets {targets.shape} do not belong to logits {logits.shape}")
    if targets.size == 0:
        return none(targets.shape[1])
    chosen = strength or choose_strength(targets, logits, seed)
    slope, offset = _fit(targets, logits, chosen)
    return Calibration(slope.astype(np.float32), offset.astype(np.float32))


def choose_strength(targets: FloatArray, logits: FloatArray, seed: int = 0) -> Strength:
    """Return the strengths with the least log loss on customers that were not fitted on: the offsets' first, then the slopes'."""
    fold = np.random.default_rng([seed, len(targets)]).permutation(len(targets)) % FOLDS
    if len(targets) < FOLDS:
        return Strength(STRENGTHS[-1], STRENGTHS[-1])

    def loss(strength: Strength) -> float:
        return sum(_loss_of(targets, logits, fold == k, strength) for k in range(FOLDS))

    offset = min(reversed(STRENGTHS), key=lambda s: loss(Strength(STRENGTHS[-1], s)))
    return Strength(min(reversed(STRENGTHS), key=lambda s: loss(Strength(s, offset))), offset)


def _loss_of(targets: FloatArray, logits: FloatArray, out: npt.NDArray[np.bool_], strength: Strength) -> float:
    slope, offset = _fit(targets[~out], logits[~out], strength)
    calibrated = logits[out] * slope + offset
    return float((np.logaddexp(0.0, calibrated) - targets[out] * calibrated).sum())


def _fit(targets: FloatArray, logits: FloatArray, strength: Strength) -> tuple[Doubles, Doubles]:
    """Return slopes and offsets (C,)."""
    slope, offset = _pooled(targets, logits)
    slopes, offsets = np.empty(targets.shape[1]), np.empty(targets.shape[1])
    for part in _columns(targets):
        start = slope * logits[:, part].astype(np.float64) + offset
        more, shift, centre = newton(targets[:, part], start, strength)
        slopes[part] = (1 + more) * slope
        offsets[part] = (1 + more) * offset - more * centre + shift
    return slopes, offsets


def _pooled(targets: FloatArray, logits: FloatArray) -> tuple[float, float]:
    """Return the slope and offset that all categories share."""
    strength = Strength(POOLED_STRENGTH, POOLED_STRENGTH)
    more, shift, centre = newton(targets.reshape(-1, 1), logits.reshape(-1, 1).astype(np.float64), strength)
    return float(1 + more[0]), float(shift[0] - more[0] * centre[0])


def _columns(targets: FloatArray) -> Iterator[slice]:
    width = max(CELLS // len(targets), 1)
    return (slice(start, start + width) for start in range(0, targets.shape[1], width))


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
