"""From a record of named raw features to a sparse row: the one place where names and words become feature ids."""

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from propensity.errors import DataError
from propensity.features.csr import IntArray, SparseBatch, concat
from propensity.pipeline.strings import pack, unpack
from propensity.pipeline.transformer import (
    SPARSE_COLUMNS,
    FeatureTransformer,
    Frame,
    Record,
    Tensors,
    map_batches,
    records_of,
    with_sparse,
)
from propensity.pipeline.word_table import WordTable

ALONE = ""
"""The word of a feature that is a number by itself."""
EMPTY: Any = (np.zeros(0, np.int32), np.zeros(0, np.float64), np.zeros(2, np.int64))


@dataclass(frozen=True)
class Block:
    """Some words and their ids."""

    words: tuple[str, ...]
    ids: IntArray
    """(W,) one id a word, each once."""


@dataclass(frozen=True)
class Name:
    """Where a named raw feature finds its ids: the word's id in the block, plus the step."""

    block: str
    step: int = 0


class Vectoriser(FeatureTransformer[Record, SparseBatch]):
    """Record -> sparse row, values in the record's own units as float64, ids ascending.

    A map gives one entry a word; a list gives each word the number of times it stands there; a string is a list of one; a
    number has the word ``""``.  Names and words that the vectoriser does not know are dropped, never shifted; null is missing.
    Several names may share a block: "purchases of coffee in 7 days" and "in 28 days" are steps 0 and 1 of the word coffee.
    """

    kind = "vectorise"

    def __init__(self, names: Mapping[str, Name], blocks: Mapping[str, Block]) -> None:
        """Raise DataError when a block is missing, has a word twice, or two features share an id."""
        self.names = dict(names)
        self.blocks = dict(blocks)
        self._check()
        self._words = WordTable({key: (block.words, block.ids) for key, block in blocks.items()})
        self._places = {name: (self._words.salts[where.block], where.step) for name, where in names.items()}

    def __reduce__(self) -> tuple[object, ...]:
        # Python salts the hashes of strings anew in each process: a Spark worker makes a table of its own.
        return type(self), (self.names, self.blocks)

    def _check(self) -> None:
        missing = sorted({n.block for n in self.names.values()} - set(self.blocks))
        if missing:
            raise DataError("names refer to blocks that are not there", where="vectoriser", count=len(missing), examples=missing)
        parts = [self.blocks[n.block].ids.astype(np.int64) + n.step for n in self.names.values()]
        every = np.concatenate([np.zeros(0, np.int64), *parts])
        if len(np.unique(every)) != len(every) or (len(every) and (every.min() < 0 or every.max() > np.iinfo(np.int32).max)):
            raise DataError("two features share an id, or an id does not fit", where="vectoriser")

    @classmethod
    def fitted(cls, records: Sequence[Record]) -> Self:
        """Return the vectoriser of every name and word in some records, ids in the order of (name, word)."""
        seen: dict[str, set[str]] = {}
        for record in records:
            for name, value in record.items():
                if value is not None:
                    seen.setdefault(name, set()).update(word for word, _ in _entries(name, value))
        names, blocks, first = {}, {}, 0
        for name in sorted(seen):
            words = tuple(sorted(seen[name]))
            names[name] = Name(name)
            blocks[name] = Block(words, np.arange(first, first + len(words), dtype=np.int32))
            first += len(words)
        return cls(names, blocks)

    def transform_one(self, one: Record) -> SparseBatch:
        """Return one customer's row as a batch of one; raise DataError for a value that is no feature."""
        hashes: list[int] = []
        numbers: list[float] = []
        ends: list[int] = []
        places: list[tuple[int, int]] = []
        for name, value in one.items():
            place = self._places.get(name)
            if place is None or value is None:
                continue
            entries = value if type(value) is dict else dict(_entries(name, value))
            hashes += map(hash, entries)
            numbers += entries.values()
            ends.append(len(hashes))
            places.append(place)
        if not hashes:
            return SparseBatch(*EMPTY)
        try:
            row = self._words.row(np.array(hashes, np.int64), np.frombuffer(array("d", numbers)), ends, places)
        except (TypeError, OverflowError):  # an array of doubles takes nothing but numbers, and is quicker than looking at each
            row = None
        if row is None:
            raise next(_refusal(name, value) for name, value in one.items() if name in self._places and not _finite(name, value))
        return SparseBatch(*row)

    def transform_batch(self, many: Sequence[Record]) -> SparseBatch:
        """Return many customers' rows."""
        if not many:
            return SparseBatch(np.zeros(0, np.int32), np.zeros(0), np.zeros(1, np.int64))  # type: ignore[arg-type]
        return concat([self.transform_one(record) for record in many])

    def transform(self, frame: Frame) -> Frame:
        """Return the DataFrame with `indices` and `values` added; every other column is a feature of the record."""
        types = {**dict(frame.dtypes), **SPARSE_COLUMNS}
        return map_batches(frame, lambda batch: with_sparse(batch, self.transform_batch(records_of(batch))), types)

    def name_of(self, ids: npt.NDArray[np.int32]) -> list[tuple[str, str]]:
        """Return (name, word) of feature ids; ("?", "") for those it does not know."""
        found: dict[int, tuple[str, str]] = {}
        for name, where in self.names.items():
            block = self.blocks[where.block]
            mine = np.flatnonzero(np.isin(block.ids + np.int32(where.step), ids))
            found.update({int(block.ids[at]) + where.step: (name, block.words[at]) for at in mine})
        return [found.get(i, ("?", "")) for i in ids.tolist()]

    def describe(self) -> Mapping[str, Any]:
        """Return the names; words are tensors."""
        return {"names": {n: [w.block, w.step] for n, w in self.names.items()}, "blocks": list(self.blocks)}

    def tensors(self) -> Tensors:
        """Return words as UTF-8 with offsets, and their ids."""
        result: dict[str, npt.NDArray[Any]] = {}
        for at, block in enumerate(self.blocks.values()):
            result[f"{at}.ids"] = block.ids
            result[f"{at}.words"], result[f"{at}.offsets"] = pack(block.words)
        return result

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the vectoriser as it was saved."""
        blocks = {key: _block(tensors, at) for at, key in enumerate(described["blocks"])}
        return cls({n: Name(str(block), int(step)) for n, (block, step) in described["names"].items()}, blocks)


def _block(tensors: Tensors, at: int) -> Block:
    words = unpack(tensors[f"{at}.words"], tensors[f"{at}.offsets"])
    ids = tensors[f"{at}.ids"]
    if ids.dtype != np.int32 or ids.shape != (len(words),):
        raise ValueError(f"{len(words)} words but ids {ids.shape} of {ids.dtype}")
    return Block(words, ids)


def _entries(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield (word, number) of a raw feature that is no dictionary; raise DataError when it is none."""
    if isinstance(value, str):
        yield value, 1.0
    elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        yield ALONE, value  # type: ignore[misc]  # made a double with the others
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        yield from Counter(value).items()
    else:
        raise _refusal(name, value)


def _finite(name: str, value: Any) -> bool:
    if value is None:
        return True
    try:
        return all(map(math.isfinite, dict(_entries(name, value)).values()))
    except (TypeError, OverflowError):
        return False


def _refusal(name: str, value: object) -> DataError:
    do = "give a finite number, a string, a list of strings, or a map from string to finite number"
    return DataError(f"feature {name} cannot be {value!r}"[:200], where="record", do=do)
