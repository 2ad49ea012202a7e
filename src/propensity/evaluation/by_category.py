"""How a model does in each category: ranking, expected against observed customers, and what its threshold delivers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from propensity.evaluation.bootstrap import resampled_areas
from propensity.evaluation.records import BROKEN, DECAYED, OURS
from propensity.features.csr import FloatArray
from propensity.pipeline.thresholds import Thresholds

Doubles = npt.NDArray[np.float64]


def by_category(
    names: Sequence[str],
    targets: FloatArray,
    scores: Mapping[str, FloatArray],
    probabilities: FloatArray,
    thresholds: FloatArray | None,
    min_positives: int,
) -> list[dict[str, Any]]:
    """Return a record for each category, in the order of `names` (C,); `scores`, `targets` and `probabilities` are (N, C).

    `buyers` acted in the window, `expected` is the sum of the probabilities.  AUC and AP are NaN where fewer than `min_positives`
    acted.  `picked` customers lie at or above the category's threshold (C,), of whom `precision` acted; a threshold above 1 picks
    nobody, and the three are NaN without thresholds.
    """
    once = np.ones((1, len(targets)), np.int32)
    areas = {name: resampled_areas(targets, scores[name], once, min_positives)[0] for name in (OURS, DECAYED)}
    buyers = targets.sum(0)
    told = ~np.isnan(areas[OURS])
    columns = {
        "base_rate": targets.mean(0, dtype=np.float64),
        "expected": probabilities.sum(0, dtype=np.float64),
        OURS: areas[OURS],
        DECAYED: areas[DECAYED],
        "average_precision": np.where(told, average_precisions(targets, scores[OURS]), np.nan),
        **at_thresholds(targets, probabilities, thresholds),
    }
    return [
        {"name": name, "buyers": int(buyers[i]), **{key: float(values[i]) for key, values in columns.items()}}
        for i, name in enumerate(names)
    ]


def promises(targets: FloatArray, probabilities: FloatArray, thresholds: Thresholds, min_positives: int) -> list[dict[str, Any]]:
    """Return for each precision promised what its thresholds delivered.

    `right` of the customers `picked` acted.  Of the categories that picked enough to be `judged`, `min_positives`, some are at or
    `above` the promise; those that are not significantly below it have `kept` it.
    """
    told = []
    for precision, values in zip(thresholds.precisions, thresholds.values, strict=True):
        found = at_thresholds(targets, probabilities, values)
        enough = found["picked"] >= min_positives
        picked, delivered = found["picked"][enough], found["precision"][enough]
        told.append({
            "precision": precision,
            "confidence": thresholds.confidence,
            "categories": int(np.isfinite(values).sum()),
            "picked": int(found["picked"].sum()),
            "right": int(np.rint(np.nansum(found["picked"] * found["precision"]))),
            "judged": int(enough.sum()),
            "above": int((delivered >= precision).sum()),
            "kept": int((binom.cdf(np.rint(picked * delivered), picked, precision) >= BROKEN).sum()),
        })  # fmt: skip
    return told


def average_precisions(targets: FloatArray, scores: FloatArray) -> Doubles:
    """Return each category's average precision (C,): the mean of precision over the positives, equal scores taken together."""
    result = np.full(targets.shape[1], np.nan)
    for column in np.flatnonzero(targets.any(0)):
        order = np.argsort(-scores[:, column], kind="stable")
        falling = scores[order, column]
        ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
        found = np.cumsum(targets[order, column], dtype=np.float64)[ends]
        result[column] = (np.diff(found, prepend=0.0) * found / (ends + 1)).sum() / found[-1]
    return result


def at_thresholds(targets: FloatArray, probabilities: FloatArray, thresholds: FloatArray | None) -> dict[str, Doubles]:
    """Return each category's `threshold`, how many customers it picks and the share of them who acted: (C,) each."""
    nothing = np.full(targets.shape[1], np.nan)
    if thresholds is None:
        return {"threshold": nothing, "picked": nothing, "precision": nothing}
    chosen = probabilities >= thresholds
    picked = chosen.sum(0).astype(np.float64)
    right = (chosen & (targets > 0)).sum(0)
    precision = np.divide(right, picked, out=nothing.copy(), where=picked > 0)
    told = np.where(thresholds <= 1, thresholds.astype(np.float64), np.nan)
    return {"threshold": told, "picked": picked, "precision": precision}
