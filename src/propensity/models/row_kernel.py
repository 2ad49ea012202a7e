"""The compiled loops of a sparse input layer's training step: they touch the rows of the batch's features and no others."""

import math
from typing import Any

import numba
import numpy as np

from propensity.pipeline.kernels import add_rows, compiled


@compiled
def find_unique(rows: Any, slot: Any, unique: Any) -> int:
    """Write the different rows of `rows` (N,) to the front of `unique`; return how many.  `slot` (D,) is marked there."""
    found = 0
    for i in range(len(rows)):
        if slot[rows[i]] < 0:
            slot[rows[i]] = 0
            unique[found] = rows[i]
            found += 1
    return found


@compiled
def transpose(rows: Any, values: Any, offsets: Any, slot: Any, unique: Any, starts: Any, users: Any, scales: Any) -> None:
    """Turn users' entries (N,) into features' entries.

    Feature u is row ``unique[u]`` and has the entries ``[starts[u], starts[u + 1])`` of `users` and `scales`, ascending by user.
    `slot` (D,), which :func:`find_unique` has marked, is -1 everywhere afterwards.  The cost is O(N), whatever D is.
    """
    for u in range(len(unique)):
        slot[unique[u]] = u
    starts[:] = 0
    for i in range(len(rows)):
        starts[slot[rows[i]]] += 1
    total = 0
    for u in range(len(starts)):
        total += starts[u]
        starts[u] = total
    for user in range(len(offsets) - 2, -1, -1):
        for i in range(offsets[user + 1] - 1, offsets[user] - 1, -1):
            at = slot[rows[i]]
            starts[at] -= 1
            users[starts[at]] = user
            scales[starts[at]] = values[i]
    for u in range(len(unique)):
        slot[unique[u]] = -1


@numba.njit(nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")  # type: ignore[untyped-decorator]
def mean_square(vector: Any) -> Any:
    """Return the mean of the squares of a vector (H,), added up in the order that suits the processor: a seventh of the time."""
    total = np.float32(0)
    for c in range(len(vector)):
        total += vector[c] * vector[c]
    return total / np.float32(len(vector))


@compiled
def update_rows(
    first: int, last: int, unique: Any, starts: Any, users: Any, scales: Any, gradients: Any, weights: Any, squares: Any,
    rate: Any, epsilon: Any, averages: Any, seen: Any, logarithms: Any, step: int,
) -> None:  # fmt: skip
    """Take a step on the rows of the features ``[first, last)``: gradient, row-wise Adagrad and running average in one pass.

    `gradients` (B, H) are those of the bags; a row's own is the sum over its users.  `averages` may be empty: no average is kept.
    """
    gradient = np.empty(weights.shape[1], np.float32)
    decay = np.float32(math.exp(logarithms[step] - logarithms[step - 1]))
    for u in range(first, last):
        gradient[:] = 0
        add_rows(gradient, gradients, users[starts[u] : starts[u + 1]], scales[starts[u] : starts[u + 1]])
        row = unique[u]
        weight = weights[row]
        squares[row] += mean_square(gradient)
        scale = rate / (np.sqrt(squares[row]) + epsilon)
        if len(averages) == 0:
            for c in range(len(gradient)):
                weight[c] -= scale * gradient[c]
        else:
            average, missed = averages[row], np.float32(math.exp(logarithms[step - 1] - logarithms[seen[row]]))
            for c in range(len(gradient)):
                # Up to this step the weight stood still, so what was missed is one product of decays.
                past = weight[c] + missed * (average[c] - weight[c])
                weight[c] -= scale * gradient[c]
                average[c] = weight[c] + decay * (past - weight[c])
            seen[row] = step
