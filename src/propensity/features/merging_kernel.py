"""The loop behind `sort_activity`: files that are sorted are merged, user by user, so nothing is sorted again."""

from typing import Any, NamedTuple

import numpy as np

from propensity.features.compiling import compiled

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
