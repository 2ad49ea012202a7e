"""Vectors of every category's probability: committed with the scores of their run, read back as numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from propensity.contracts import SCORE_VECTORS, VECTOR_CATEGORIES
from propensity.errors import DataError
from propensity.features.csr import FloatArray, IntArray
from propensity.quality.staged import StagedScores
from propensity.storage import Lake


@dataclass(frozen=True)
class VectorRows:
    """The customers of one file."""

    users: pa.Array
    """(B,)."""
    probabilities: FloatArray
    """(B, C) in the order of `categories`, float32 whatever the file keeps."""
    categories: IntArray
    """(C,) category ids."""
    run_id: str


def commit_vectors(lake: Lake, staged: StagedScores) -> bool:
    """Make a run's vectors those of its partition, none where it has none; say whether that changed anything.

    They are committed before the scores: whoever reads a partition of scores finds the vectors of the same run there, or for a
    moment those of the next one, and `run_id` tells.
    """
    if staged.categories is not None:
        at = staged.categories.partition
        lake.commit(VECTOR_CATEGORIES, [staged.categories], at, {"model_version": staged.model_version})
    if not staged.vectors and not lake.files(SCORE_VECTORS, **staged.partition):
        return False
    return lake.commit(SCORE_VECTORS, staged.vectors, staged.partition, {"run_id": staged.run_id})


def read_vectors(lake: Lake, region: str, score_date: str) -> Iterator[VectorRows]:
    """Yield a partition's customers, a file at a time; raise DataError where there are none."""
    files = lake.files(SCORE_VECTORS, region=region, score_date=score_date)
    if not files:
        what, do = "no vectors are published", "set models.scoring.vectors and score this day"
        raise DataError(what, where=f"{region}, {score_date}", do=do)
    for file in files:
        table = lake.read(SCORE_VECTORS.name, file).combine_chunks()
        if table.num_rows == 0:
            continue
        version = table["model_version"][0].as_py()
        categories = (
            lake.read_rows(VECTOR_CATEGORIES, region=region, model_version=version).sort_by("position")["category"].to_numpy()
        )
        column = table["probabilities"].chunk(0)
        kind = np.dtype("<f4" if column.type.byte_width == 4 * len(categories) else "<f2")
        flat = np.frombuffer(
            column.buffers()[1], kind, count=len(column) * len(categories), offset=column.offset * column.type.byte_width
        )
        numbers = flat.reshape(len(column), -1).astype(np.float32, copy=False)
        yield VectorRows(table["user_id"].chunk(0), numbers, categories, table["run_id"][0].as_py())
