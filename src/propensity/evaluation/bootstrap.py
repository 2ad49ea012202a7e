"""How sure a figure is: the bootstrap over customers (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).

A customer, not a pair, is the unit that is drawn: the pairs of one customer go together.  A resample is a weighting, how often
each customer was drawn, so a model's scores are sorted once for all resamples.  Two models are compared under the same
weightings, which takes out what they have in common; draw once per household and use the same draws in every window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.evaluation.bootstrap_kernel import ACTED, ENDS, LANES, areas, curves
from propensity.features.csr import FloatArray
from propensity.models.metrics import Mask, top_precision

MEASURES = ("macro_auc", "micro_auc", "micro_ap", "recall_at_half", "recall_at_70", "precision_at_10")
"""The figures of metrics.Judgement that can be resampled."""

Weights = npt.NDArray[np.int32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """Pairs by falling score."""

    customers: npt.NDArray[np.int32]
    """(P,) row of each pair."""
    marks: npt.NDArray[np.uint8]
    """(P,) whether it was acted on and whether it ends a run of equal scores."""


def multiplicities(customers: int, resamples: int, seed: int) -> Weights:
    """Return how often each of N customers is drawn in each resample of N draws (R, N)."""
    draws = np.random.default_rng(seed)
    result = np.empty((resamples, customers), np.int32)
    for row in result:
        row[:] = np.bincount(draws.integers(customers, size=customers), minlength=customers)
    return result


def resampled(
    targets: FloatArray, scores: FloatArray, weights: Weights, min_positives: int, mask: Mask | None = None
) -> dict[str, Values]:
    """Return every measure of scores (N, C) under every weighting (R, N) as (R,); weights of 1 give `judge`'s figures.

    A whole number as weight is that customer's row repeated so often.  NaN where a resample has nothing to tell.
    """
    by_category = resampled_areas(targets, scores, weights, min_positives, mask)
    micro = resampled_curves(targets, scores, weights, mask)
    precisions = top_precision(targets, scores, mask)
    told = ~np.isnan(precisions)
    drawn = weights[:, told]
    with np.errstate(invalid="ignore"):  # nobody drawn who counts: not a number
        top = (drawn @ precisions[told]) / drawn.sum(1)
    top[np.isnan(micro["micro_ap"])] = np.nan
    return {"macro_auc": mean_told(by_category), **micro, "precision_at_10": top}


def resampled_curves(targets: FloatArray, scores: FloatArray, weights: Weights, mask: Mask | None = None) -> dict[str, Values]:
    """Return the measures of all pairs together, those that no category has of its own, as `resampled` does."""
    ranked = rank(targets, scores, mask)
    points = np.empty((4, len(weights)))
    for lanes, part in _lanes(weights):
        side = np.empty((4, LANES))
        curves(ranked.customers, ranked.marks, part, 0.5, 0.7, side)
        points[:, lanes] = side[:, : len(weights[lanes])]
    return dict(zip(("micro_auc", "micro_ap", "recall_at_half", "recall_at_70"), points, strict=True))


def resampled_areas(
    targets: FloatArray, scores: FloatArray, weights: Weights, min_positives: int, mask: Mask | None = None
) -> Values:
    """Return every category's area under the ROC curve (R, C) under every weighting; NaN as in `category_auc`."""
    columns = [rank(targets[:, [c]], scores[:, [c]], None if mask is None else mask[:, [c]]) for c in range(targets.shape[1])]
    if not columns:
        return np.empty((len(weights), 0))
    starts = np.cumsum([0, *(len(column.customers) for column in columns)])
    customers = np.concatenate([column.customers for column in columns])
    marks = np.concatenate([column.marks for column in columns])
    result = np.empty((len(weights), len(columns)))
    for lanes, part in _lanes(weights):
        side = np.empty((len(columns), LANES))
        areas(starts, customers, marks, part, min_positives, side)
        result[lanes] = side[:, : len(weights[lanes])].T
    return result


def _lanes(weights: Weights) -> Iterator[tuple[slice, Values]]:
    """Yield the resamples (R, N) some at a time, and their weights as the kernels take them: (N, LANES), the last filled up."""
    for start in range(0, len(weights), LANES):
        lanes = slice(start, min(start + LANES, len(weights)))
        part = np.zeros((weights.shape[1], LANES))
        part[:, : len(weights[lanes])] = weights[lanes].T
        yield lanes, part


def rank(targets: FloatArray, scores: FloatArray, mask: Mask | None = None) -> Ranked:
    """Return the pairs of scores (N, C), those of the mask only, by falling score."""
    rows, columns = np.nonzero(np.ones(scores.shape, bool) if mask is None else mask)
    values = scores[rows, columns]
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    ends = np.append(falling[1:] != falling[:-1], True)[: len(falling)]
    marks = np.where(targets[rows, columns][order] > 0, ACTED, 0) + np.where(ends, ENDS, 0)
    return Ranked(rows[order].astype(np.int32), marks.astype(np.uint8))


def mean_told(values: Values) -> Values:
    """Return the mean of each row (R, C) over what is a number (R,); NaN for a row without any."""
    told = ~np.isnan(values)
    counts = told.sum(1)
    return np.where(counts > 0, np.where(told, values, 0.0).sum(1) / np.maximum(counts, 1), np.nan)


def interval(values: Values, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values (R,), those that are numbers; NaN when none is."""
    told = values[~np.isnan(values)]
    if not len(told):
        return float("nan"), float("nan")
    low, high = np.quantile(told, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: Values) -> float:
    """Return the one-sided p-value of 'the difference is not above zero' from resampled differences (R,).

    Never 0: the sample itself counts as one resample (Davison & Hinkley, Bootstrap Methods and their Application, 1997, 4.2).  A
    resample without a figure counts against.
    """
    return (1 + int((~(differences > 0)).sum())) / (1 + len(differences))
