"""The K highest logits of each row, with one answer for ties."""

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray


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
