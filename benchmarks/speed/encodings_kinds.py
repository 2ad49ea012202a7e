"""Ways to lay out the probabilities (B, C) of B customers as one Arrow column, in the order of the categories, and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from propensity.features.csr import FloatArray

UNIT = np.float32(65535)
"""What 1 is in 16 bits without a sign."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """One way to store probabilities."""

    pack: Callable[[FloatArray], pa.Array]
    unpack: Callable[[pa.Array, int], FloatArray]
    """From the column and C, as float32."""
    plain: bool = True
    """Whether Parquet is told not to try a dictionary."""


def as_list(scores: FloatArray) -> pa.Array:
    """Return a list column."""
    return pa.ListArray.from_arrays(pa.array(_offsets(*scores.shape)), pa.array(scores.ravel()))


def as_fixed_list(scores: FloatArray) -> pa.Array:
    """Return a column of lists of one length."""
    return pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1])


def as_binary(numbers: Numbers) -> pa.Array:
    """Return a binary column: each row's bytes as they lie in memory, little-endian."""
    rows, width = numbers.shape
    buffers = [None, pa.py_buffer(_offsets(rows, width * numbers.itemsize)), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(pa.binary(), rows, buffers)


def as_fixed_binary(numbers: Numbers) -> pa.Array:
    """Return a column of binary values of one length."""
    rows, width = numbers.shape
    return pa.Array.from_buffers(pa.binary(width * numbers.itemsize), rows, [None, pa.py_buffer(numbers)])


def halves(scores: FloatArray) -> Numbers:
    """Return float16; by torch, as numpy takes three times as long."""
    result: Numbers = torch.from_numpy(scores).half().numpy()
    return result


def shorts(scores: FloatArray) -> Numbers:
    """Return 65535ths as uint16."""
    scaled = scores * UNIT
    scaled += np.float32(0.5)
    return scaled.astype(np.uint16)


def from_list(column: pa.Array, width: int) -> FloatArray:
    """Return the scores of a list column."""
    scores: FloatArray = column.flatten().to_numpy().reshape(-1, width)
    return scores


def from_bytes(column: pa.Array, width: int, kind: type = np.float32) -> Numbers:
    """Return the numbers (B, C) of a binary column, of one length or not."""
    flat: Numbers = np.frombuffer(column.buffers()[-1], kind)
    if pa.types.is_fixed_size_binary(column.type):
        first = column.offset * width
    else:
        first = int(np.frombuffer(column.buffers()[1], np.int32)[column.offset]) // flat.itemsize
    return flat[first : first + len(column) * width].reshape(-1, width)


def from_halves(column: pa.Array, width: int) -> FloatArray:
    """Return the scores of a binary column of float16."""
    result: FloatArray = torch.from_numpy(from_bytes(column, width, np.float16).copy()).float().numpy()
    return result


def from_shorts(column: pa.Array, width: int) -> FloatArray:
    """Return the scores of a binary column of 65535ths."""
    result: FloatArray = from_bytes(column, width, np.uint16) * (np.float32(1) / UNIT)
    return result


def _offsets(rows: int, width: int) -> npt.NDArray[np.int32]:
    return np.arange(rows + 1, dtype=np.int32) * np.int32(width)


def _packed(lay: Callable[[Numbers], pa.Array], turn: Callable[[FloatArray], Numbers], scores: FloatArray) -> pa.Array:
    return lay(turn(scores))


LIST = "list of float32"
ENCODINGS: Mapping[str, Encoding] = {
    "list of float32, dictionary": Encoding(as_list, from_list, plain=False),
    LIST: Encoding(as_list, from_list),
    "fixed-size list of float32": Encoding(as_fixed_list, from_list),
    "binary, float32": Encoding(as_binary, from_bytes),
    "fixed-size binary, float32": Encoding(as_fixed_binary, from_bytes),
    "binary, float16": Encoding(partial(_packed, as_binary, halves), from_halves),
    "fixed-size binary, float16": Encoding(partial(_packed, as_fixed_binary, halves), from_halves),
    "binary, uint16": Encoding(partial(_packed, as_binary, shorts), from_shorts),
    "fixed-size binary, uint16": Encoding(partial(_packed, as_fixed_binary, shorts), from_shorts),
}
