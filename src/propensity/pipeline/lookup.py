"""The words that are worth knowing, learned from records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy.typing as npt

from propensity.errors import DataError
from propensity.pipeline.named import NamedTransformer, text, whole
from propensity.pipeline.strings import pack, unpack
from propensity.pipeline.text import LIST
from propensity.pipeline.transformer import Record, Tensors


class VocabularyLookup(NamedTransformer):
    """Only the words of a list that were frequent enough in training stay, in their order and as often as they stand there.

    Each feature has a vocabulary of its own.  The others are dropped, or become the word `unknown`, which the vectoriser counts
    like any other: so a model sees how many there were.  :meth:`unknown_words` tells it to whoever watches.
    """

    kind = "vocabulary_lookup"
    takes = "a list of strings"

    def __init__(self, names: Sequence[str], min_count: int = 1, max_size: int | None = None, unknown: str | None = None) -> None:
        """Take how often a word must stand in the training records, how many are kept, and what the others become."""
        super().__init__(names)
        self.min_count = whole("min_count", min_count, 1)
        self.max_size = None if max_size is None else whole("max_size", max_size, 1)
        self.unknown = None if unknown is None else text("unknown", unknown)
        self.words_: Mapping[str, tuple[str, ...]] = {}
        """Each feature's words, the most frequent first, equally frequent ones by alphabet."""
        self._known: Mapping[str, frozenset[str]] = {}

    def fit(self, many: Sequence[Record]) -> Self:
        """Learn each feature's words."""
        words = {}
        for name in self.names:
            lists = (record[name] for record in many if record.get(name) is not None)
            counts = Counter(word for each in lists for word in self.texts(name, each))
            frequent = sorted((w for w, n in counts.items() if n >= self.min_count), key=lambda w: (-counts[w], w))
            words[name] = tuple(frequent[: self.max_size])
        return self._with(words)

    def _with(self, words: Mapping[str, tuple[str, ...]]) -> Self:
        self.words_ = words
        self._known = {name: frozenset(mine) for name, mine in words.items()}
        return self

    def value(self, name: str, value: Any) -> list[str]:
        """Return the known words; raise DataError when nothing was learned."""
        known = self._of(name)
        if self.unknown is None:
            return [word for word in self.texts(name, value) if word in known]
        return [word if word in known else self.unknown for word in self.texts(name, value)]

    def _of(self, name: str) -> frozenset[str]:
        if name not in self._known:
            raise DataError(f"no words of feature {name} were learned", where=self.kind, do="call fit first")
        return self._known[name]

    def unknown_words(self, record: Record) -> dict[str, int]:
        """Return how many unknown words each feature of a record has, as it is before this step."""
        present = {name: record[name] for name in self.names if record.get(name) is not None}
        return {name: sum(word not in self._of(name) for word in self.texts(name, value)) for name, value in present.items()}

    def column(self, kind: str) -> str | None:
        """Return the type of a list of strings."""
        return LIST if kind == LIST else None

    def describe(self) -> Mapping[str, Any]:
        """Return the settings; the words are tensors."""
        settings = {"min_count": self.min_count, "max_size": self.max_size, "unknown": self.unknown}
        return {**super().describe(), **settings}

    def tensors(self) -> Tensors:
        """Return each feature's words as UTF-8 with offsets."""
        result: dict[str, npt.NDArray[Any]] = {}
        for at, name in enumerate(self.names):
            self._of(name)
            result[f"{at}.words"], result[f"{at}.offsets"] = pack(self.words_[name])
        return result

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step as it was saved."""
        step = cls(**described)
        return step._with({name: unpack(tensors[f"{at}.words"], tensors[f"{at}.offsets"]) for at, name in enumerate(step.names)})
