"""How a predictor in fewer bits differs from the exact one."""

from dataclasses import dataclass

import numpy as np

from propensity.features.csr import SparseBatch
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid


@dataclass(frozen=True)
class Deviation:
    """How a predictor in fewer bits differs from the exact one on some customers."""

    largest: float
    """Of a probability."""
    p99: float
    same_top: float
    """Share of the K likeliest categories that both name, mean over customers."""


def deviation(exact: SparsePredictor, other: SparsePredictor, rows: SparseBatch, k: int) -> Deviation:
    """Compare two predictors on B customers."""
    wanted, got = exact.raw(rows).logits, other.raw(rows).logits
    apart = np.abs(sigmoid(wanted).astype(np.float64) - sigmoid(got))
    one, two = exact.top_k(rows, k)[0], other.top_k(rows, k)[0]
    same = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(one, two, strict=True)]
    return Deviation(float(apart.max()), float(np.quantile(apart, 0.99)), float(np.mean(same)))
