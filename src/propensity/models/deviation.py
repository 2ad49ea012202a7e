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
    apart = sigmoid(wanted)
    apart -= sigmoid(got)
    np.abs(apart, out=apart)
    named = np.zeros(wanted.shape, bool)
    np.put_along_axis(named, top_columns(wanted, k), True, axis=1)
    same = np.take_along_axis(named, top_columns(got, k), axis=1)
    return Deviation(float(apart.max()), float(np.quantile(apart, 0.99, overwrite_input=True)), float(same.mean()))
