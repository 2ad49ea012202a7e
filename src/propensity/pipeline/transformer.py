"""A step from raw features to what a predictor takes: one function for one record, for many, and for a DataFrame.

Steps come in three sorts, in this order in a pipeline: from record to record, from record to sparse row (the vectoriser), and
from sparse row to sparse row.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.features.csr import SparseBatch, from_arrow

Record: TypeAlias = Mapping[str, Any]
"""One customer's raw features by name: a number, a string, a list of strings or numbers, or a map from string to number."""

Tensors: TypeAlias = Mapping[str, npt.NDArray[Any]]

In = TypeVar("In")
Out = TypeVar("Out")

INDICES, VALUES = "indices", "values"
SPARSE_COLUMNS = {INDICES: "array<int>", VALUES: "array<float>"}
"""A sparse row in a DataFrame, as the features table holds it."""

FEATURE_TYPES: Mapping[str, pa.DataType] = {
    "double": pa.float64(),
    "string": pa.string(),
    "array<double>": pa.list_(pa.float64()),
    "array<string>": pa.list_(pa.string()),
    "array<int>": pa.list_(pa.int32()),
    "map<string,double>": pa.map_(pa.string(), pa.float64()),
}
"""What a step over records may make of a feature: its type in a DataFrame and in Arrow."""


class Frame(Protocol):
    """As much of a Spark DataFrame as a step needs; this room knows no Spark."""

    @property
    def dtypes(self) -> list[tuple[str, str]]:
        """Return the columns' names and types."""

    @property
    def columns(self) -> list[str]:
        """Return the columns' names."""

    def toDF(self, *cols: str) -> "Frame":  # noqa: N802
        """Return the frame with other names of its columns."""

    def mapInArrow(self, func: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: str) -> "Frame":  # noqa: N802
        """Return the frame of what `func` makes of the Arrow batches."""


class FeatureTransformer(ABC, Generic[In, Out]):
    """In -> Out, the same whichever way it is called; what it has learned (names ending in _) goes into the bundle."""

    kind: ClassVar[str]
    """What the bundle calls it."""

    def fit(self, many: Any) -> Self:
        """Learn from a batch what there is to learn; most steps learn nothing."""
        del many
        return self

    @abstractmethod
    def transform_one(self, one: In) -> Out:
        """Return what one customer's features become."""

    @abstractmethod
    def transform_batch(self, many: Any) -> Any:
        """Return what many customers' features become, in their order: a sequence of records or a SparseBatch."""

    @abstractmethod
    def transform(self, frame: Frame) -> Frame:
        """Return a DataFrame with the step's columns replaced or added; all others are carried through."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return the settings, and what was learned and is small, as JSON."""

    def tensors(self) -> Tensors:
        """Return what was learned and is large."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step that `describe` and `tensors` were taken from; raise KeyError, TypeError, ValueError or DataError."""


class RecordTransformer(FeatureTransformer[Record, Record]):
    """A step that changes some of a record's features and hands on the others."""

    @abstractmethod
    def apply(self, record: Record) -> Record:
        """Return the changed record; the given one stays as it is.  Raise DataError for a value of a type it cannot take."""

    @abstractmethod
    def columns(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """Return the types (of FEATURE_TYPES) of a DataFrame's changed columns, given the types of all of them."""

    def transform_one(self, one: Record) -> Record:
        """Return the changed record."""
        return self.apply(one)

    def transform_batch(self, many: Sequence[Record]) -> list[Record]:
        """Return the changed records."""
        return [self.apply(record) for record in many]

    def transform(self, frame: Frame) -> Frame:
        """Return the DataFrame with the changed columns; every column is a feature of the record, null when missing."""
        types = dict(frame.dtypes)
        changed = self.columns(types)
        types.update(changed)

        return map_batches(frame, lambda batch: _with_features(batch, self.transform_batch(records_of(batch)), changed), types)


class SparseTransformer(FeatureTransformer[SparseBatch, SparseBatch]):
    """A step over sparse rows.  One row is a batch of one."""

    @abstractmethod
    def apply(self, batch: SparseBatch) -> SparseBatch:
        """Return the changed rows; the given arrays stay as they are."""

    def transform_one(self, one: SparseBatch) -> SparseBatch:
        """Return the changed row, given as a batch of one."""
        return self.apply(one)

    def transform_batch(self, many: SparseBatch) -> SparseBatch:
        """Return the changed rows."""
        return self.apply(many)

    def transform(self, frame: Frame) -> Frame:
        """Return the DataFrame with other `indices` and `values`."""
        types = {**dict(frame.dtypes), **SPARSE_COLUMNS}

        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            return with_sparse(batch, self.transform_batch(from_arrow(batch[INDICES], batch[VALUES])))

        return map_batches(frame, run, types)


def records_of(batch: pa.RecordBatch) -> list[Record]:
    """Return the rows of an Arrow batch as records: nulls are missing, maps are dictionaries."""
    columns = {name: _plain(batch[name]) for name in batch.schema.names}
    rows = range(batch.num_rows)
    return [{name: column[i] for name, column in columns.items() if column[i] is not None} for i in rows]


def _plain(column: pa.Array) -> list[Any]:
    values = column.to_pylist()
    return [v if v is None else dict(v) for v in values] if pa.types.is_map(column.type) else values


def _with_features(batch: pa.RecordBatch, records: Sequence[Record], changed: Mapping[str, str]) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, kind in changed.items():
        columns[name] = pa.array([_listed(record.get(name)) for record in records], FEATURE_TYPES[kind])
    return pa.RecordBatch.from_pydict(columns)


def _listed(value: Any) -> Any:
    return list(value.items()) if isinstance(value, Mapping) else value


def with_sparse(batch: pa.RecordBatch, rows: SparseBatch) -> pa.RecordBatch:
    """Return an Arrow batch with sparse rows as its columns `indices` and `values`."""
    offsets = pa.array(rows.offsets.astype(np.int32))
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns[INDICES] = pa.ListArray.from_arrays(offsets, pa.array(rows.indices, pa.int32()))
    columns[VALUES] = pa.ListArray.from_arrays(offsets, pa.array(rows.values.astype(np.float32), pa.float32()))
    return pa.RecordBatch.from_pydict(columns)


def map_batches(frame: Frame, function: Callable[[pa.RecordBatch], pa.RecordBatch], types: Mapping[str, str]) -> Frame:
    """Return the DataFrame of what `function` makes of Arrow batches, with columns of these types.

    Raw features are named with dots, which Spark takes for fields of a structure: on their way to Python columns have numbers.
    """
    names = frame.columns

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield function(batch.rename_columns(names))

    return frame.toDF(*map(str, range(len(names)))).mapInArrow(run, ddl(types))


def ddl(types: Mapping[str, str]) -> str:
    """Return columns' names and types as Spark reads them."""
    return ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in types.items())
