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
    """Write each row's K best columns: a heap of K keys with the least one on top, sorted at the end."""
    width, k = logits.shape[1], columns.shape[1]
    bits = logits.view(np.int32)
    heap = np.empty(k, np.int64)
    for b in range(columns.shape[0] if k > 0 else 0):
        least = np.int64(-0x7FFFFFFFFFFFFFFF)
        heap[:] = least
        for c in range(width):
            ordered = bits[b, c]
            if ordered < 0:  # below zero more bits mean less; -0 is 0
                ordered = ordered ^ np.int32(0x7FFFFFFF) if logits[b, c] != 0 else np.int32(0)
            key = (np.int64(ordered) << 32) | (width - 1 - c)
            if key > least:
                _replace_least(heap, key)
                least = heap[0]
        for last in range(k - 1, -1, -1):
            columns[b, last] = width - 1 - (heap[0] & np.int64(0xFFFFFFFF))
            _replace_least(heap[: last + 1], heap[last])


@compiled
def _replace_least(heap: Any, key: Any) -> None:
    at, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = key


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
