"""A vectoriser, any number of transformers, and a predictor: itself a predictor, of records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from propensity.errors import DataError
from propensity.features.csr import IntArray, SparseBatch
from propensity.pipeline.predictor import Predictor, Raw, SparsePredictor
from propensity.pipeline.thresholds import Thresholds
from propensity.pipeline.transformer import Record, RecordTransformer, SparseTransformer, records_of
from propensity.pipeline.vectoriser import Vectoriser

Step = RecordTransformer | Vectoriser | SparseTransformer


class Pipeline(Predictor[Record, Sequence[Record]]):
    """Records in, scores out.  Whoever calls it never learns which steps and which model are inside.

    Stored feature rows are what the steps give: score them with ``pipeline.predictor``.
    """

    def __init__(self, steps: Sequence[Step], predictor: SparsePredictor) -> None:
        """Raise DataError unless `steps` are record steps, one vectoriser, and sparse steps, in this order."""
        sorts = [(RecordTransformer, Vectoriser, SparseTransformer).index(_sort(step)) for step in steps]
        if sorts != sorted(sorts) or sorts.count(1) != 1:
            kinds = [step.kind for step in steps]
            do = "put steps over records first, then one vectoriser, then steps over sparse rows"
            raise DataError("steps are not in order", where="pipeline", examples=kinds, do=do)
        self.steps = tuple(steps)
        self.predictor = predictor

    @property
    def vectoriser(self) -> Vectoriser:
        """Return the step that makes records sparse rows."""
        return next(step for step in self.steps if isinstance(step, Vectoriser))

    @property
    def categories(self) -> IntArray:
        """Return the categories' ids (C,), ascending."""
        return self.predictor.categories

    @property
    def thresholds(self) -> Thresholds | None:
        """Return what the model's probabilities promise, None when it is not calibrated."""
        return self.predictor.thresholds

    def prepare_one(self, record: Record) -> SparseBatch:
        """Return one record's sparse row, as the predictor takes it; raise DataError for a value that is no feature."""
        passed = record
        for step in self.steps:
            passed = step.transform_one(passed)  # type: ignore[arg-type,assignment]
        return _single(passed)  # type: ignore[arg-type]

    def prepare_counting(self, record: Record) -> tuple[SparseBatch, int]:
        """Return :meth:`prepare_one`, and how many names and words the vectoriser did not know and dropped."""
        passed: Any = record
        dropped = 0
        for step in self.steps:
            before, passed = passed, step.transform_one(passed)
            if isinstance(step, Vectoriser):
                dropped = sum(map(_entries, before.values())) - len(passed.indices)
        return _single(passed), dropped

    def prepare(self, records: Sequence[Record]) -> SparseBatch:
        """Return the records' sparse rows."""
        passed = records
        for step in self.steps:
            passed = step.transform_batch(passed)  # type: ignore[arg-type,assignment]
        return _single(passed)  # type: ignore[arg-type]

    def raw(self, many: Sequence[Record]) -> Raw:
        """Return the logits of many records."""
        return self.predictor.raw(self.prepare_one(many[0]) if len(many) == 1 else self.prepare(many))

    def several(self, one: Record) -> Sequence[Record]:
        """Return the record in a list."""
        return (one,)

    def rows_of(self, batch: pa.RecordBatch) -> Sequence[Record]:
        """Return the rows as records: every column is a feature by its name."""
        return records_of(batch)


def _sort(step: object) -> type:
    sorts = (RecordTransformer, Vectoriser, SparseTransformer)
    found = next((sort for sort in sorts if isinstance(step, sort)), None)
    if found is None:
        raise DataError(f"{type(step).__name__} is no step", where="pipeline", do="derive it from a transformer base class")
    return found


def _entries(value: Any) -> int:
    """Return how many features a raw feature's value would be, were all of them known."""
    if value is None:
        return 0
    return (
        len(value)
        if type(value) is dict or isinstance(value, Mapping)
        else len(set(value))
        if isinstance(value, list | tuple)
        else 1
    )


def _single(batch: SparseBatch) -> SparseBatch:
    """Return the rows with float32 values: steps count in float64, as the feature tables are computed, and round once."""
    return SparseBatch(batch.indices, batch.values.astype(np.float32), batch.offsets)
