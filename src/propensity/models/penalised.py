"""Slopes and offsets of many logistic regressions at once: penalised maximum likelihood by Newton's method."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray

Doubles = npt.NDArray[np.float64]

SLOWEST = 0.1
"""No category's slope falls below that share of the pooled one: calibrating never turns an order round."""
STEPS = 60
"""Newton steps at most; ten are enough but for the strangest data."""
ENOUGH = 1e-7
"""A step that small is the last."""


@dataclass(frozen=True)
class Strength:
    """Inverse variances of the prior around the pooled parameters: how many observations of weight 1 it is worth."""

    slope: float
    offset: float


def newton(targets: FloatArray, start: Doubles, strength: Strength) -> tuple[Doubles, Doubles, Doubles]:
    """Return (s, d, m), (C,) each: the best logits are ``start + s (start - m) + d``; s and d are 0 where nothing is told.

    m is where the data weigh, so that slope and offset hardly depend on each other.
    """
    weight = _weights(_sigmoid(start))
    centre = (weight * start).sum(0) / weight.sum(0)
    inputs = start - centre
    slope, offset = np.zeros(start.shape[1]), np.zeros(start.shape[1])
    loss = _penalised(targets, start, slope, offset, strength)
    for _ in range(STEPS):
        direction = _direction(targets, start, inputs, (slope, offset), strength)
        step, loss = _descend(targets, start, inputs, (slope, offset), direction, loss, strength)
        slope, offset = slope + step[0], offset + step[1]
        if max(np.abs(step[0]).max(), np.abs(step[1]).max()) < ENOUGH:
            break
    return slope, offset, centre


def _direction(
    targets: FloatArray, start: Doubles, inputs: Doubles, at: tuple[Doubles, Doubles], strength: Strength
) -> tuple[Doubles, Doubles]:
    """Return Newton's step; the slope stays at its bound where it would fall below."""
    slope, offset = at
    share = _sigmoid(start + slope * inputs + offset)
    weight, wrong = _weights(share), share - targets
    gradient_slope = (wrong * inputs).sum(0) + strength.slope * slope
    gradient_offset = wrong.sum(0) + strength.offset * offset
    cross = (weight * inputs).sum(0)
    curve_slope, curve_offset = (weight * inputs**2).sum(0) + strength.slope, weight.sum(0) + strength.offset
    determinant = curve_slope * curve_offset - cross**2
    step_slope = -(curve_offset * gradient_slope - cross * gradient_offset) / determinant
    step_slope = np.maximum(step_slope, SLOWEST - 1 - slope)
    return step_slope, -(gradient_offset + cross * step_slope) / curve_offset


def _descend(
    targets: FloatArray,
    start: Doubles,
    inputs: Doubles,
    at: tuple[Doubles, Doubles],
    direction: tuple[Doubles, Doubles],
    loss: Doubles,
    strength: Strength,
) -> tuple[tuple[Doubles, Doubles], Doubles]:
    """Return the step, halved in each category until the loss there no longer rises, and the loss after it."""
    scale = np.ones(len(loss))
    for _ in range(30):
        slope, offset = at[0] + scale * direction[0], at[1] + scale * direction[1]
        found = _penalised(targets, start + slope * inputs + offset, slope, offset, strength)
        worse = found > loss + 1e-9 * np.abs(loss)
        if not worse.any():
            break
        scale[worse] /= 2
    return (scale * direction[0], scale * direction[1]), found


def _penalised(targets: FloatArray, logits: Doubles, slope: Doubles, offset: Doubles, strength: Strength) -> Doubles:
    """Return each category's log loss with its penalty (C,)."""
    loss = (np.logaddexp(0.0, logits) - targets * logits).sum(0)
    total: Doubles = loss + 0.5 * (strength.slope * slope**2 + strength.offset * offset**2)
    return total


def _weights(share: Doubles) -> Doubles:
    result: Doubles = np.maximum(share * (1 - share), 1e-12)
    return result


def _sigmoid(logits: Doubles) -> Doubles:
    result: Doubles = 0.5 * (1 + np.tanh(0.5 * logits))
    return result
