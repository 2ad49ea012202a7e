"""Compiled loops that predictors are made of.  One row at a time, always in the same order of additions.

A batch is a loop over rows through the same machine code, so a user's score does not depend on who else is in the batch, and
one customer online has the very bits of the batch run.  Sums run from the first feature to the last; ``contract`` lets the
compiler fuse a multiplication with its addition, nothing else.  Skipping zeros costs nothing: they would add nothing.

Compiled on first use by numba and kept beside the source, or where NUMBA_CACHE_DIR says.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

OPTIONS: Any = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return the function compiled to machine code, free of Python's lock."""
    try:
        return cast(Function, numba.njit(function, cache=True, **OPTIONS))
    except RuntimeError:  # numba's word for no folder that it may write to
        warnings.warn("compiled code cannot be kept here, every process compiles anew; set NUMBA_CACHE_DIR", stacklevel=1)
        return cast(Function, numba.njit(function, **OPTIONS))


def usable(array: Any) -> Any:
    """Return the array for compiled code, which would be compiled once more for arrays that are read-only or have gaps."""
    return array if array.flags.c_contiguous and array.flags.writeable else np.array(array)


@compiled
def position(ids: Any, wanted: int) -> int:
    """Return the position of an id among ascending `ids` (D,), -1 when it is not there."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) >> 1
        if ids[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < len(ids) and ids[low] == wanted else -1


@compiled
def positions(table: Any, ids: Any, wanted: Any, result: Any) -> None:
    """Write the positions of wanted ids (N,) among ascending `ids` (D,), -1 for an unknown one.

    `table`, when it is not empty, has the answer for each id up to the highest.  Asking for all at once matters: a call for each
    id would count references to both arrays, which costs many times the look-up.
    """
    if len(table) > 0:
        for i in range(len(wanted)):
            result[i] = table[wanted[i]] if 0 <= wanted[i] < len(table) else -1
    else:
        for i in range(len(wanted)):
            result[i] = position(ids, wanted[i])


@compiled
def add_rows(total: Any, weights: Any, rows: Any, scales: Any) -> None:
    """Add rows (N,) of `weights` (D, H), each times its scale (N,), to `total` (H,)."""
    k = 0
    # Eight at a time: the total is read and written an eighth as often and eight rows are fetched at once; the order stays.
    while k + 8 <= len(rows):
        a0, a1, a2, a3 = scales[k], scales[k + 1], scales[k + 2], scales[k + 3]
        a4, a5, a6, a7 = scales[k + 4], scales[k + 5], scales[k + 6], scales[k + 7]
        w0, w1, w2, w3 = weights[rows[k]], weights[rows[k + 1]], weights[rows[k + 2]], weights[rows[k + 3]]
        w4, w5, w6, w7 = weights[rows[k + 4]], weights[rows[k + 5]], weights[rows[k + 6]], weights[rows[k + 7]]
        for c in range(len(total)):
            value = total[c] + a0 * w0[c]
            value = value + a1 * w1[c]
            value = value + a2 * w2[c]
            value = value + a3 * w3[c]
            value = value + a4 * w4[c]
            value = value + a5 * w5[c]
            value = value + a6 * w6[c]
            total[c] = value + a7 * w7[c]
        k += 8
    while k < len(rows):
        scale, weight = scales[k], weights[rows[k]]
        for c in range(len(total)):
            total[c] += scale * weight[c]
        k += 1


@compiled
def dense(inputs: Any, weights: Any, total: Any) -> None:
    """Add inputs (H,) times weights (H, C) to `total` (C,): row by row of the weights, zero inputs left out."""
    rows = np.empty(len(inputs), np.int64)
    scales = np.empty(len(inputs), inputs.dtype)
    count = 0
    for j in range(len(inputs)):
        if inputs[j] != 0:
            rows[count] = j
            scales[count] = inputs[j]
            count += 1
    add_rows(total, weights, rows[:count], scales[:count])


@compiled
def rectify(values: Any) -> None:
    """Replace what is below zero by zero, in place."""
    for j in range(len(values)):
        if values[j] < 0:  # not max(): what is not a number must stay so, and be seen
            values[j] = 0
