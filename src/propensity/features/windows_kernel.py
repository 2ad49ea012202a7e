"""The loops behind `windows`: one walk merges a bucket's sorted files, one walk makes the features of its rows.

Python code cannot walk 20 million rows; numpy passed over all of them once or more for each channel.
"""

from typing import Any, NamedTuple

import numpy as np

from propensity.config import MAX_CHANNELS
from propensity.features.compiling import compiled

COUNT, DAYS, VALUE, RECENCY, INTERVAL = range(5)
"""Kinds of channels."""
PAIRS = 1024
"""Pairs walked over together: what is known of them stays in the processor's cache."""
_HALF = 1 << 31


class Rows(NamedTuple):
    """R rows of activity."""

    user: Any
    """(R,) int32, position of the user among all users, ascending."""
    token: Any
    """(R,) int32."""
    day: Any
    """(R,) int32."""
    count: Any
    """(R,) int32."""
    value: Any
    """(R,) float64."""


class Channels(NamedTuple):
    """C channels, and the days that they look at."""

    kinds: Any
    """(C,) int64."""
    windows: Any
    """(C,) int64, days; 0 where the kind has none."""
    masks: Any
    """(T,) uint32, the channels of each token."""
    end: int
    """The score date's day number: the first day not seen."""
    history: int
    """How many days before it are."""
    logs: Any
    """log1p of 0, 1, 2 …, float32."""
    decay: Any
    """Recency by days since the last event, float32."""


class Found(NamedTuple):
    """Room for N entries of at most U users."""

    ids: Any
    """(N,) int32."""
    values: Any
    """(N,) float32."""
    late: Any
    """(N,) int64, positions of the entries whose value is still to be computed, as log1p of:"""
    raw: Any
    """(N,) float64."""
    users: Any
    """(U,) int32, the users with an event in the history."""
    offsets: Any
    """(U + 1,) int64."""


# -- merging -----------------------------------------------------------------------------------------------------------


@compiled
def merge(rows: Any, starts: Any, users: int, result: Any) -> int:
    """Write K sorted parts' rows to `result` (both :class:`Rows`), by (user, token, day), equal ones in the order of the parts.

    Part k's rows run from ``starts[k]`` to ``starts[k + 1]``.  Return -1, or the first row that is out of order in its part.

    Merged user by user: what is moved about fits into the processor's cache.
    """
    at = starts[:-1].copy()
    keys, sources = np.empty(len(rows.user), np.int64), np.empty(len(rows.user), np.int64)
    other_keys, other_sources = np.empty_like(keys), np.empty_like(sources)
    runs, written = np.empty(len(at) + 1, np.int64), 0
    for user in range(users):
        count, wrong = _gather(rows, starts, at, user, keys, sources, runs)
        if wrong >= 0:
            return wrong
        while count > 1:
            count = _pairwise(keys, sources, runs, count, other_keys, other_sources)
            keys, other_keys, sources, other_sources = other_keys, keys, other_sources, sources
        _copy(rows, sources[: runs[count]], result, written, user)
        written += runs[count]
    for part in range(len(at)):
        if at[part] < starts[part + 1]:
            return int(at[part])
    return -1


@compiled
def _gather(rows: Any, starts: Any, at: Any, user: int, keys: Any, sources: Any, runs: Any) -> tuple[int, int]:
    """Write a user's next rows, ``at[k]`` of each part on, as sorted runs; return their number, and a row out of order or -1."""
    filled, count = 0, 0
    for part in range(len(at)):
        i, stop = at[part], starts[part + 1]
        if i == stop or rows.user[i] != user:
            continue
        runs[count], count = filled, count + 1
        while i < stop and rows.user[i] == user:
            keys[filled] = (np.int64(rows.token[i]) << 32) + np.int64(rows.day[i]) + _HALF
            if filled > runs[count - 1] and keys[filled] < keys[filled - 1]:
                return count, i
            sources[filled] = i
            i, filled = i + 1, filled + 1
        at[part] = i
    runs[count] = filled
    return count, -1


@compiled
def _copy(rows: Any, sources: Any, result: Any, target: int, user: int) -> None:
    for source in sources:
        result.user[target] = user
        result.token[target] = rows.token[source]
        result.day[target] = rows.day[source]
        result.count[target] = rows.count[source]
        result.value[target] = rows.value[source]
        target += 1


@compiled
def _pairwise(keys: Any, sources: Any, runs: Any, count: int, to_keys: Any, to_sources: Any) -> int:
    """Merge each two neighbours of `count` sorted runs (run r begins at ``runs[r]``) and return how many there are now."""
    for pair in range(0, count, 2):
        left, middle = runs[pair], runs[min(pair + 1, count)]
        right, stop = middle, runs[min(pair + 2, count)]
        for target in range(left, stop):
            if left < middle and (right == stop or keys[left] <= keys[right]):
                to_keys[target], to_sources[target] = keys[left], sources[left]
                left += 1
            else:
                to_keys[target], to_sources[target] = keys[right], sources[right]
                right += 1
    last = runs[count]
    merged = (count + 1) // 2
    for pair in range(merged):
        runs[pair] = runs[2 * pair]
    runs[merged] = last
    return merged


# -- features ----------------------------------------------------------------------------------------------------------


@compiled
def room(rows: Any, masks: Any) -> tuple[int, int]:
    """Return how many entries and users :func:`find` may find at most: every channel of every (user, token) pair."""
    bits = np.zeros(len(masks), np.int64)
    for token in range(len(masks)):
        for slot in range(MAX_CHANNELS):
            bits[token] += (masks[token] >> np.uint32(slot)) & np.uint32(1)
    entries, users, user, token = 0, 0, -1, -1
    for i in range(len(rows.user)):
        if rows.user[i] != user:
            user, token, users = rows.user[i], -1, users + 1
        if rows.token[i] != token:
            token = rows.token[i]
            entries += bits[token]
    return entries, users


@compiled
def find(rows: Any, plan: Any, found: Any) -> tuple[int, int, int]:
    """Write the features of sorted rows to `found`; return how many entries, late ones and users there are.

    PAIRS (user, token) pairs at a time.  A call for each would count the references to every array it is given, which took ten
    times as long as the rest.
    """
    first, last = np.empty(PAIRS, np.int64), np.empty(PAIRS, np.int64)
    totals = np.empty((len(plan.kinds), PAIRS))
    entries, late, users, i = 0, 0, 0, 0
    while i < len(rows.user):
        count, i = _pairs(rows, i, plan, first, last)
        for slot in range(len(plan.kinds)):
            _fill(rows, first[:count], last[:count], plan, slot, totals[slot])
        entries, late, users = _write(rows, first[:count], plan, totals, found, entries, late, users)
    found.offsets[users] = entries
    return entries, late, users


@compiled
def _pairs(rows: Any, i: int, plan: Any, first: Any, last: Any) -> tuple[int, int]:
    """Write where the next pairs' rows in the history begin and end, from row `i` on; return how many, and the next row."""
    count, begin, end = 0, plan.end - plan.history, plan.end
    while i < len(rows.user) and count < len(first):
        user, token, low, high = rows.user[i], rows.token[i], i, i
        while i < len(rows.user) and rows.user[i] == user and rows.token[i] == token:
            low += rows.day[i] < begin
            high += rows.day[i] < end
            i += 1
        if low < high and plan.masks[token] != 0:
            first[count], last[count] = low, high
            count += 1
    return count, i


@compiled
def _fill(rows: Any, first: Any, last: Any, plan: Any, slot: int, totals: Any) -> None:
    """Write one channel of every pair that has it: recency itself, of all others what they are the logarithm of."""
    day, count, value = rows.day, rows.count, rows.value
    kind, since, bit = plan.kinds[slot], plan.end - plan.windows[slot], np.uint32(slot)
    for p in range(len(first)):
        low, high = first[p], last[p]
        if not (plan.masks[rows.token[low]] >> bit) & np.uint32(1):
            continue
        inside = high
        while inside > low and day[inside - 1] >= since:
            inside -= 1
        if kind == COUNT:
            totals[p] = count[inside:high].sum()
        elif kind == VALUE and high - inside > 2:
            totals[p] = _sum(value, low, high, inside)
        elif kind == VALUE:  # two have no order
            totals[p] = value[inside:high].sum()
        elif kind == DAYS:
            totals[p] = high - inside
        elif kind == RECENCY:
            totals[p] = plan.decay[plan.end - day[high - 1]]
        else:
            totals[p] = (day[high - 1] - day[low]) / max(high - low - 1, 1)


@compiled
def _write(
    rows: Any, first: Any, plan: Any, totals: Any, found: Any, entries: int, late: int, users: int
) -> tuple[int, int, int]:
    """Write the entries of pairs, users and offsets with them; return how many entries, late ones and users there are now."""
    for p in range(len(first)):
        user, token = rows.user[first[p]], rows.token[first[p]]
        if users == 0 or found.users[users - 1] != user:
            found.users[users], found.offsets[users] = user, entries
            users += 1
        for slot in range(len(plan.kinds)):
            if not (plan.masks[token] >> np.uint32(slot)) & np.uint32(1) or np.float32(totals[slot, p]) == 0:
                continue
            total, kind = totals[slot, p], plan.kinds[slot]
            found.ids[entries] = token * np.int32(MAX_CHANNELS) + np.int32(slot)
            if kind == RECENCY:
                found.values[entries] = total
            elif kind in (COUNT, DAYS) and 0 < total < len(plan.logs):
                found.values[entries] = plan.logs[int(total)]
            else:
                found.late[late], found.raw[late] = entries, total
                late += 1
            entries += 1
    return entries, late, users


@compiled
def _sum(values: Any, first: int, last: int, inside: int) -> float:
    """Return the sum of ``values[inside:last]`` in the order in which ``numpy.add.reduceat`` adds ``[first, last)``, 0 before it.

    The first value, plus the pairwise sum of the others (numpy, loops_utils.h: PW_BLOCKSIZE 128, eight lanes).  Feature files
    from before this loop keep their bits.
    """
    head = values[first] if first >= inside else 0.0
    return head + _lanes(values, first + 1, last, inside) if last - first > 1 else head


@compiled
def _lanes(values: Any, first: int, last: int, inside: int) -> float:
    count = last - first
    if count > 128:
        half = count // 2 - count // 2 % 8
        return _lanes(values, first, first + half, inside) + _lanes(values, first + half, last, inside)
    total, done = 0.0, first
    if count >= 8:
        lanes = np.zeros(8)
        for lane in range(8):
            lanes[lane] = values[first + lane] if first + lane >= inside else 0.0
        done = first + 8
        while done + 8 <= first + count - count % 8:
            for lane in range(8):
                lanes[lane] += values[done + lane] if done + lane >= inside else 0.0
            done += 8
        total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    for i in range(done, last):
        total += values[i] if i >= inside else 0.0
    return total
