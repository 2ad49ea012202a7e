"""Golden rows: a few real feature rows that go into a bundle with the scores they have today."""

import numpy as np

from propensity.features.csr import SparseBatch
from propensity.pipeline.bundle import Golden
from propensity.pipeline.predictor import SparsePredictor

GOLDEN_ROWS = 12


def golden_of(batch: SparseBatch, predictor: SparsePredictor) -> Golden:
    """Return some of the rows, as different in length as there are, with their scores."""
    by_length = np.argsort(np.diff(batch.offsets), kind="stable")
    picks = by_length[np.unique(np.linspace(0, len(batch) - 1, GOLDEN_ROWS).astype(np.int64))] if len(batch) else by_length
    rows = batch.take(picks)
    return Golden(rows, predictor.predict_batch(rows))
