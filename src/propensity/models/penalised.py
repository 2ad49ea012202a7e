"""Slopes and offsets of many logistic regressions: penalised maximum likelihood by Newton's method, compiled."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray
from propensity.pipeline.kernels import compiled

Doubles = npt.NDArray[np.float64]

SLOWEST = 0.1
"""No slope falls below that share of the one it starts from: calibrating never turns an order round."""
STEPS = 60
"""Newton steps at most; ten are enough but for the strangest data."""
HALVINGS = 30
ENOUGH = 1e-7
"""A step that small is the last."""
LEAST = 1e-12
"""Weight of a pair at least, so that a category without any doubt has a centre, too."""


@dataclass(frozen=True)
class Strength:
    """Inverse variances of the prior around slope 1 and offset 0: how many observations of weight 1 it is worth."""

    slope: float
    offset: float


def newton(targets: FloatArray, start: FloatArray | Doubles, strength: Strength) -> tuple[Doubles, Doubles, Doubles]:
    """Return (s, d, m), (C,) each: the best logits are ``start + s (start - m) + d``, for targets and start (N, C).

    m is where the data weigh, so that slope and offset hardly depend on each other.  s and d are 0 where nothing is told.
    """
    found = np.zeros((3, start.shape[1]))
    for column in range(start.shape[1]):
        mine, acted = start[:, column].astype(np.float64), targets[:, column].astype(np.float64)
        found[:, column] = _fit(acted, mine, strength.slope, strength.offset)
    return found[0], found[1], found[2]


@compiled
def _fit(targets: Any, start: Any, hold_slope: float, hold_offset: float) -> Any:
    """Return one regression's slope, offset and centre."""
    centre = _centre(start)
    slope, offset = 0.0, 0.0
    loss = _loss(targets, start, centre, slope, offset, hold_slope, hold_offset)
    for _ in range(STEPS):
        more, up = _direction(targets, start, centre, slope, offset, hold_slope, hold_offset)
        following = _loss(targets, start, centre, slope + more, offset + up, hold_slope, hold_offset)
        halvings = 0
        while following > loss + 1e-12 * abs(loss) and halvings < HALVINGS:
            more, up = more / 2, up / 2
            following = _loss(targets, start, centre, slope + more, offset + up, hold_slope, hold_offset)
            halvings += 1
        slope, offset, loss = slope + more, offset + up, following
        if abs(more) < ENOUGH and abs(up) < ENOUGH:
            break
    return np.array([slope, offset, centre])


@compiled
def _share(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


@compiled
def _centre(start: Any) -> float:
    total, weights = 0.0, 0.0
    for i in range(len(start)):
        share = _share(start[i])
        weight = max(share * (1.0 - share), LEAST)
        total += weight * start[i]
        weights += weight
    return total / weights


@compiled
def _direction(
    targets: Any, start: Any, centre: float, slope: float, offset: float, hold_slope: float, hold_offset: float
) -> tuple[float, float]:
    """Return Newton's step; the slope stays at its bound where it would fall below."""
    gradient, rise = hold_slope * slope, hold_offset * offset
    bend, cross, weights = hold_slope, 0.0, hold_offset
    for i in range(len(start)):
        where = start[i] - centre
        share = _share(start[i] + slope * where + offset)
        weight, wrong = max(share * (1.0 - share), LEAST), share - targets[i]
        gradient += wrong * where
        rise += wrong
        bend += weight * where * where
        cross += weight * where
        weights += weight
    determinant = max(bend * weights - cross * cross, LEAST)
    step = max(-(weights * gradient - cross * rise) / determinant, SLOWEST - 1.0 - slope)
    return step, -(rise + cross * step) / weights


@compiled
def _loss(targets: Any, start: Any, centre: float, slope: float, offset: float, hold_slope: float, hold_offset: float) -> float:
    """Return the log loss with its penalty."""
    total = 0.5 * (hold_slope * slope * slope + hold_offset * offset * offset)
    for i in range(len(start)):
        logit = start[i] + slope * (start[i] - centre) + offset
        total += max(logit, 0.0) + math.log1p(math.exp(-abs(logit))) - targets[i] * logit
    return total
