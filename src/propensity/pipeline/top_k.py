"""From logits to what is delivered: probabilities, and the K highest of each row with one answer for ties."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray, IntArray
from propensity.pipeline.kernels import compiled

SHORT = 64
"""Up to this K a row's best are kept in order while it is read once; above it sorting is quicker."""


def top_columns(logits: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return the columns (B, K) of the highest logits (B, C), descending; of equal ones the lower column first.

    Logit and column make one integer that sorts like the pair, so that ties have one answer whatever K is.  What is not a
    number sorts above everything: it is delivered first and seen, not hidden.
    """
    width = logits.shape[1]
    if k <= min(SHORT, width):
        columns = np.empty((len(logits), k), np.int64)
        _short_columns(np.ascontiguousarray(logits), columns)
        return columns
    bits = np.ascontiguousarray(logits + np.float32(0.0), np.float32).view(np.int32)  # + 0 makes -0 the 0 it equals
    ordered = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys = (ordered << 32) | (width - 1 - np.arange(width, dtype=np.int64))
    if k < width:
        keys.partition(width - k, axis=1)
        keys = keys[:, width - k :]
    keys.sort(axis=1)
    sorted_columns: npt.NDArray[np.int64] = width - 1 - (keys[:, ::-1] & np.int64(0xFFFFFFFF))
    return sorted_columns


@compiled
def _short_columns(logits: Any, columns: Any) -> None:
    """Write each row's K best columns, the best first.

    The columns are dealt to a few times K groups: at least K values reach the K-th highest of the groups' maxima, so only what
    reaches it need be sorted, a few more than K.  Both passes over a row are simple enough to take several columns at once.
    """
    width, k = logits.shape[1], columns.shape[1]
    groups = min(width, 3 * k)
    ordered, highest = np.empty(width, np.int32), np.empty(groups, np.int32)
    keys = np.empty(width + 1, np.int64)
    for b in range(columns.shape[0] if k > 0 else 0):
        _order(logits[b], ordered)
        highest[:] = ordered[:groups]
        for first in range(groups, width, groups):
            part = ordered[first : first + groups]
            for g in range(len(part)):
                highest[g] = max(highest[g], part[g])
        least = _kth_highest(highest, k)
        count = 0
        for c in range(width):
            keys[count] = (np.int64(ordered[c]) << 32) | (width - 1 - c)
            count += int(ordered[c] >= least)
        _sort_descending(keys[:count])
        for i in range(k):
            columns[b, i] = width - 1 - (keys[i] & np.int64(0xFFFFFFFF))


@compiled
def _order(logits: Any, ordered: Any) -> None:
    """Write integers that sort as the logits (C,) do: below zero more bits mean less, and -0 is 0."""
    bits = (logits + np.float32(0.0)).view(np.int32)
    for c in range(len(bits)):
        ordered[c] = bits[c] ^ ((bits[c] >> np.int32(31)) & np.int32(0x7FFFFFFF))


@compiled
def _kth_highest(values: Any, k: int) -> Any:
    """Return the k-th highest of some int32 values, 1 <= k <= their number: found bit by bit, by counting."""
    least = np.int64(-0x80000000)
    for bit in range(31, -1, -1):
        wanted = np.int32(least + (np.int64(1) << bit))
        count = np.int32(0)
        for i in range(len(values)):
            count += np.int32(values[i] >= wanted)
        if count >= k:
            least = np.int64(wanted)
    return np.int32(least)


@compiled
def _sort_descending(keys: Any) -> None:
    for i in range(1, len(keys)):
        key, at = keys[i], i
        while at > 0 and keys[at - 1] < key:
            keys[at] = keys[at - 1]
            at -= 1
        keys[at] = key


def deliver(logits: FloatArray, categories: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """Return the ids (B, K) and the probabilities (B, K) of each row's likeliest categories, descending."""
    short = k <= SHORT
    columns = np.empty((len(logits), k), np.int64) if short else top_columns(logits, k)
    ids = np.empty(columns.shape, np.int32)
    probabilities = np.empty(columns.shape, np.float32)
    _deliver(np.ascontiguousarray(logits), categories, short, columns, ids, probabilities)
    return ids, probabilities


@compiled
def _deliver(logits: Any, categories: Any, short: bool, columns: Any, ids: Any, probabilities: Any) -> None:
    if short:
        _short_columns(logits, columns)
    for b in range(columns.shape[0]):
        for i in range(columns.shape[1]):
            ids[b, i] = categories[columns[b, i]]
            probabilities[b, i] = _probability(logits[b, columns[b, i]])


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-logits)) of an array of any shape: computed in float64, rounded to float32 once."""
    probabilities = np.empty(logits.shape, np.float32)
    _probabilities(np.ascontiguousarray(logits, np.float32).ravel(), probabilities.ravel())
    return probabilities


@compiled
def _probabilities(logits: Any, probabilities: Any) -> None:
    for i in range(len(logits)):
        probabilities[i] = _probability(logits[i])


@compiled
def _probability(logit: Any) -> Any:
    return np.float32(1.0 / (1.0 + math.exp(-np.float64(logit))))
