"""Thresholds that keep a promise: who is picked above them acts with at least the expected precision, in the next window too.

For each category the customers of the validation window are picked from the likeliest on.  What their precision is, is a Beta
posterior: the prior is centred on their mean calibrated probability, the likelihood is what they did.  Categories and windows
differ from what the calibration says by about normal deviations of their log odds; by the delta method a standard deviation s
there is worth ``1 / (s^2 p (1 - p))`` picks, both of the prior and of the posterior carried over to another window.
The threshold is the lowest probability at which the precision is below the promise with a probability of 1 - confidence at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from propensity.features.csr import FloatArray
from propensity.pipeline.thresholds import Thresholds

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of log odds that a promise allows for."""

    category: float
    """Of a category from its calibrated probabilities."""
    window: float
    """Of the next window from this one."""


def fit_thresholds(
    targets: FloatArray, probabilities: FloatArray, precisions: Sequence[float], confidence: float, deviations: Deviations
) -> Thresholds:
    """Return the thresholds that calibrated probabilities (N, C) of a window need, given what happened (N, C)."""
    values = np.full((len(precisions), targets.shape[1]), np.inf, np.float32)
    for column in range(targets.shape[1]):
        order = np.argsort(-probabilities[:, column], kind="stable")
        picked, acted = probabilities[order, column], targets[order, column]
        last = np.append(picked[1:] < picked[:-1], True)  # of equal ones all are picked or none
        values[:, column] = _lowest(picked, acted, last, precisions, confidence, deviations)
    return Thresholds(tuple(precisions), confidence, values)


def _lowest(
    picked: FloatArray,
    acted: FloatArray,
    last: npt.NDArray[np.bool_],
    precisions: Sequence[float],
    confidence: float,
    deviations: Deviations,
) -> list[float]:
    """Return one category's threshold for each precision; `picked` (N,) descend."""
    if not len(picked):
        return [np.inf] * len(precisions)
    count, hits = np.arange(1, len(picked) + 1), np.cumsum(acted, dtype=np.float64)
    expected = np.cumsum(picked, dtype=np.float64) / count
    found = []
    for promise in precisions:
        # Nothing is promised beyond what calibration expects: the posterior would have to be luck.
        at = np.flatnonzero(last & (expected >= promise))
        below = _risk(count[at], hits[at], expected[at], promise, deviations)
        good = at[below <= 1 - confidence]
        found.append(float(picked[good[-1]]) if len(good) else np.inf)
    return found


def _risk(count: npt.NDArray[np.int64], hits: Doubles, expected: Doubles, promise: float, deviations: Deviations) -> Doubles:
    """Return the probability that the precision in the next window is below the promise, for each number of picks (K,)."""
    worth = _worth(expected, deviations.category)
    mean = (hits + worth * expected) / (count + worth)
    size = 1 / (1 / (count + worth) + 1 / _worth(mean, deviations.window))
    risk: Doubles = betainc(size * mean, size * (1 - mean), promise)
    return risk


def _worth(share: Doubles, deviation: float) -> Doubles:
    """Return how many picks tell as much as a standard deviation of the log odds does."""
    result: Doubles = 1 / np.maximum(deviation**2 * share * (1 - share), 1e-9)
    return result
