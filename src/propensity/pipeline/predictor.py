"""What every model is to the rest: features in, a logit or a probability for each category out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.contracts import SCORE_SOURCES
from propensity.features.csr import FloatArray, IntArray, SparseBatch, from_arrow
from propensity.pipeline.thresholds import Thresholds
from propensity.pipeline.top_k import deliver, sigmoid
from propensity.pipeline.transformer import INDICES, VALUES, Frame, Tensors, map_batches

BoolArray = npt.NDArray[np.bool_]

SourceArray = npt.NDArray[np.uint8]
"""Positions in contracts.SCORE_SOURCES."""

PRIOR, PROFILE, MODEL = (np.uint8(SCORE_SOURCES.index(name)) for name in ("prior", "profile", "model"))
SCORES = "scores"

One = TypeVar("One")
Many = TypeVar("Many")


@dataclass(frozen=True)
class Raw:
    """What a predictor says about B users."""

    logits: FloatArray
    """(B, C) folded: log of yes over no."""
    source: SourceArray
    """(B,) what they come from, as positions in SCORE_SOURCES; PRIOR: the region's popularity."""

    @property
    def known(self) -> BoolArray:
        """Return (B,) whether the model knows any feature of the user."""
        known: BoolArray = self.source != PRIOR
        return known


@dataclass(frozen=True)
class Scores:
    """The K likeliest categories of B users."""

    categories: IntArray
    """(B, K) category ids."""
    probabilities: FloatArray
    """(B, K) descending."""
    source: SourceArray
    """(B,) as in :class:`Raw`."""

    def sources(self) -> list[str]:
        """Return `score_source` for each user."""
        return [SCORE_SOURCES[source] for source in self.source.tolist()]


def source_of(known: BoolArray) -> SourceArray:
    """Return the sources (B,) of a model without a history path: it knows something of the user or nothing."""
    return np.where(known, MODEL, PRIOR)


class Predictor(ABC, Generic[One, Many]):
    """A fitted model.  One user and many users go through the same :meth:`raw`, so they have the same scores."""

    @property
    @abstractmethod
    def categories(self) -> IntArray:
        """Return the categories' ids (C,), ascending: the columns of every result."""

    @abstractmethod
    def raw(self, many: Many) -> Raw:
        """Return the logits of many users.  Features the model does not know are dropped; a user without any gets the prior."""

    @abstractmethod
    def several(self, one: One) -> Many:
        """Return one user as many users."""

    def predict_raw(self, one: One) -> FloatArray:
        """Return one user's logits (C,)."""
        logits: FloatArray = self.raw(self.several(one)).logits[0]
        return logits

    def predict(self, one: One) -> FloatArray:
        """Return one user's probabilities (C,)."""
        return sigmoid(self.predict_raw(one))

    def predict_batch(self, many: Many) -> FloatArray:
        """Return the probabilities (B, C)."""
        return sigmoid(self.raw(many).logits)

    def score(self, many: Many, k: int | None = None) -> Scores:
        """Return the `k` likeliest categories of each user (None or more than C: all C of them)."""
        return self.likeliest(self.raw(many), k)

    def likeliest(self, raw: Raw, k: int | None = None) -> Scores:
        """Return the same of logits that are there already."""
        width = raw.logits.shape[1]
        ids, probabilities = deliver(raw.logits, self.categories, width if k is None else min(k, width))
        return Scores(ids, probabilities, raw.source)

    def top_k(self, many: Many, k: int | None = None) -> tuple[IntArray, FloatArray]:
        """Return ids (B, K) and probabilities (B, K), descending; of equal ones the lower id comes first."""
        scores = self.score(many, k)
        return scores.categories, scores.probabilities

    @abstractmethod
    def rows_of(self, batch: pa.RecordBatch) -> Many:
        """Return the users in an Arrow batch of a DataFrame."""

    def transform(self, frame: Frame) -> Frame:
        """Return the DataFrame with a column `scores`: probabilities in the order of `categories`."""
        types = {**dict(frame.dtypes), SCORES: "array<float>"}
        return map_batches(frame, lambda batch: with_scores(batch, self.predict_batch(self.rows_of(batch))), types)


class SparsePredictor(Predictor[SparseBatch, SparseBatch]):
    """A model over sparse rows: what a pipeline ends with, and what scores feature rows as they are stored."""

    kind: str
    """What the bundle calls this family of models."""
    thresholds: Thresholds | None = None
    """What probabilities promise; None when the model is not calibrated."""

    def several(self, one: SparseBatch) -> SparseBatch:
        """Return the row, which is a batch of one."""
        return one

    def rows_of(self, batch: pa.RecordBatch) -> SparseBatch:
        """Return the rows in the columns `indices` and `values`."""
        return from_arrow(batch[INDICES], batch[VALUES])

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model, as JSON; `shape` has at least `features` and `categories`."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""

    def files(self) -> Mapping[str, bytes]:
        """Return the files that the bundle keeps besides arrays, by name."""
        return {}


def with_scores(batch: pa.RecordBatch, probabilities: FloatArray) -> pa.RecordBatch:
    """Return an Arrow batch with probabilities (B, C) as its column `scores`."""
    rows, width = probabilities.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns[SCORES] = pa.ListArray.from_arrays(offsets, pa.array(probabilities.ravel(), pa.float32()))
    return pa.RecordBatch.from_pydict(columns)
