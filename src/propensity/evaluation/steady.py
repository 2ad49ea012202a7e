"""What would be strange in a challenger: a category lost, scores unlike the champion's, a gain too good to be true.

Large categories are held to what is *shown* to be broken, not to a proof that nothing is: of a hundred categories some would
always lack the proof.
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from propensity.config import Promotion
from propensity.evaluation.bootstrap import Values, interval, multiplicities, resampled_areas
from propensity.evaluation.trial import CATEGORIES, TITLES, Duel
from propensity.evaluation.verdict import Test, holm
from propensity.features.csr import FloatArray
from propensity.pipeline.top_k import sigmoid

EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Between the bins of probabilities that drift is told by: nothing hangs on one per mille or two."""
FLOOR = 1e-4
"""A bin nobody is in counts as that share."""
FACTOR = 2.0
"""A category's buyers are missed when there are more than so many times as many as foretold, or so many times fewer."""
FURTHER = 1.4
"""And when that is so many times further off than the champion: a season that neither foresaw breaks no category."""
UNKNOWN = -30.0
"""Logit of a category that a model does not know, as the held-out window fills it in; drift leaves it out."""
CATEGORY_RESAMPLES = 100
"""Enough for a standard error."""
SUSPICIOUS, DRIFT = "not too good to be true", "steady"


def categories(settings: Promotion, duel: Duel) -> list[Test]:
    """Return whether a large category ranks worse than the champion's beyond doubt, or misses its number of buyers."""
    buyers = duel.targets.sum(0)
    large = np.flatnonzero((buyers >= settings.category_buyers) & (buyers < len(duel.targets)))
    if duel.theirs is None or not len(large):
        return []
    targets, ours, theirs = duel.targets[:, large], duel.ours[:, large], duel.theirs[:, large]
    names = [duel.names[int(i)] for i in large]
    return [_ranking(settings, targets, ours, theirs, names), _promises(targets, ours, theirs, names)]


def _ranking(settings: Promotion, targets: FloatArray, ours: FloatArray, theirs: FloatArray, names: list[str]) -> Test:
    drawn = multiplicities(len(targets), CATEGORY_RESAMPLES, settings.seed)
    weights = np.concatenate([np.ones((1, len(targets)), np.int32), drawn])
    changes: Values = resampled_areas(targets, ours, weights, 1) - resampled_areas(targets, theirs, weights, 1)
    change, drawn_changes = changes[0], changes[1:]
    beyond = (-change - settings.category_margin) / np.maximum(np.nanstd(drawn_changes, axis=0), 1e-9)
    p = np.array(holm(norm.sf(np.nan_to_num(beyond, nan=-np.inf)).tolist()))
    broken = [f"{names[i]} ({change[i]:+.3f})" for i in np.argsort(change) if p[i] <= 1 - settings.level]
    worst = int(np.nanargmin(change))
    listed = f"AUC lost by {len(broken)} of {len(names)} large categories: {', '.join(broken[:5])}"
    told = listed if broken else f"the largest change of a large category's AUC is {names[worst]}, {change[worst]:+.3f}"
    low, high = interval(drawn_changes[:, worst], settings.level)
    return Test(CATEGORIES, names[worst], float(change[worst]), -settings.category_margin, told, not broken, low, high)


def _promises(targets: FloatArray, ours: FloatArray, theirs: FloatArray, names: list[str]) -> Test:
    """Return whether the number of buyers is missed by a factor, and clearly further than the champion misses it.

    Ranking alone would not show it.
    """
    found = targets.sum(0)
    mine, other = (np.abs(np.log(np.maximum(sigmoid(s).sum(0), 1e-9) / found)) for s in (ours, theirs))
    missed = np.flatnonzero((mine > math.log(FACTOR)) & (mine - other > math.log(FURTHER)))
    worst = int(np.argmax(mine))
    expected = sigmoid(ours).sum(0)
    listed = [f"{names[i]} ({expected[i]:.0f} foretold, {found[i]:.0f} came)" for i in missed[:5]]
    what = f"the number of buyers is missed by more than {FACTOR:g} times"
    told = f"{what}: {', '.join(listed)}" if listed else f"no large category's buyers are missed by more than {FACTOR:g} times"
    return Test(CATEGORIES, f"{names[worst]}, buyers", float(mine[worst]), math.log(FACTOR), told, not listed)


def drift(settings: Promotion, duel: Duel) -> list[Test]:
    """Return whether the probabilities are distributed as the champion's for the same customers."""
    if duel.theirs is None:
        return []
    known = ~((duel.ours <= UNKNOWN).all(0) | (duel.theirs <= UNKNOWN).all(0))
    if not known.any():
        return [Test(DRIFT, "categories", 0, 1, "no category is known to challenger and champion both", False)]
    ours, theirs = sigmoid(duel.ours[:, known]), sigmoid(duel.theirs[:, known])
    index = stability_index(theirs, ours)
    told = f"the population stability index against the champion's scores is {index:.3f}, at most {settings.drift:g} is allowed"
    shift = float(ours.mean(dtype=np.float64) / theirs.mean(dtype=np.float64) - 1)
    moved = f"the mean probability is {shift:+.1%} from the champion's, at most {settings.mean_shift:.0%} is allowed"
    return [
        Test(DRIFT, "distribution of probabilities", index, settings.drift, told, index <= settings.drift),
        Test(DRIFT, "mean probability", shift, settings.mean_shift, moved, abs(shift) <= settings.mean_shift),
    ]


def stability_index(reference: FloatArray, values: FloatArray) -> float:
    """Return the population stability index: sum over bins of (share - share before) x log of their ratio."""
    shares = [np.bincount(np.digitize(p.ravel(), EDGES), minlength=len(EDGES) + 1) / p.size for p in (reference, values)]
    before, now = (np.maximum(share, FLOOR) for share in shares)
    return float(((now - before) * np.log(now / before)).sum())


def believable(bound: float, ours: Mapping[str, float | None], theirs: Mapping[str, float | None], title: str) -> list[Test]:
    """Return whether the gain over `theirs` is one that models make: a leaked label looks too good.

    The figure is the share of the gap to a perfect model, 1, that the gain closes.
    """
    tests = []
    for measure, name in TITLES.items():
        mine, other = ours[measure], theirs[measure]
        if mine is None or other is None or math.isnan(mine) or math.isnan(other):
            continue
        share = (mine - other) / max(1 - other, 1e-9)
        told = f"{name} {mine:.4f} closes {share:.0%} of the gap that {title}'s {other:.4f} leaves"
        told = told if share <= bound else f"{told}, more than {bound:.0%}: look for a leak"
        tests.append(Test(SUSPICIOUS, name, share, bound, told, share <= bound))
    return tests
