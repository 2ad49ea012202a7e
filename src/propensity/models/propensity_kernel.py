"""The propensity network's arithmetic for sparse rows, compiled: what :class:`PropensityNetwork` computes, without torch.

Both paths of a row are computed before the next row is begun, see :mod:`propensity.pipeline.kernels`.
"""

from typing import Any, NamedTuple

import numpy as np

from propensity.config import MAX_CHANNELS
from propensity.models.history import OTHER_SCALES, RATIO_CAP, RECENCY_SCALE
from propensity.pipeline.kernels import add_rows, compiled, dense, position, rectify

FASTER, SLOWER = (RECENCY_SCALE / scale for scale in OTHER_SCALES)
TINY = np.float32(1e-12)


class Sparse(NamedTuple):
    """The sparse path."""

    table: Any
    """Feature id -> row, or empty."""
    ids: Any
    """(D,) feature ids, ascending."""
    embedding: Any
    """(D, H)."""
    embedding_bias: Any
    hidden: Any
    """(H, H), transposed."""
    hidden_bias: Any
    output: Any
    """(H + A, C), transposed: hidden units, then activity."""
    output_bias: Any
    activity_mean: Any
    activity_scale: Any
    prior: Any
    """(C,)."""


class Own(NamedTuple):
    """The history path.  S stored channels, F values a pair."""

    table: Any
    """Category token -> position, or empty."""
    ids: Any
    """(C,) category tokens, ascending."""
    column: Any
    """(MAX_CHANNELS,) slot -> stored channel, -1 for a slot that categories do not have."""
    windowed: Any
    """(A,) the stored channels that activity adds up."""
    recency: int
    """Stored channel, -1 for none; so is `interval`."""
    interval: int
    days: float
    """How far back features look."""
    mean: Any
    """(F,); so are `scale` and `none`, the standardised values of no history."""
    scale: Any
    none: Any
    weight: Any
    """(C, F)."""
    first: Any
    """(F, 16), transposed."""
    first_bias: Any
    second: Any
    """(16,)."""
    zero: float
    """What the shared part says of no history."""


@compiled
def score_rows(indices: Any, values: Any, offsets: Any, sparse: Any, own: Any, logits: Any, known: Any) -> None:
    """Write the logits (B, C) of B rows, and whether the model knows any feature of each (B,)."""
    for b in range(len(offsets) - 1):
        ids, numbers = indices[offsets[b] : offsets[b + 1]], values[offsets[b] : offsets[b + 1]]
        category, stored = find_pairs(ids, numbers, own)
        activity = add_activity(stored, own)
        found = profile(ids, numbers, activity, sparse, logits[b])
        known[b] = found > 0 or len(category) > 0
        if known[b]:
            add_history(category, stored, activity, own, logits[b])
        else:
            logits[b, :] = sparse.prior


@compiled
def profile(ids: Any, values: Any, activity: Any, sparse: Any, logits: Any) -> int:
    """Write what the sparse path says (C,); return how many features it knows."""
    width = len(sparse.embedding_bias)
    rows = np.empty(len(ids), np.int64)
    scales = np.empty(len(ids), np.float32)
    found = 0
    for i in range(len(ids)):
        row = position(sparse.table, sparse.ids, ids[i])
        if row >= 0:
            rows[found] = row
            scales[found] = values[i]
            found += 1
    bag = np.zeros(width, np.float32)
    add_rows(bag, sparse.embedding, rows[:found], scales[:found])
    for j in range(width):
        bag[j] += sparse.embedding_bias[j]
    rectify(bag)
    last = np.empty(width + len(activity), np.float32)
    last[:width] = sparse.hidden_bias
    dense(bag, sparse.hidden, last[:width])
    rectify(last[:width])
    for a in range(len(activity)):
        last[width + a] = (activity[a] - sparse.activity_mean[a]) * sparse.activity_scale[a]
    logits[:] = sparse.output_bias
    dense(last, sparse.output, logits)
    return found


@compiled
def find_pairs(ids: Any, values: Any, own: Any) -> tuple[Any, Any]:
    """Return the categories (P,) that the row has stored channels of, and these (P, S)."""
    channels = len(own.column)
    stored_channels = 0
    for slot in range(channels):
        stored_channels = max(stored_channels, own.column[slot] + 1)
    category = np.empty(len(ids), np.int64)
    stored = np.zeros((len(ids), stored_channels), np.float32)
    count = 0
    token, at = -1, -1
    for i in range(len(ids)):
        mine = ids[i] // MAX_CHANNELS
        column = own.column[ids[i] - mine * MAX_CHANNELS]
        if column < 0:
            continue
        if mine != token:
            token, at = mine, position(own.table, own.ids, mine)
            if at >= 0:
                category[count] = at
                count += 1
        if at >= 0:
            stored[count - 1, column] = values[i]
    return category[:count], stored[:count]


@compiled
def add_activity(stored: Any, own: Any) -> Any:
    """Return how active the user is at all (A,): log1p of the sums over categories."""
    activity = np.zeros(len(own.windowed), np.float32)
    for a in range(len(own.windowed)):
        total = 0.0
        for p in range(len(stored)):
            total += np.expm1(stored[p, own.windowed[a]])
        activity[a] = np.log1p(total)
    return activity


@compiled
def add_history(category: Any, stored: Any, activity: Any, own: Any, logits: Any) -> None:
    """Add what the history path says of each pair to its category's logit."""
    pair = np.empty(len(own.mean), np.float32)
    inner = np.empty(len(own.first_bias), np.float32)
    for p in range(len(category)):
        derive(stored[p], activity, own, pair)
        total = np.float32(0.0)
        weight = own.weight[category[p]]
        for f in range(len(pair)):
            pair[f] = (pair[f] - own.mean[f]) * own.scale[f]
            total += (pair[f] - own.none[f]) * weight[f]
        inner[:] = own.first_bias
        dense(pair, own.first, inner)
        rectify(inner)
        shared = np.float32(0.0)
        for j in range(len(inner)):
            shared += inner[j] * own.second[j]
        logits[category[p]] += total + (shared - np.float32(own.zero))


@compiled
def derive(stored: Any, activity: Any, own: Any, pair: Any) -> None:
    """Write a pair's values (F,), in the order of :class:`HistoryEncoder`."""
    at = len(stored)
    pair[:at] = stored
    if own.recency >= 0:
        recency = stored[own.recency]
        pair[at] = recency**FASTER
        pair[at + 1] = recency**SLOWER
        at += 2
        if own.interval >= 0:
            gap = -RECENCY_SCALE * np.log(max(recency, TINY))
            interval = stored[own.interval]
            usual = np.expm1(interval) if interval > 0 else own.days
            pair[at] = min(gap / max(usual, 1.0), RATIO_CAP)
            at += 1
    pair[at : at + len(activity)] = activity
    if own.interval >= 0 and stored[own.interval] == 0:
        pair[own.interval] = np.log1p(np.float32(own.days))
