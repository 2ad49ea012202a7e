"""What each rung of knowledge is worth: the region's prior, the sparse profile, the whole model.

Judged twice.  As they are: the held-out customers by what their scores come from.  Simulated: the very same customers with all
features hidden, with everything but their history in the model's categories, and in full; so the rungs differ in nothing else.
"""

from typing import TYPE_CHECKING

import numpy as np

from propensity.config import MAX_CHANNELS, Promotion
from propensity.contracts import SCORE_SOURCES
from propensity.evaluation.records import Figures
from propensity.features.csr import FloatArray, SparseBatch
from propensity.models.calibration import calibration_error
from propensity.models.feature_map import IdMap
from propensity.models.metrics import judge
from propensity.models.ragged import keep
from propensity.pipeline.predictor import SourceArray, SparsePredictor
from propensity.pipeline.top_k import sigmoid

if TYPE_CHECKING:
    from propensity.evaluation.held_out import HeldOut

BATCH = 4096
ABSENT = np.float32(-30.0)
"""Logit of a category that a model does not know."""


def rung_figures(window: "HeldOut", model: SparsePredictor, settings: Promotion) -> dict[str, Figures]:
    """Return the figures of each rung, simulated on all customers of the window; `calibration_error` is among them."""
    shown = {"prior": hidden(window.features), "profile": without_history(window.features, model), "model": window.features}
    return {name: _figures(window, _scores(window, rows, model)[0], settings, None) for name, rows in shown.items()}


def source_figures(window: "HeldOut", model: SparsePredictor, settings: Promotion) -> dict[str, Figures]:
    """Return the figures of the customers as they are, by what their scores come from; sources that nobody has are left out."""
    values, sources = _scores(window, window.features, model)
    present = [(name, sources == at) for at, name in enumerate(SCORE_SOURCES)]
    return {name: _figures(window, values, settings, mine) for name, mine in present if mine.any()}


def source_counts(window: "HeldOut", model: SparsePredictor) -> dict[str, int]:
    """Return how many of the window's customers each source has."""
    sources = _scores(window, window.features, model)[1]
    return {name: int((sources == at).sum()) for at, name in enumerate(SCORE_SOURCES)}


def hidden(rows: SparseBatch) -> SparseBatch:
    """Return as many rows without a feature."""
    return SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(len(rows) + 1, np.int64))


def without_history(rows: SparseBatch, model: SparsePredictor) -> SparseBatch:
    """Return the rows without the features of the model's own categories: what is known of somebody who never acted there."""
    kept = IdMap(model.categories).positions(rows.indices // MAX_CHANNELS) < 0
    return SparseBatch(rows.indices[kept], rows.values[kept], keep(rows.offsets, kept))


def _scores(window: "HeldOut", rows: SparseBatch, model: SparsePredictor) -> tuple[FloatArray, SourceArray]:
    """Return logits (N, C) in the window's columns, and sources (N,)."""
    raws = [model.raw(rows.rows(i, min(i + BATCH, len(rows)))) for i in range(0, len(rows), BATCH)]
    values = window.align(np.concatenate([raw.logits for raw in raws]), model.categories, ABSENT)
    return values, np.concatenate([raw.source for raw in raws])


def _figures(window: "HeldOut", values: FloatArray, settings: Promotion, mine: "np.typing.NDArray[np.bool_] | None") -> Figures:
    chosen = slice(None) if mine is None else mine
    targets, scores = window.targets[chosen], values[chosen]
    judged = judge(targets, scores, settings.min_positives, settings.expected_precision)
    return {**judged.as_dict(), "calibration_error": calibration_error(targets, sigmoid(scores))}
