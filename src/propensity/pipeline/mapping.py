"""Arrays in a file of safetensors, mapped instead of read: the page cache's one copy serves every process of a host.

The library's own readers copy every array into the process: at the reference shape 200 MB for each worker, and twice that while
loading.
"""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64, "U8": np.uint8, "BOOL": np.bool_}
"""Type of an array by the format's name for it."""


def mapped(path: Path) -> memoryview:
    """Return a file's bytes, mapped.

    The mapping is private: arrays in it may be written to, as compiled code wants to have them, and only pages that are written
    to would be copied.  Whoever replaces a bundle renames a new folder into its place, so a mapped file is never changed.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) if size else b"")


def tensors_in(data: memoryview) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file of safetensors, views of its bytes.

    Raise LookupError, ValueError or another error of Python's own for what is no such file.
    Format: eight bytes of the header's length, the header as JSON (type, shape, first and last byte of each array), the arrays.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    return {name: _array(data[start:], told) for name, told in header.items() if name != "__metadata__"}


def _array(data: memoryview, told: dict[str, Any]) -> npt.NDArray[Any]:
    first, last = told["data_offsets"]
    if not 0 <= first <= last <= len(data):
        raise ValueError(f"an array from byte {first} to {last} of {len(data)}")
    kind = np.dtype(TYPES[told["dtype"]])
    array: npt.NDArray[Any] = np.frombuffer(data, kind, (last - first) // kind.itemsize, first)
    return array.reshape([int(side) for side in told["shape"]])
