"""Customers to learn from at the reference shape, with labels that depend on their features: there is something to learn.

Tokens follow Zipf's law, customers' numbers of tokens are log-normal.  Every token belongs to one of 32 topics, and so does every
customer.  He draws a share of his tokens, his devotion, from his topic, and acts in categories that go with the topic, the more
the more devoted he is.  So one token says little, all of a customer's together say more, and what a token means must be learned.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from propensity.features.csr import IntArray, OffsetArray, SparseBatch
from propensity.models.data import Examples, concat_examples
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder

CHUNK = 4096
"""Rows made at once: what is made does not depend on how many are wanted."""
TOPICS = 32
STRENGTH = 4.0
"""Standard deviation of what full devotion adds to a logit."""
DEVOTION = (2.0, 3.0)
"""Of a beta distribution: 0.4 on average."""


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


def chunks(shape: Shape, rows: int, part: int) -> Iterator[tuple[SparseBatch, IntArray, OffsetArray]]:
    """Yield the customers CHUNK at a time: features, labels (L,), their offsets."""
    world = _World(shape)
    for number, start in enumerate(range(0, rows, CHUNK)):
        random = np.random.default_rng([shape.seed, 1 + part, number])
        sparse, labels, offsets = world.customers(random, CHUNK)
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
        self.topic = random.standard_normal((TOPICS, shape.categories), np.float32) * np.float32(STRENGTH)
        share = 0.02 / (1 + np.arange(shape.categories) / (shape.categories / 20))
        self.offset = (np.log(share / (1 - share)) - 1).astype(np.float32)

    def customers(self, random: np.random.Generator, count: int) -> tuple[SparseBatch, IntArray, OffsetArray]:
        """Return the features of some customers, then the categories they act in (L,) and the offsets of those."""
        shape = self.shape
        topic, devotion = random.integers(0, TOPICS, count), random.beta(*DEVOTION, count).astype(np.float32)
        wanted = np.clip(np.round(random.lognormal(np.log(shape.non_zeros), 0.55, count)), 3, 1000).astype(np.int64)
        user = np.repeat(np.arange(count), wanted)
        rank = np.searchsorted(self.running, random.random(len(user)))
        # Of 32 neighbours in popularity each belongs to another topic.
        own = rank // TOPICS * TOPICS + topic[user]
        rank = np.where(random.random(len(user)) < devotion[user], own, rank).clip(0, shape.features - 1)
        key = np.unique(user * shape.features + self.token[rank])
        offsets = np.searchsorted(key, np.arange(count + 1) * shape.features)
        values = np.log1p(random.gamma(1.0, 2.0, len(key))).astype(np.float32)
        sparse = SparseBatch((key % shape.features).astype(np.int32), values, offsets)
        chance = 1 / (1 + np.exp(-(self.offset + devotion[:, None] * self.topic[topic])))
        actor, category = np.nonzero(random.random(chance.shape, np.float32) < chance)
        return sparse, category.astype(np.int32), np.searchsorted(actor, np.arange(count + 1))
