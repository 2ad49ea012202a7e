"""Customers for the parity table, made from a bundle's own names and words; the same number gives the same customers.

Among them, in every thousand: customers without anything, customers of whom nothing is known, a mixture of known and unknown
words, nulls; and in all one enormous customer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.pipeline.vectoriser import Vectoriser

ENORMOUS = 100_000
"""Features of the enormous customer, known ones first."""


@dataclass(frozen=True)
class Customers:
    """A source of records for one vectoriser."""

    vectoriser: Vectoriser
    names_each: int = 6
    """Named features of a customer, at most."""
    words_each: float = 12.0
    """Mean words of a named feature; log-normal."""

    def chunk(self, number: int, size: int) -> list[dict[str, Any]]:
        """Return the customers of a chunk."""
        random = np.random.default_rng([7, number])
        records = [self._record(random) for _ in range(size)]
        unknown = {"no.such.feature": {"x": 1.0}, next(iter(self.vectoriser.names)): {"no such word": 3.0}}
        for at in range(0, size, 1000):
            mixed = {**records[at], "no.such.feature": 1.0}
            edges: list[dict[str, Any]] = [{}, unknown, dict.fromkeys(self.vectoriser.names), mixed]
            records[at : at + len(edges)] = edges[: size - at]
        if number == 0:
            records[-1] = self._enormous(random)
        return records

    def _record(self, random: np.random.Generator) -> dict[str, Any]:
        names = list(self.vectoriser.names)
        chosen = random.choice(len(names), min(self.names_each, len(names)), replace=False)
        record: dict[str, Any] = {}
        for at in chosen:
            words = self.vectoriser.blocks[self.vectoriser.names[names[at]].block].words
            count = min(int(random.lognormal(np.log(self.words_each), 0.8)) + 1, len(words))
            picks = (len(words) * random.random(count) ** 2).astype(np.int64)  # words at the front are frequent
            values = random.integers(1, 40, count).astype(float).tolist()
            record[names[at]] = {words[i]: value for i, value in zip(picks.tolist(), values, strict=True)}
        return record

    def _enormous(self, random: np.random.Generator) -> dict[str, Any]:
        record: dict[str, Any] = {}
        left = ENORMOUS
        for name, where in self.vectoriser.names.items():
            words = self.vectoriser.blocks[where.block].words[:left]
            record[name] = dict(zip(words, random.integers(1, 40, len(words)).astype(float).tolist(), strict=True))
            left -= len(words)
        last = next(iter(self.vectoriser.names))
        record[last] = {**record[last], **{f"unknown word {i}": 1.0 for i in range(left)}}
        return record
