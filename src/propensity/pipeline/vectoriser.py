"""From a record of named raw features to a sparse row: the one place where names and words become feature ids."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.errors import DataError
from propensity.features.csr import IntArray, SparseBatch, concat
from propensity.pipeline.transformer import SPARSE_COLUMNS, FeatureTransformer, Frame, Record, Tensors, ddl, records_of, with_sparse

ALONE = ""
"""The word of a feature that is a number by itself."""


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
        self._tables: dict[str, dict[str, int]] = {}
        words = {key: dict(zip(b.words, b.ids.tolist(), strict=True)) for key, b in blocks.items()}
        self._check(words)
        shifted: dict[tuple[str, int], dict[str, int]] = {}
        for name, where in names.items():
            key = (where.block, where.step)
            if key not in shifted:
                shifted[key] = {w: i + where.step for w, i in words[where.block].items()} if where.step else words[where.block]
            self._tables[name] = shifted[key]

    def _check(self, words: Mapping[str, Mapping[str, int]]) -> None:
        missing = sorted({n.block for n in self.names.values()} - set(words))
        if missing:
            raise DataError("names refer to blocks that are not there", where="vectoriser", count=len(missing), examples=missing)
        doubled = [key for key, block in self.blocks.items() if len(words[key]) != len(block.words)]
        if doubled:
            raise DataError("a word stands twice in a block", where="vectoriser", count=len(doubled), examples=doubled)
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
        ids: list[int] = []
        values: list[float] = []
        tables = self._tables
        for name, value in one.items():
            table = tables.get(name)
            if table is None or value is None:
                continue
            for word, number in value.items() if type(value) is dict else _entries(name, value):
                found = table.get(word)
                if found is not None:
                    ids.append(found)
                    values.append(number)
        return self._row(one, ids, values)

    def _row(self, record: Record, ids: list[int], values: list[float]) -> SparseBatch:
        try:
            numbers = np.array(values, np.float64)
        except (TypeError, ValueError):
            numbers = None
        # One look at the whole array finds what is no number, so that good records pay for no look at each.
        if numbers is None or not np.isfinite(numbers).all() or bool in set(map(type, values)):
            _refuse(record, self._tables)
        indices = np.array(ids, np.int32)
        order = indices.argsort()
        return SparseBatch(indices[order], numbers[order], np.array([0, len(ids)]))  # type: ignore[index,arg-type]

    def transform_batch(self, many: Sequence[Record]) -> SparseBatch:
        """Return many customers' rows."""
        if not many:
            return SparseBatch(np.zeros(0, np.int32), np.zeros(0), np.zeros(1, np.int64))  # type: ignore[arg-type]
        return concat([self.transform_one(record) for record in many])

    def transform(self, frame: Frame) -> Frame:
        """Return the DataFrame with `indices` and `values` added; every other column is a feature of the record."""
        types = {**dict(frame.dtypes), **SPARSE_COLUMNS}

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield with_sparse(batch, self.transform_batch(records_of(batch)))

        return frame.mapInArrow(run, ddl(types))

    def name_of(self, ids: npt.NDArray[np.int32]) -> list[tuple[str, str]]:
        """Return (name, word) of feature ids; ("?", "") for those it does not know."""
        names: dict[int, tuple[str, str]] = {}
        wanted = set(ids.tolist())
        for name, table in self._tables.items():
            names.update({i: (name, word) for word, i in table.items() if i in wanted})
        return [names.get(i, ("?", "")) for i in ids.tolist()]

    def describe(self) -> Mapping[str, Any]:
        """Return the names; words are tensors."""
        return {"names": {n: [w.block, w.step] for n, w in self.names.items()}, "blocks": list(self.blocks)}

    def tensors(self) -> Tensors:
        """Return words as UTF-8 with offsets, and their ids."""
        result: dict[str, npt.NDArray[Any]] = {}
        for at, block in enumerate(self.blocks.values()):
            encoded = [w.encode() for w in block.words]
            result[f"{at}.ids"] = block.ids
            result[f"{at}.words"] = np.frombuffer(b"".join(encoded), np.uint8)
            result[f"{at}.offsets"] = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
        return result

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the vectoriser as it was saved."""
        blocks = {key: _block(tensors, at) for at, key in enumerate(described["blocks"])}
        return cls({n: Name(str(block), int(step)) for n, (block, step) in described["names"].items()}, blocks)


def _block(tensors: Tensors, at: int) -> Block:
    data, offsets = tensors[f"{at}.words"].tobytes(), tensors[f"{at}.offsets"].tolist()
    if offsets[0] != 0 or offsets[-1] != len(data) or sorted(offsets) != offsets:
        raise ValueError("the offsets of words do not fit their bytes")
    words = tuple(data[a:b].decode() for a, b in zip(offsets, offsets[1:], strict=False))
    ids = tensors[f"{at}.ids"]
    if ids.dtype != np.int32 or ids.shape != (len(words),):
        raise ValueError(f"{len(words)} words but ids {ids.shape} of {ids.dtype}")
    return Block(words, ids)


def _entries(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield (word, number) of a raw feature; raise DataError when it is none."""
    if isinstance(value, str):
        yield value, 1.0
    elif isinstance(value, bool):
        raise _wrong(name, value)
    elif isinstance(value, int | float | np.integer | np.floating):
        yield ALONE, float(value)
    elif isinstance(value, Mapping):
        for word, number in value.items():
            if not isinstance(word, str) or isinstance(number, bool) or not isinstance(number, int | float | np.number):
                raise _wrong(name, {word: number})
            yield word, float(number)
    elif isinstance(value, list | tuple):
        counts: dict[str, float] = {}
        for word in value:
            if not isinstance(word, str):
                raise _wrong(name, value)
            counts[word] = counts.get(word, 0.0) + 1.0
        yield from counts.items()
    else:
        raise _wrong(name, value)


def _refuse(record: Record, known: Mapping[str, Any]) -> None:
    """Raise the DataError that says which feature of a record is none; it is known that there is one."""
    for name, value in record.items():
        if name in known and value is not None:
            for word, number in _entries(name, value):
                if not math.isfinite(number):
                    raise _wrong(name, {word: number} if word else number)
    raise DataError("a feature's value is no number", where="record")


def _wrong(name: str, value: object) -> DataError:
    do = "give a finite number, a string, a list of strings, or a map from string to finite number"
    return DataError(f"feature {name} cannot be {value!r}"[:200], where="record", do=do)
