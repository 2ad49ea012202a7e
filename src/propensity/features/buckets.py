"""Which bucket a user is in: the one hash that every table is laid out by.  It must never change."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_PRIME = np.uint64(0x100000001B3)


def buckets_of(users: pa.Array, buckets: int) -> npt.NDArray[np.int32]:
    """Return (N,) the bucket of each user id, ``hash(user_id) mod buckets``; ids are int64 or string, none null."""
    keys = users.to_numpy().view(np.uint64) if pa.types.is_integer(users.type) else _text_keys(users.cast(pa.large_binary()))
    return (_mix(keys) % np.uint64(buckets)).astype(np.int32)


def _mix(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return splitmix64's finaliser of each key (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014)."""
    z = keys + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _text_keys(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """Return a polynomial hash of each text's bytes modulo 2**64, whole column at once."""
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    letters = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64) + np.uint64(1)
    position = np.arange(len(letters)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    powers = np.cumprod(np.full(max(int(lengths.max(initial=0)), 1), _PRIME, np.uint64))
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(letters * powers[position], dtype=np.uint64)])
    relative = offsets - offsets[0]
    keys: npt.NDArray[np.uint64] = running[relative[1:]] - running[relative[:-1]]
    return keys
