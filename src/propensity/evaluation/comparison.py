"""A model next to the baselines on some pairs, with how sure the figures are: intervals by the paired bootstrap."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from propensity.config import Promotion
from propensity.evaluation.bootstrap import MEASURES, Values, Weights, interval, resampled
from propensity.evaluation.records import OURS
from propensity.features.csr import FloatArray
from propensity.models.metrics import Mask

Drawn = Mapping[str, Mapping[str, Values]]


def compare(
    targets: FloatArray, scores: Mapping[str, FloatArray], weights: Weights, settings: Promotion, mask: Mask | None = None
) -> dict[str, Any]:
    """Return the figures of named scores (N, C) and their intervals under weightings (R, N), on the pairs of a mask (N, C) only.

    `table` has the figures of each; `intervals` ours as [low, high]; `differences` ours minus each other's as
    [difference, low, high], both models under the same weightings.
    """
    # The sample itself is the first weighting: every customer once.
    rows = np.concatenate([np.ones((1, len(targets)), weights.dtype), weights])
    drawn = {name: resampled(targets, values, rows, settings.min_positives, mask) for name, values in scores.items()}
    return {
        "table": {name: {measure: float(values[measure][0]) for measure in MEASURES} for name, values in drawn.items()},
        "intervals": {measure: list(interval(drawn[OURS][measure][1:], settings.level)) for measure in MEASURES},
        "differences": {name: _differences(drawn, name, settings.level) for name in scores if name != OURS},
    }


def _differences(drawn: Drawn, other: str, level: float) -> dict[str, list[float]]:
    gaps = {measure: drawn[OURS][measure] - drawn[other][measure] for measure in MEASURES}
    return {measure: [float(gap[0]), *interval(gap[1:], level)] for measure, gap in gaps.items()}
