"""Where a training loop's batches come from: examples in memory, in another order in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from propensity.features.csr import FloatArray
from propensity.models.data import Examples, popularity_logits
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Moments, moments


@dataclass(frozen=True)
class Summary:
    """What a fresh network has to know of the rows that it will learn from."""

    rows: int
    popularity: FloatArray
    """(C,) log odds of each category."""
    history: Moments
    """Of the history path's values, (F,)."""
    activity: Moments
    """Of the customers' activity, (A,)."""


class Supply(Protocol):
    """Rows to learn from."""

    def summary(self) -> Summary:
        """Return what a fresh network has to know."""

    def batches(self, epoch: int, size: int, seed: int) -> Iterator[Examples]:
        """Yield an epoch's batches: this process's share of what together are `size` rows."""


@dataclass(frozen=True)
class InMemory:
    """Examples that every process holds."""

    examples: Examples
    team: Team = ALONE

    def summary(self) -> Summary:
        """Return the summary of the examples."""
        pairs = self.examples.encoded.pairs
        prior = popularity_logits(self.examples)
        return Summary(len(self.examples), prior, moments(pairs.values), moments(pairs.activity))

    def batches(self, epoch: int, size: int, seed: int) -> Iterator[Examples]:
        """Yield the rows in the epoch's order, which is the same in every process; the last batch may be smaller."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.examples))
        for start in range(0, len(order), size):
            mine = self.team.share(order[start : start + size])
            if len(mine):
                yield self.examples.take(mine)
