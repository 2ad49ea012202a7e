"""Rows of different lengths in flat arrays: row i is ``[offsets[i], offsets[i + 1])``."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from propensity.features.csr import OffsetArray


def gather(offsets: OffsetArray, order: npt.NDArray[np.int64]) -> tuple[OffsetArray, OffsetArray]:
    """Return the offsets of the rows at positions `order`, in that order, and where their entries lie now."""
    lengths = np.diff(offsets)[order]
    moved = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return moved, np.repeat(offsets[order] - moved[:-1], lengths) + np.arange(moved[-1])


def keep(offsets: OffsetArray, kept: npt.NDArray[np.bool_]) -> OffsetArray:
    """Return the offsets after only the entries marked in `kept` stay."""
    return np.concatenate([[0], np.cumsum(kept)])[offsets].astype(np.int64)


def join(parts: Sequence[OffsetArray]) -> OffsetArray:
    """Return the offsets of the parts' rows, one part after the other."""
    lengths = [np.diff(part) for part in parts]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)


def owners(offsets: OffsetArray) -> OffsetArray:
    """Return the row of every entry."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)).astype(np.int64)
