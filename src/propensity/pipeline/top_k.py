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
    rows, k = columns.shape
    bits = logits.view(np.int32)
    if k == 0:
        return
    best = np.empty(k, np.int32)
    for b in range(rows):
        count = 0
        for c in range(logits.shape[1]):
            key = bits[b, c]
            if key < 0:  # below zero more bits mean less; -0 is 0
                key = key ^ np.int32(0x7FFFFFFF) if logits[b, c] != 0 else np.int32(0)
            if count == k and key <= best[k - 1]:
                continue
            at = count if count < k else k - 1
            while at > 0 and best[at - 1] < key:
                best[at] = best[at - 1]
                columns[b, at] = columns[b, at - 1]
                at -= 1
            best[at] = key
            columns[b, at] = c
            count = min(count + 1, k)


def deliver(logits: FloatArray, categories: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """Return the ids (B, K) and the probabilities (B, K) of each row's likeliest categories, descending."""
    columns = top_columns(logits, k)
    ids = np.empty(columns.shape, np.int32)
    probabilities = np.empty(columns.shape, np.float32)
    _pick(np.ascontiguousarray(logits), columns, categories, ids, probabilities)
    return ids, probabilities


@compiled
def _pick(logits: Any, columns: Any, categories: Any, ids: Any, probabilities: Any) -> None:
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
