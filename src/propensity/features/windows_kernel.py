"""The loops behind `windows`: one walk over a bucket's sorted rows makes its features.

numpy passed over all rows once or more for each channel, and over all pairs for each that they have not.
"""

from typing import Any, NamedTuple

import numpy as np

from propensity.config import MAX_CHANNELS
from propensity.features.compiling import compiled

COUNT, DAYS, VALUE, RECENCY, INTERVAL = range(5)
"""Kinds of channels."""
PAIRS = 1024
"""Pairs walked over together: what is known of them stays in the processor's cache."""


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


@compiled
def room(rows: Any, masks: Any) -> tuple[int, int]:
    """Return how many entries and users :func:`find` may find at most: every channel of every (user, token) pair."""
    bits = np.zeros(len(masks), np.uint8)
    for token in range(len(masks)):
        mask = masks[token]
        while mask:
            mask &= mask - np.uint32(1)
            bits[token] += 1
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
    inside, totals = np.empty(PAIRS, np.int64), np.empty((len(plan.kinds), PAIRS))
    entries, late, users, i = 0, 0, 0, 0
    while i < len(rows.user):
        count, i = _pairs(rows, i, plan, first, last)
        for slot in range(len(plan.kinds)):
            _fill(rows, first[:count], last[:count], plan, slot, inside, totals[slot])
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
def _fill(rows: Any, first: Any, last: Any, plan: Any, slot: int, inside: Any, totals: Any) -> None:
    """Write one channel of P pairs to `totals` (P,): recency itself, of all others what they are the logarithm of."""
    kind = plan.kinds[slot]
    if kind == RECENCY:
        for p in range(len(first)):
            totals[p] = plan.decay[plan.end - rows.day[last[p] - 1]]
    elif kind == INTERVAL:
        for p in range(len(first)):
            totals[p] = (rows.day[last[p] - 1] - rows.day[first[p]]) / max(last[p] - first[p] - 1, 1)
    else:
        _inside(rows.day, first, last, plan.end - plan.windows[slot], inside)
        if kind == VALUE:
            _values(rows.value, first, inside, last, totals)
        else:
            _counts(rows.count, inside, last, kind == DAYS, totals)


@compiled
def _inside(days: Any, first: Any, last: Any, since: int, inside: Any) -> None:
    """Write the first row of every pair whose day is `since` or later."""
    for p in range(len(first)):
        i = last[p]
        while i > first[p] and days[i - 1] >= since:
            i -= 1
        inside[p] = i


@compiled
def _counts(counts: Any, inside: Any, last: Any, rows_alone: bool, totals: Any) -> None:
    for p in range(len(last)):
        total = last[p] - inside[p]
        if not rows_alone:
            total = 0
            for i in range(inside[p], last[p]):
                total += counts[i]
        totals[p] = total


@compiled
def _values(values: Any, first: Any, inside: Any, last: Any, totals: Any) -> None:
    for p in range(len(first)):
        if last[p] - inside[p] > 2:
            totals[p] = _sum(values, first[p], last[p], inside[p])
        else:  # two numbers have no order
            totals[p] = 0.0
            for i in range(inside[p], last[p]):
                totals[p] += values[i]


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
def place(found: Any, start: int, logs: Any) -> None:
    """Write the logarithms of the late entries from the `start`-th on where they belong."""
    for k in range(len(logs)):
        found.values[found.late[start + k]] = logs[k]


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
