"""Words and their ids as one flat table: a hundred words of a record are found in a few microseconds.

A dictionary costs three cache misses a word once it has hundreds of thousands of them.  Here a word is known by Python's own
64-bit hash, which a string computes once and keeps; the table is searched by compiled code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from propensity.errors import DataError
from propensity.features.csr import IntArray
from propensity.pipeline.kernels import compiled

NOT_FINITE = -1


class WordTable:
    """Block and word -> id.

    The hash of an unknown word equals that of one of W known ones with probability W / 2**64, below one in 10**13 for a
    million words; two known words with one hash are refused when the table is made.
    """

    def __init__(self, blocks: Mapping[str, tuple[Sequence[str], IntArray]]) -> None:
        """Raise DataError when two words of the blocks have one hash."""
        self.salts = {block: hash((block, "block")) for block in blocks}
        parts = [np.array([hash(w) for w in words], np.int64) ^ self.salts[b] for b, (words, _) in blocks.items()]
        keys = np.concatenate([np.zeros(0, np.int64), *parts])
        ids = np.concatenate([np.zeros(0, np.int32), *(ids for _, ids in blocks.values())]).astype(np.int32)
        if len(np.unique(keys)) != len(keys):
            raise DataError("a word stands twice in a block", where="vectoriser", count=len(keys) - len(np.unique(keys)))
        size = 1 << max(4, int(2 * len(keys)).bit_length())
        self.keys = np.zeros(size, np.int64)
        self.ids = np.full(size, -1, np.int32)
        _fill(keys, ids, self.keys, self.ids)

    def row(self, hashes: Any, numbers: Any, ends: Sequence[int], places: Sequence[tuple[int, int]]) -> Any:
        """Return ids ascending (n,), values (n,) and offsets (0, n) of words given by hash; None when a value is not finite.

        ``hashes[ends[i - 1]:ends[i]]`` are the words of the i-th name, whose (salt, step) is ``places[i]``.
        """
        indices = np.empty(len(hashes), np.int32)
        values = np.empty(len(hashes), np.float64)
        limits, where = np.array(ends), np.array(places)
        found = _look_up(hashes, numbers, limits, where, self.keys, self.ids, indices, values)
        if found == NOT_FINITE:
            return None
        order = indices[:found].argsort()
        return indices[order], values[order], np.array((0, found))


@compiled
def _fill(keys: Any, ids: Any, table: Any, table_ids: Any) -> None:
    mask = len(table) - 1
    for i in range(len(keys)):
        at = _slot(keys[i]) & mask
        while table_ids[at] >= 0:
            at = (at + 1) & mask
        table[at] = keys[i]
        table_ids[at] = ids[i]


@compiled
def _slot(key: Any) -> Any:
    return (key ^ (key >> 29)) & 0x7FFFFFFFFFFFFFFF


@compiled
def _look_up(hashes: Any, numbers: Any, ends: Any, places: Any, table: Any, table_ids: Any, indices: Any, values: Any) -> int:
    mask = len(table) - 1
    found, start = 0, 0
    for n in range(len(ends)):
        for i in range(start, ends[n]):
            if not np.isfinite(numbers[i]):
                return NOT_FINITE
            key = hashes[i] ^ places[n, 0]
            at = _slot(key) & mask
            while table_ids[at] >= 0 and table[at] != key:
                at = (at + 1) & mask
            if table_ids[at] >= 0:
                indices[found] = table_ids[at] + places[n, 1]
                values[found] = numbers[i]
                found += 1
        start = ends[n]
    return found
