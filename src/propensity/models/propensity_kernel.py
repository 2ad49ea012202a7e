"""The propensity network's arithmetic for sparse rows, compiled: what :class:`PropensityNetwork` computes, without torch.

Both paths of a row are computed before the next row is begun, see :mod:`propensity.pipeline.kernels`.
"""

from typing import Any, NamedTuple

import numpy as np

from propensity.config import MAX_CHANNELS
from propensity.contracts import SCORE_SOURCES
from propensity.models.history import OTHER_SCALES, RATIO_CAP, RECENCY_SCALE
from propensity.pipeline.kernels import add_rows, compiled, dense, positions, rectify

FASTER, SLOWER = (RECENCY_SCALE / scale for scale in OTHER_SCALES)
TINY = np.float32(1e-12)
PRIOR, PROFILE, MODEL = (SCORE_SOURCES.index(name) for name in ("prior", "profile", "model"))


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
    channels: int
    """S."""
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
    """(F, W), transposed."""
    category: Any
    """(C, W), with the first layer's bias."""
    profile: Any
    """(H, W), transposed."""
    second: Any
    """(W, W), transposed."""
    second_bias: Any
    third: Any
    """(W,)."""


@compiled
def score_rows(indices: Any, values: Any, offsets: Any, sparse: Any, own: Any, logits: Any, source: Any) -> None:
    """Write the logits (B, C) of B rows, and what each one's come from (B,), as positions in SCORE_SOURCES."""
    for b in range(len(offsets) - 1):
        ids, numbers = indices[offsets[b] : offsets[b + 1]], values[offsets[b] : offsets[b + 1]]
        category, stored = find_pairs(ids, numbers, own)
        activity = add_activity(stored, own)
        last = np.empty(len(sparse.hidden_bias) + len(activity), np.float32)
        found = profile(ids, numbers, activity, sparse, last, logits[b])
        source[b] = MODEL if len(category) > 0 else PROFILE if found > 0 else PRIOR
        if source[b] != PRIOR:
            add_history(category, stored, activity, last[: len(sparse.hidden_bias)], own, logits[b])
        else:
            logits[b, :] = sparse.prior


# Arrays of the weights are named once at the top of a function: taking one out of its tuple in a loop counts its references
# each time, which costs more than the work.


@compiled
def profile(ids: Any, values: Any, activity: Any, sparse: Any, last: Any, logits: Any) -> int:
    """Write the last layer's input (H + A,) and what the sparse path says (C,); return how many features it knows."""
    rows = np.empty(len(ids), np.int64)
    positions(sparse.table, sparse.ids, ids, rows)
    scales = np.empty(len(ids), np.float32)
    found = 0
    for i in range(len(ids)):
        if rows[i] >= 0:
            rows[found] = rows[i]
            scales[found] = values[i]
            found += 1
    embedding_bias, mean, scale = sparse.embedding_bias, sparse.activity_mean, sparse.activity_scale
    width = len(embedding_bias)
    bag = np.zeros(width, np.float32)
    add_rows(bag, sparse.embedding, rows[:found], scales[:found])
    for j in range(width):
        bag[j] += embedding_bias[j]
    rectify(bag)
    last[:width] = sparse.hidden_bias
    dense(bag, sparse.hidden, last[:width])
    rectify(last[:width])
    for a in range(len(activity)):
        last[width + a] = (activity[a] - mean[a]) * scale[a]
    logits[:] = sparse.output_bias
    dense(last, sparse.output, logits)
    return found


@compiled
def find_pairs(ids: Any, values: Any, own: Any) -> tuple[Any, Any]:
    """Return the categories (P,) that the row has stored channels of, and these (P, S)."""
    column, channels = own.column, own.channels
    tokens = np.empty(len(ids), np.int64)
    first = np.empty(len(ids), np.int64)
    count = 0
    for i in range(len(ids)):
        token = ids[i] // MAX_CHANNELS
        if column[ids[i] - token * MAX_CHANNELS] >= 0 and (count == 0 or tokens[count - 1] != token):
            tokens[count] = token
            first[count] = i
            count += 1
    found = np.empty(count, np.int64)
    positions(own.table, own.ids, tokens[:count], found)
    category = found[found >= 0]
    stored = np.zeros((len(category), channels), np.float32)
    pair = 0
    for p in range(count):
        if found[p] < 0:
            continue
        i = first[p]
        while i < len(ids) and ids[i] // MAX_CHANNELS == tokens[p]:
            at = column[ids[i] - tokens[p] * MAX_CHANNELS]
            if at >= 0:
                stored[pair, at] = values[i]
            i += 1
        pair += 1
    return category, stored


@compiled
def add_activity(stored: Any, own: Any) -> Any:
    """Return how active the user is at all (A,): log1p of the sums over categories."""
    windowed = own.windowed
    activity = np.zeros(len(windowed), np.float32)
    for a in range(len(windowed)):
        total = 0.0
        for p in range(len(stored)):
            total += np.expm1(stored[p, windowed[a]])
        activity[a] = np.log1p(total)
    return activity


@compiled
def add_history(category: Any, stored: Any, activity: Any, hidden: Any, own: Any, logits: Any) -> None:
    """Add what the history path says of each pair to its category's logit; `hidden` (H,) is the user's profile."""
    mean, scale, none, weight = own.mean, own.scale, own.none, own.weight
    first, categories, second, second_bias, third = own.first, own.category, own.second, own.second_bias, own.third
    pairs = derive(stored, activity, own.recency, own.interval, own.days, len(mean))
    user = np.zeros(len(third), np.float32)
    dense(hidden, own.profile, user)
    every = np.arange(max(len(mean), len(third)))
    inner, outer = np.empty(len(third), np.float32), np.empty(len(third), np.float32)
    for p in range(len(category)):
        values = pairs[p]
        total = np.float32(0.0)
        for f in range(len(mean)):
            values[f] = (values[f] - mean[f]) * scale[f]
            total += (values[f] - none[f]) * weight[category[p], f]
        for j in range(len(third)):
            inner[j] = categories[category[p], j] + user[j]
        add_rows(inner, first, every[: len(mean)], values)
        rectify(inner)
        outer[:] = second_bias
        add_rows(outer, second, every[: len(third)], inner)
        rectify(outer)
        shared = np.float32(0.0)
        for j in range(len(third)):
            shared += outer[j] * third[j]
        logits[category[p]] += total + shared


@compiled
def derive(stored: Any, activity: Any, recency: int, interval: int, days: float, width: int) -> Any:
    """Return the pairs' values (P, F), in the order of :class:`HistoryEncoder`."""
    pairs = np.empty((len(stored), width), np.float32)
    channels = stored.shape[1]
    for p in range(len(stored)):
        at = channels
        pairs[p, :at] = stored[p]
        if recency >= 0:
            pairs[p, at] = stored[p, recency] ** FASTER
            pairs[p, at + 1] = stored[p, recency] ** SLOWER
            at += 2
            if interval >= 0:
                gap = -RECENCY_SCALE * np.log(max(stored[p, recency], TINY))
                usual = np.expm1(stored[p, interval]) if stored[p, interval] > 0 else days
                pairs[p, at] = min(gap / max(usual, 1.0), RATIO_CAP)
                at += 1
        pairs[p, at:] = activity
        if interval >= 0 and stored[p, interval] == 0:
            pairs[p, interval] = np.log1p(np.float32(days))
    return pairs
