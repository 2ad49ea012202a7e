"""Words as two arrays: their UTF-8 end to end, and where each of them begins."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def pack(words: Iterable[str]) -> tuple[Array, Array]:
    """Return bytes (N,) and offsets (W + 1,) of W words."""
    encoded = [word.encode() for word in words]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)]).astype(np.int64)


def unpack(data: Array, offsets: Array) -> tuple[str, ...]:
    """Return the words; raise ValueError when the arrays are not what `pack` gives."""
    if (data.dtype.name, data.ndim, offsets.dtype.name, offsets.ndim) != ("uint8", 1, "int64", 1) or len(offsets) == 0:
        raise ValueError("words are not bytes with offsets")
    bounds, every = offsets.tolist(), data.tobytes()
    if bounds[0] != 0 or bounds[-1] != len(every) or sorted(bounds) != bounds:
        raise ValueError("the offsets of words do not fit their bytes")
    return tuple(every[start:stop].decode() for start, stop in pairwise(bounds))
