"""Customers to learn from at the reference shape, with labels that depend on their features: there is something to learn.

Tokens follow Zipf's law, customers' numbers of tokens are log-normal.  Every token and every category has a direction in a space
of 16 dimensions; a customer's taste is the sum of his tokens' directions, and the closer a category lies to it the likelier he
acts in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray, SparseBatch
from propensity.models.data import Examples, concat_examples
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder

CHUNK = 4096
"""Rows made at once: what is made does not depend on how many are wanted."""
TASTE = 16
STRENGTH = 1.5
"""Standard deviation of what taste adds to a logit."""


@dataclass(frozen=True)
class Shape:
    """How large the data is."""

    features: int = 200_000
    non_zeros: int = 95
    """Median of the numbers of tokens; the mean is 100 after duplicates fall together."""
    categories: int = 2_000
    seed: int = 0

    def encoder(self) -> Encoder:
        """Return the encoder whose rows are the features and whose categories have no history."""
        categories = np.arange(self.categories, dtype=np.int32)
        return Encoder(FeatureMap(np.arange(self.features, dtype=np.int32)), HistoryEncoder(categories, (), (), 364))


def examples(shape: Shape, rows: int, part: int = 0) -> Examples:
    """Return so many customers; another `part` has other customers of the same population."""
    encoder = shape.encoder()
    found = chunks(shape, rows, part)
    return concat_examples([Examples(encoder.encode(sparse), labels, at, shape.categories) for sparse, labels, at in found])


def chunks(shape: Shape, rows: int, part: int) -> Iterator[tuple[SparseBatch, npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
    """Yield the customers CHUNK at a time: features, labels (L,), their offsets."""
    world = _World(shape)
    for number, start in enumerate(range(0, rows, CHUNK)):
        random = np.random.default_rng([shape.seed, 1 + part, number])
        sparse = world.customers(random, CHUNK)
        labels, offsets = world.labels(random, sparse)
        kept = min(CHUNK, rows - start)
        yield sparse.rows(0, kept), labels[: offsets[kept]], offsets[: kept + 1]


class _World:
    """What all customers of a shape have in common."""

    def __init__(self, shape: Shape) -> None:
        random = np.random.default_rng([shape.seed, 0])
        popularity = 1 / (np.arange(shape.features) + 10.0) ** 1.05
        self.shape = shape
        self.running = np.cumsum(popularity / popularity.sum())
        self.token = random.permutation(shape.features).astype(np.int32)
        self.direction = random.standard_normal((shape.features, TASTE), np.float32)
        # Everybody has the most popular tokens: they say nothing.
        self.direction[self.token[:50]] = 0
        self.category = random.standard_normal((TASTE, shape.categories), np.float32) * np.float32(STRENGTH / TASTE**0.5)
        share = 0.02 / (1 + np.arange(shape.categories) / (shape.categories / 20))
        self.offset = (np.log(share / (1 - share)) - STRENGTH**2 / 2).astype(np.float32)

    def customers(self, random: np.random.Generator, count: int) -> SparseBatch:
        """Return the features of some customers."""
        shape = self.shape
        wanted = np.clip(np.round(random.lognormal(np.log(shape.non_zeros), 0.55, count)), 3, 1000).astype(np.int64)
        user = np.repeat(np.arange(count), wanted)
        drawn = self.token[np.searchsorted(self.running, random.random(len(user))).clip(0, shape.features - 1)]
        key = np.unique(user * shape.features + drawn)
        offsets = np.searchsorted(key, np.arange(count + 1) * shape.features)
        values = np.log1p(random.gamma(1.0, 2.0, len(key))).astype(np.float32)
        return SparseBatch((key % shape.features).astype(np.int32), values, offsets)

    def labels(self, random: np.random.Generator, sparse: SparseBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the categories that the customers act in, and the offsets."""
        taste = self._taste(sparse)
        chance = 1 / (1 + np.exp(-(self.offset + taste @ self.category)))
        user, category = np.nonzero(random.random(chance.shape, np.float32) < chance)
        return category.astype(np.int32), np.searchsorted(user, np.arange(len(sparse) + 1))

    def _taste(self, sparse: SparseBatch) -> FloatArray:
        """Return the direction of each customer (B, TASTE), scaled to the length that a random one has."""
        weighted = self.direction[sparse.indices] * sparse.values[:, None]
        taste = np.add.reduceat(weighted, sparse.offsets[:-1], axis=0)
        length = np.linalg.norm(taste, axis=1, keepdims=True)
        unit: FloatArray = taste / np.maximum(length, 1e-6) * np.float32(TASTE**0.5)
        return unit
