"""Compiled walks along ranked pairs under the weights of many resamples: no resample sorts anything.

A pair is one (customer, category); its weight is how often its customer was drawn.  Pairs come by falling score, `marks` says
which are acted on (ACTED) and which end a run of equal scores (ENDS): within a run is no order, so a curve has one point for it.
"""

from typing import Any

import numpy as np

from propensity.pipeline.kernels import compiled

ACTED, ENDS = 1, 2


@compiled
def curves(customers: Any, marks: Any, weights: Any, low: float, high: float, result: Any) -> None:
    """Write for every weighting the area under the ROC curve, average precision and two recalls to `result` (R, 4).

    `customers`, `marks` (P,) of all pairs, `weights` (R, N); the recalls are the highest at precision `low` and `high` or better.
    Average precision is the sum over the curve's points of (gain in recall) x precision, as scikit-learn has it.
    """
    for r in range(len(weights)):
        weight = weights[r]
        found, missed, run_found, run_missed, at_low, at_high = 0, 0, 0, 0, 0, 0
        area, average = 0.0, 0.0
        for i in range(len(customers)):
            w = weight[customers[i]]
            if marks[i] & ACTED:
                run_found += w
            else:
                run_missed += w
            if marks[i] & ENDS:
                area += run_missed * (found + 0.5 * run_found)
                found += run_found
                missed += run_missed
                if run_found > 0:
                    precision = found / (found + missed)
                    average += run_found * precision
                    if precision >= low:
                        at_low = found
                    if precision >= high:
                        at_high = found
                run_found, run_missed = 0, 0
        told = found > 0
        result[r, 0] = area / (float(found) * missed) if told and missed > 0 else np.nan
        result[r, 1] = average / found if told else np.nan
        result[r, 2] = at_low / found if told else np.nan
        result[r, 3] = at_high / found if told else np.nan


@compiled
def areas(starts: Any, customers: Any, marks: Any, weights: Any, min_positives: int, result: Any) -> None:
    """Write every category's area under the ROC curve to `result` (R, C); NaN with fewer positives than that, or no negative.

    Category c's pairs, by falling score, are those from `starts[c]` to `starts[c + 1]` of `customers`, `marks` (P,).
    """
    for r in range(len(weights)):
        weight = weights[r]
        for c in range(len(starts) - 1):
            found, missed, run_found, run_missed = 0, 0, 0, 0
            area = 0.0
            for i in range(starts[c], starts[c + 1]):
                w = weight[customers[i]]
                if marks[i] & ACTED:
                    run_found += w
                else:
                    run_missed += w
                if marks[i] & ENDS:
                    area += run_missed * (found + 0.5 * run_found)
                    found += run_found
                    missed += run_missed
                    run_found, run_missed = 0, 0
            told = found > 0 and found >= min_positives and missed > 0
            result[r, c] = area / (float(found) * missed) if told else np.nan
