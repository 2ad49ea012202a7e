"""How a predictor in fewer bits differs from the exact one."""

from dataclasses import dataclass

import numpy as np

from propensity.features.csr import FloatArray
from propensity.pipeline.top_k import sigmoid, top_columns


@dataclass(frozen=True)
class Deviation:
    """How a predictor in fewer bits differs from the exact one on some customers."""

    largest: float
    """Of a probability."""
    p99: float
    same_top: float
    """Share of the K likeliest categories that both name, mean over customers."""


def deviation(wanted: FloatArray, got: FloatArray, k: int) -> Deviation:
    """Compare what two predictors say of B customers, logits (B, C)."""
    apart = np.abs(sigmoid(wanted).astype(np.float64) - sigmoid(got))
    rows = np.arange(len(wanted), dtype=np.int64)[:, None] * wanted.shape[1]
    one, two = rows + top_columns(wanted, k), rows + top_columns(got, k)
    return Deviation(float(apart.max()), float(np.quantile(apart, 0.99)), float(np.isin(one, two).mean()))
