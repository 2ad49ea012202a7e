"""Every category's probability of each customer, in one piece of bytes: what a run writes beside the likeliest where it is asked.

Lists of 2,000 numbers take four times as long to write, see ``benchmarks/speed/encodings.py``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.config.scoring import Vectors
from propensity.contracts import SCORE_SOURCES, SCORE_VECTORS, VECTOR_CATEGORIES
from propensity.features.csr import FloatArray, IntArray
from propensity.storage import DataFile, Lake

if TYPE_CHECKING:
    from propensity.pipeline.predictor import Raw

TYPES: Mapping[Vectors, npt.DTypeLike] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
BLOCK = 32_768
"""Logits at once: in float64 they stay in the processor's cache."""
SOURCES = pa.array(SCORE_SOURCES, pa.string())
"""By their positions, as a model tells them."""


def probabilities_of(logits: FloatArray, kind: Vectors) -> pa.FixedSizeBinaryArray:
    """Return each row's probabilities (B, C) as bytes; in float32 those of :func:`pipeline.top_k.sigmoid`, or next to them.

    numpy's exponential takes half the time of the C library's; of 80 million probabilities none came out otherwise.
    """
    flat = np.ascontiguousarray(logits, np.float32).ravel()
    stored: npt.NDArray[np.floating[Any]] = np.empty(len(flat), TYPES[kind])
    work = np.empty(min(BLOCK, len(flat)))
    with np.errstate(over="ignore"):  # one over infinity is the 0 that it should be
        for start in range(0, len(flat), BLOCK):
            part = work[: min(BLOCK, len(flat) - start)]
            np.negative(flat[start : start + BLOCK], out=part)
            np.exp(part, out=part)
            part += 1.0
            np.divide(1.0, part, out=part)
            stored[start : start + BLOCK] = part
    width = logits.shape[1] * stored.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(logits), [None, pa.py_buffer(stored)])


class VectorFile:
    """One bucket's vectors as they come, batch by batch."""

    def __init__(self, lake: Lake, kind: Vectors, version: str, run_id: str) -> None:
        self._lake, self._kind, self._told = lake, kind, (version, run_id)
        self._parts: list[pa.Table] = []

    def add(self, users: pa.Array, raw: "Raw") -> None:
        """Take in what the model says of some customers."""
        sources, told = SOURCES.take(pa.array(raw.source)), (pa.repeat(text, len(users)) for text in self._told)
        names = [name for name, _ in SCORE_VECTORS.columns]
        self._parts.append(pa.table([users, probabilities_of(raw.logits, self._kind), sources, *told], names=names))

    def write(self, partition: Mapping[str, str], name: str, categories: IntArray) -> DataFile:
        """Write the file, and which category stands where, which is the same for every bucket."""
        _write_categories(self._lake, partition["region"], self._told[0], categories)
        width = len(categories) * np.dtype(TYPES[self._kind]).itemsize
        schema = SCORE_VECTORS.file_schema(self._lake.user_type)
        schema = schema.set(schema.get_field_index("probabilities"), pa.field("probabilities", pa.binary(width)))
        parts = [schema.empty_table(), *self._parts]
        return self._lake.write(SCORE_VECTORS, partition, name, pa.concat_tables(parts), {"type": self._kind})


def categories_file(lake: Lake, region: str, version: str) -> DataFile | None:
    """Return the file that says which category stands where in a model version's vectors; None where no task wrote it."""
    return lake.stat(VECTOR_CATEGORIES, {"region": region, "model_version": version}, "categories")


def _write_categories(lake: Lake, region: str, version: str, categories: IntArray) -> None:
    if categories_file(lake, region, version) is None:
        columns = [pa.array(np.arange(len(categories), dtype=np.int32)), pa.array(categories, pa.int32())]
        table = pa.table(columns, schema=VECTOR_CATEGORIES.file_schema(lake.user_type))
        lake.write(VECTOR_CATEGORIES, {"region": region, "model_version": version}, "categories", table, {})
