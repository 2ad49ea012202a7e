"""The questions to a challenger that need its scores: better, nowhere worse, calibrated.

Everything is asked on the held-out window, of challenger and champion for the same customers, and where customers are drawn
again, of both under the same draws.  Figures are compared as shares of the champion's: -0.02 is two per cent less.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from propensity.config import Promotion
from propensity.evaluation.bootstrap import (
    Values,
    Weights,
    interval,
    mean_told,
    multiplicities,
    p_value,
    resampled_areas,
    resampled_curves,
)
from propensity.evaluation.verdict import SUPERIOR, Test
from propensity.features.csr import FloatArray
from propensity.models.calibration import calibration_error, reliability
from propensity.models.metrics import Mask
from propensity.pipeline.top_k import sigmoid

NOT_WORSE, CATEGORIES, FINITE, CALIBRATED = "not worse", "no category broken", "finite", "calibrated"
TITLES = {"macro_auc": "macro AUC", "micro_ap": "micro AP"}
NEW_SHARE = 1 / 3
"""New customers are the third whose rows show a history in the fewest categories."""


Rows = slice | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Duel:
    """What challenger and champion say about the customers of the held-out window, and what these did."""

    targets: FloatArray
    """(N, C)."""
    ours: FloatArray
    """Logits (N, C) of the challenger."""
    theirs: FloatArray | None
    """Logits (N, C) of the champion; None without one."""
    before: Mask
    """(N, C) whether the customer's row shows a history in the category."""
    names: Sequence[str]
    """(C,)."""


@dataclass(frozen=True)
class Draws:
    """A duel with the weights of its resamples; the first row is the sample itself."""

    settings: Promotion
    targets: FloatArray
    ours: FloatArray
    theirs: FloatArray
    weights: Weights = field(repr=False)

    def macro_auc(self, mask: Mask | None = None) -> tuple[Values, Values]:
        """Return the macro AUC of both (R + 1,) over the categories that have enough positives in the sample."""
        counted = self.targets if mask is None else self.targets * mask
        told = counted.sum(0) >= self.settings.min_positives
        part = None if mask is None else mask[:, told]
        both = [resampled_areas(self.targets[:, told], s[:, told], self.weights, 1, part) for s in (self.ours, self.theirs)]
        return mean_told(both[0]), mean_told(both[1])

    def micro_ap(self, mask: Mask | None = None) -> tuple[Values, Values]:
        """Return the micro AP of both (R + 1,)."""
        both = [resampled_curves(self.targets, s, self.weights, mask)["micro_ap"] for s in (self.ours, self.theirs)]
        return both[0], both[1]


def alone(settings: Promotion, duel: Duel) -> list[Test]:
    """Return the tests that need no champion: finite scores, and probabilities that hold."""
    wrong = int((~np.isfinite(duel.ours)).any(1).sum())
    told = f"{wrong:,} of {len(duel.ours):,} customers have scores that are no numbers" if wrong else "every score is a number"
    finite = Test(FINITE, "all customers", wrong, 0, told, wrong == 0)
    if wrong:
        return [finite]
    return [finite, _calibrated(settings, duel.targets, sigmoid(duel.ours))]


def _calibrated(settings: Promotion, targets: FloatArray, probabilities: FloatArray) -> Test:
    """Return whether the calibration error is within its bound, beyond what chance gives a window of this size.

    A bin of n pairs whose probabilities hold, p on average, misses by sqrt(2 p (1 - p) / (pi n)) in the mean.
    """
    error, bins = calibration_error(targets, probabilities), reliability(targets, probabilities)
    chance = sum(math.sqrt(2 * p * (1 - p) / (math.pi * n)) * n for p, _, n in bins) / max(targets.size, 1)
    bound = settings.calibration_error + chance
    told = f"the expected calibration error is {error:.4f}, at most {bound:.4f} is allowed, {chance:.4f} of it for chance"
    return Test(CALIBRATED, "all pairs", error, bound, told, error <= bound)


@dataclass(frozen=True)
class Outcome:
    """A comparison: the champion's figures on the whole, and the tests."""

    theirs: dict[str, float | None]
    tests: list[Test]


def against(settings: Promotion, duel: Duel, theirs: FloatArray, *, better: bool) -> Outcome:
    """Return the tests against the champion's logits (N, C); with `better` also whether the challenger is better on the whole.

    p-values are not corrected yet.  A slice that has nothing to tell of a measure gives no test of it.
    """
    customers = len(duel.targets)
    drawn = multiplicities(customers, settings.resamples, settings.seed)
    weights = np.concatenate([np.ones((1, customers), np.int32), drawn])
    whole = Draws(settings, duel.targets, duel.ours, theirs, weights)
    figures = {"macro_auc": whole.macro_auc(), "micro_ap": whole.micro_ap()}
    tests = [_better(settings, measure, *both) for measure, both in figures.items() if better]
    tests += [_not_worse(settings, measure, "all pairs", settings.margin, *both) for measure, both in figures.items()]
    for name, draws, mask in _slices(whole, duel):
        for measure, both in (("macro_auc", draws.macro_auc(mask)), ("micro_ap", draws.micro_ap(mask))):
            if not math.isnan(both[0][0]):
                tests.append(_not_worse(settings, measure, name, settings.slice_margin, *both))
    return Outcome({measure: float(both[1][0]) for measure, both in figures.items()}, tests)


def _slices(whole: Draws, duel: Duel) -> Iterator[tuple[str, Draws, Mask | None]]:
    """Yield each slice: its name, the rows or columns that belong to it, and which of their pairs."""
    buyers = duel.targets.sum(0)
    large = buyers >= whole.settings.category_buyers
    for name, columns in (("large categories", large), ("small categories", ~large)):
        yield name, _part(whole, slice(None), np.flatnonzero(columns)), None
    depth = duel.before.sum(1)
    new = depth <= np.quantile(depth, NEW_SHARE)
    for name, rows in (("new customers", new), ("old customers", ~new)):
        yield name, _part(whole, np.flatnonzero(rows), slice(None)), None
    yield "repeat pairs", whole, duel.before
    yield "explore pairs", whole, ~duel.before


def _part(whole: Draws, rows: Rows, columns: Rows) -> Draws:
    targets, ours, theirs = (np.ascontiguousarray(a[rows][:, columns]) for a in (whole.targets, whole.ours, whole.theirs))
    return Draws(whole.settings, targets, ours, theirs, whole.weights[:, rows])


def _better(settings: Promotion, measure: str, ours: Values, theirs: Values) -> Test:
    """Ask whether the challenger is shown to be better: against the hypothesis that it is not."""
    p = p_value(ours[1:] - theirs[1:])
    figure, low, high = _change(settings, ours, theirs)
    told = f"{TITLES[measure]} {figure:+.2%} ({low:+.2%} to {high:+.2%})"
    return Test(SUPERIOR, f"all pairs, {TITLES[measure]}", figure, 0.0, told, figure > 0, low, high, p)


def _not_worse(settings: Promotion, measure: str, name: str, margin: float, ours: Values, theirs: Values) -> Test:
    """Ask whether the challenger is shown not to be worse by the margin: against the hypothesis that it is."""
    p = p_value(ours[1:] - (1 - margin) * theirs[1:])
    figure, low, high = _change(settings, ours, theirs)
    told = f"{TITLES[measure]} on {name} {figure:+.2%} ({low:+.2%} to {high:+.2%}), to be shown above {-margin:.0%}"
    return Test(NOT_WORSE, f"{name}, {TITLES[measure]}", figure, -margin, told, figure > -margin, low, high, p)


def _change(settings: Promotion, ours: Values, theirs: Values) -> tuple[float, float, float]:
    change = ours / np.maximum(theirs, 1e-12) - 1
    return float(change[0]), *interval(change[1:], settings.level)
