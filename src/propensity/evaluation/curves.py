"""What a list of likeliest customers reaches: cumulative gain and lift, category by category."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray

TENTHS = tuple(i / 10 for i in range(11))
SHARES = (0.0, 0.01, 0.02, 0.05, *(i / 20 for i in range(2, 21)))
"""Shares of the customers at which gain is told; every tenth is among them."""


def gain(targets: FloatArray, scores: FloatArray, shares: tuple[float, ...] = SHARES) -> list[float]:
    """Return the share of all positives (N, C) that are reached when each category picks so many of its likeliest customers.

    Customers are ranked within each category, so that one with popular categories has no advantage: equal scores for all reach
    exactly what chance does.  Of customers with equal scores each is as likely to be picked as the other.  NaN without positives.
    """
    picked = np.asarray(shares) * len(targets)
    reached = np.zeros(len(shares))
    for column in np.flatnonzero(targets.sum(0) > 0):
        reached += _reached(targets[:, column], scores[:, column], picked)
    total = float(targets.sum())
    return [float(value / total) if total else float("nan") for value in reached]


def lift(reached: list[float], shares: tuple[float, ...] = SHARES) -> list[float]:
    """Return for each tenth of the customers, likeliest first, how many times as many positives it holds as chance would."""
    at = [reached[shares.index(share)] for share in TENTHS]
    return [10 * (high - low) for low, high in pairwise(at)]


def _reached(targets: FloatArray, scores: FloatArray, picked: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the expected number of positives among so many customers with the highest scores (S,)."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(targets[order], dtype=np.float64)
    falling = scores[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    result: npt.NDArray[np.float64] = np.interp(picked, np.append(0, ends + 1), np.append(0.0, found[ends]))
    return result
