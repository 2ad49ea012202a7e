"""Compiled walks along ranked pairs under the weights of many resamples: no resample sorts anything.

A pair is one (customer, category); its weight is how often its customer was drawn.  Pairs come by falling score, `marks` says
which are acted on (ACTED) and which end a run of equal scores (ENDS): within a run is no order, so a curve has one point for it.
LANES resamples walk side by side, so that one look at a pair serves all of them: 4 ms a resample of 702,150 pairs, all measures.
"""

from typing import Any

import numpy as np

from propensity.pipeline.kernels import compiled

ACTED, ENDS = 1, 2
LANES = 16
"""Resamples side by side: their weights of one customer fill a line of the cache."""


@compiled
def curves(customers: Any, marks: Any, weights: Any, low: float, high: float, result: Any) -> None:
    """Write for every lane the area under the ROC curve, average precision and two recalls to `result` (4, LANES).

    `customers`, `marks` (P,) of all pairs, `weights` (N, LANES) float64; the recalls are the highest at precision `low` or better
    and `high` or better.  Average precision is the sum over the curve's points of (gain in recall) x precision, as scikit-learn
    has it.
    """
    run, found, missed = np.zeros((2, LANES)), np.zeros(LANES), np.zeros(LANES)
    result[:] = 0.0
    acted = 0
    for i in range(len(customers)):
        kind = marks[i] & ACTED
        acted |= kind
        for k in range(LANES):
            run[kind, k] += weights[customers[i], k]
        if marks[i] & ENDS:
            for k in range(LANES):
                result[0, k] += run[0, k] * (found[k] + 0.5 * run[1, k])
                found[k] += run[1, k]
                missed[k] += run[0, k]
                run[0, k] = 0.0
            if acted:
                point(run, found, missed, low, high, result)
            acted = 0
    for k in range(LANES):
        told = found[k] if found[k] > 0 else np.nan
        result[0, k] = result[0, k] / (told * missed[k]) if missed[k] > 0 else np.nan
        for measure in range(1, 4):
            result[measure, k] /= told


@compiled
def point(run: Any, found: Any, missed: Any, low: float, high: float, result: Any) -> None:
    """Add a point of the precision-recall curve, where a run (2, LANES) with pairs acted on ends, and begin another run."""
    for k in range(LANES):
        if run[1, k] > 0:
            precision = found[k] / (found[k] + missed[k])
            result[1, k] += run[1, k] * precision
            if precision >= low:
                result[2, k] = found[k]
            if precision >= high:
                result[3, k] = found[k]
        run[1, k] = 0.0


@compiled
def areas(starts: Any, customers: Any, marks: Any, weights: Any, min_positives: int, result: Any) -> None:
    """Write every category's area under the ROC curve to `result` (C, LANES); NaN with fewer positives, or no negative.

    Category c's pairs, by falling score, are those from `starts[c]` to `starts[c + 1]` of `customers`, `marks` (P,).
    """
    run, found, missed, area = np.zeros((2, LANES)), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    for c in range(len(starts) - 1):
        found[:], missed[:], area[:] = 0.0, 0.0, 0.0
        for i in range(starts[c], starts[c + 1]):
            kind = marks[i] & ACTED
            for k in range(LANES):
                run[kind, k] += weights[customers[i], k]
            if marks[i] & ENDS:
                for k in range(LANES):
                    area[k] += run[0, k] * (found[k] + 0.5 * run[1, k])
                    found[k] += run[1, k]
                    missed[k] += run[0, k]
                run[:] = 0.0
        enough = np.maximum(float(min_positives), 1.0)
        for k in range(LANES):
            result[c, k] = area[k] / (found[k] * missed[k]) if found[k] >= enough and missed[k] > 0 else np.nan
