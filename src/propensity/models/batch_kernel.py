"""What the propensity network in reduced precision does beside matrix products: compiled loops before and after them."""

from typing import Any, NamedTuple

import numpy as np

from propensity.models.propensity_kernel import MODEL, PRIOR, PROFILE, add_activity, add_history, find_pairs
from propensity.pipeline.kernels import compiled, positions


class Found(NamedTuple):
    """What B rows have that the model knows."""

    rows: Any
    """(N,) int32 rows of the embedding; only the first ``offsets[B]`` count, as of `values`."""
    values: Any
    """(N,)."""
    offsets: Any
    """(B + 1,) int32."""
    standardised: Any
    """(B, A or more) how active each user is, as the last layer takes it; further columns are zero."""
    activity: Any
    """(B, A) the same as it is."""
    category: Any
    """(P,) categories with an own history, by user; only the first ``pairs[B]`` count, as of `stored`."""
    stored: Any
    """(P, S) their stored channels."""
    pairs: Any
    """(B + 1,) user b has the categories ``[pairs[b], pairs[b + 1])``."""


def room_for(rows: int, entries: int, own: Any, width: int) -> Found:
    """Return arrays for B rows with N entries, to be filled by :func:`look_up`; `width` is that of `standardised`."""
    activity = len(own.windowed)
    return Found(
        np.empty(entries, np.int32), np.empty(entries, np.float32), np.empty(rows + 1, np.int32),
        np.zeros((rows, width), np.float32), np.empty((rows, activity), np.float32),
        np.empty(entries, np.int64), np.empty((entries, own.channels), np.float32), np.empty(rows + 1, np.int64),
    )  # fmt: skip


@compiled
def look_up(indices: Any, values: Any, offsets: Any, sparse: Any, own: Any, found: Any) -> None:
    """Fill `found` with what rows (indices, values, offsets) have that the model knows."""
    rows, scales, starts, category_of, stored_of, pairs = (
        found.rows, found.values, found.offsets, found.category, found.stored, found.pairs
    )  # fmt: skip
    standardised, activity, mean, scale = found.standardised, found.activity, sparse.activity_mean, sparse.activity_scale
    position = np.empty(len(indices), np.int64)
    positions(sparse.table, sparse.ids, indices, position)
    at = pair = 0
    starts[0] = pairs[0] = 0
    for b in range(len(offsets) - 1):
        for i in range(offsets[b], offsets[b + 1]):
            if position[i] >= 0:
                rows[at] = position[i]
                scales[at] = values[i]
                at += 1
        starts[b + 1] = at
        category, stored = find_pairs(indices[offsets[b] : offsets[b + 1]], values[offsets[b] : offsets[b + 1]], own)
        category_of[pair : pair + len(category)] = category
        stored_of[pair : pair + len(category)] = stored
        pair += len(category)
        pairs[b + 1] = pair
        amounts = add_activity(stored, own)
        for a in range(len(amounts)):
            activity[b, a] = amounts[a]
            standardised[b, a] = (amounts[a] - mean[a]) * scale[a]


@compiled
def finish(logits: Any, hidden: Any, found: Any, sparse: Any, own: Any, slope: Any, source: Any) -> None:
    """Add the history path, times each category's `slope` (C,), to calibrated logits (B, C), and write the sources (B,).

    `hidden` (B, H) is each user's profile.
    """
    category, stored, pairs, starts, activity = found.category, found.stored, found.pairs, found.offsets, found.activity
    prior = sparse.prior
    added = np.zeros(logits.shape[1], np.float32)
    for b in range(len(logits)):
        first, last = pairs[b], pairs[b + 1]
        source[b] = MODEL if last > first else PROFILE if starts[b + 1] > starts[b] else PRIOR
        if source[b] == PRIOR:
            logits[b, :] = prior
        elif source[b] == MODEL:
            add_history(category[first:last], stored[first:last], activity[b], hidden[b], own, added)
            for p in range(first, last):
                logits[b, category[p]] += slope[category[p]] * added[category[p]]
                added[category[p]] = 0
