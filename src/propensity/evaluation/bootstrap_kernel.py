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

    `customers`, `marks` (P,) of all pairs, `weights` (N, LANES) float64; the recalls are the highest at precision `low` and `high`
    or better.  Average precision is the sum over the curve's points of (gain in recall) x precision, as scikit-learn has it.
    """
    found, missed, area, average = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    run_found, run_missed, at_low, at_high = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    acted = False
    for i in range(len(customers)):
        if marks[i] & ACTED:
            for k in range(LANES):
                run_found[k] += weights[customers[i], k]
            acted = True
        else:
            for k in range(LANES):
                run_missed[k] += weights[customers[i], k]
        if marks[i] & ENDS:
            for k in range(LANES):
                area[k] += run_missed[k] * (found[k] + 0.5 * run_found[k])
                found[k] += run_found[k]
                missed[k] += run_missed[k]
                run_missed[k] = 0.0
            if acted:
                for k in range(LANES):
                    if run_found[k] > 0:
                        precision = found[k] / (found[k] + missed[k])
                        average[k] += run_found[k] * precision
                        if precision >= low:
                            at_low[k] = found[k]
                        if precision >= high:
                            at_high[k] = found[k]
                    run_found[k] = 0.0
                acted = False
    for k in range(LANES):
        told = found[k] > 0
        result[0, k] = area[k] / (found[k] * missed[k]) if told and missed[k] > 0 else np.nan
        result[1, k] = average[k] / found[k] if told else np.nan
        result[2, k] = at_low[k] / found[k] if told else np.nan
        result[3, k] = at_high[k] / found[k] if told else np.nan


@compiled
def areas(starts: Any, customers: Any, marks: Any, weights: Any, min_positives: int, result: Any) -> None:
    """Write every category's area under the ROC curve to `result` (C, LANES); NaN with fewer positives, or no negative.

    Category c's pairs, by falling score, are those from `starts[c]` to `starts[c + 1]` of `customers`, `marks` (P,).
    """
    found, missed, area = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    run_found, run_missed = np.zeros(LANES), np.zeros(LANES)
    for c in range(len(starts) - 1):
        found[:], missed[:], area[:] = 0.0, 0.0, 0.0
        for i in range(starts[c], starts[c + 1]):
            if marks[i] & ACTED:
                for k in range(LANES):
                    run_found[k] += weights[customers[i], k]
            else:
                for k in range(LANES):
                    run_missed[k] += weights[customers[i], k]
            if marks[i] & ENDS:
                for k in range(LANES):
                    area[k] += run_missed[k] * (found[k] + 0.5 * run_found[k])
                    found[k] += run_found[k]
                    missed[k] += run_missed[k]
                    run_missed[k] = 0.0
                    run_found[k] = 0.0
        for k in range(LANES):
            told = found[k] > 0 and found[k] >= min_positives and missed[k] > 0
            result[c, k] = area[k] / (found[k] * missed[k]) if told else np.nan
