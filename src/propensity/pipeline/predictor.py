"""What every model is to the rest: sparse rows in, a logit or a probability for each category out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray, IntArray, SparseBatch

BoolArray = npt.NDArray[np.bool_]

MODEL_SOURCE, PRIOR_SOURCE = "model", "prior"
"""`score_source`, as contracts.SCORE_SOURCES lists them."""


@dataclass(frozen=True)
class Raw:
    """What a predictor says about B users."""

    logits: FloatArray
    """(B, C) folded: log of yes over no."""
    known: BoolArray
    """(B,) whether the model knows any feature of the user; where it does not, the logits are the region's popularity."""


class Predictor(Protocol):
    """A fitted model.  Features it does not know are dropped; a row without any gets the prior."""

    @property
    def categories(self) -> IntArray:
        """Return the categories' ids (C,), ascending: the columns of every result."""

    def predict_raw(self, batch: SparseBatch) -> Raw:
        """Return the logits of a batch."""


@dataclass(frozen=True)
class Scores:
    """The K likeliest categories of B users."""

    categories: IntArray
    """(B, K) category ids."""
    probabilities: FloatArray
    """(B, K) descending."""
    known: BoolArray
    """(B,)."""

    def sources(self) -> list[str]:
        """Return `score_source` for each user."""
        return [MODEL_SOURCE if known else PRIOR_SOURCE for known in self.known]


class Pipeline:
    """A predictor with what is done to its logits.  The only place where scores are computed."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @property
    def categories(self) -> IntArray:
        """Return the categories' ids (C,), ascending."""
        return self.predictor.categories

    def predict_raw(self, batch: SparseBatch) -> Raw:
        """Return the logits (B, C) and which rows the model knows."""
        return self.predictor.predict_raw(batch)

    def predict_batch(self, batch: SparseBatch) -> FloatArray:
        """Return the probabilities (B, C)."""
        return sigmoid(self.predict_raw(batch).logits)

    def score(self, batch: SparseBatch, k: int | None = None) -> Scores:
        """Return the `k` likeliest categories of each user (None or more than C: all C of them)."""
        raw = self.predict_raw(batch)
        columns = top_columns(raw.logits, raw.logits.shape[1] if k is None else k)
        best = np.take_along_axis(raw.logits, columns, axis=1)
        return Scores(self.categories[columns], sigmoid(best), raw.known)

    def top_k(self, batch: SparseBatch, k: int | None = None) -> tuple[IntArray, FloatArray]:
        """Return ids (B, K) and probabilities (B, K), descending; of equal ones the lower id comes first."""
        scores = self.score(batch, k)
        return scores.categories, scores.probabilities


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-logits)) in float32; beyond 88 either way it is 0 or 1 without a warning."""
    bounded = np.clip(logits, -88.0, 88.0)
    return (1.0 / (1.0 + np.exp(-bounded))).astype(np.float32, copy=False)


def top_columns(logits: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return the columns (B, K) of the highest logits (B, C), descending; of equal ones the lower column first.

    Logit and column make one integer that sorts like the pair, so that ties have one answer whatever K is.
    """
    width = logits.shape[1]
    bits = np.ascontiguousarray(logits + np.float32(0.0), np.float32).view(np.int32)  # + 0 makes -0 the 0 it equals
    ordered = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys = (ordered << 32) | (width - 1 - np.arange(width, dtype=np.int64))
    if k < width:
        keys.partition(width - k, axis=1)
        keys = keys[:, width - k :]
    keys.sort(axis=1)
    columns: npt.NDArray[np.int64] = width - 1 - (keys[:, ::-1] & np.int64(0xFFFFFFFF))
    return columns
