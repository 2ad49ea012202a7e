"""Why a customer has a score: what each word of the features changes in a category's logit, for any predictor.

A word's features (coffee bought in 7, in 28 days …) belong together and are taken out together.  First each word's effect alone
is measured; then the words are taken out one after the other, the largest effect first, until nothing is left and the logit is
the prior's.  A contribution is what its step changed, so base and contributions add up to the logit, whatever the model is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS
from propensity.features.csr import IntArray, SparseBatch, concat
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.vectoriser import Vectoriser

Groups = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST = 500
"""Words taken out one by one, unless told otherwise."""
ENTRIES = 4_000_000
"""Entries of rows that one explanation reads at most, about, twice: a long row has fewer words taken out one by one."""
ROWS = 64
"""Rows scored at once."""
UNKNOWN = ("?", "")


@dataclass(frozen=True)
class Part:
    """One word, or all of those that were taken out together."""

    group: int | None
    """As :meth:`FeatureNames.groups` numbers it; None: several words together."""
    contribution: float
    """What taking it out took from the logit."""


@dataclass(frozen=True)
class Explanation:
    """One customer's logit of one category and what it consists of."""

    logit: np.float32
    base: np.float32
    """The logit of a customer of whom nothing is known."""
    parts: tuple[Part, ...]
    """In the order in which they were taken out."""

    def replayed(self) -> np.float32:
        """Return base + contributions, added up exactly and rounded once: the logit."""
        return np.float32(math.fsum([float(self.base), *(part.contribution for part in self.parts)]))


class FeatureNames:
    """What a vectoriser's feature ids are called, and which of them are features of one word; 16 bytes a feature."""

    def __init__(self, vectoriser: Vectoriser) -> None:
        self._names = list(vectoriser.names)
        self._blocks = list(vectoriser.blocks.items())
        sizes = [len(block.words) for _, block in self._blocks]
        self._first = dict(zip(vectoriser.blocks, np.cumsum([0, *sizes]).tolist(), strict=False))
        ids, names, words = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for at, where in enumerate(vectoriser.names.values()):
            block = vectoriser.blocks[where.block].ids
            ids.append(block + np.int32(where.step))
            names.append(np.full(len(block), at, np.int32))
            words.append(self._first[where.block] + np.arange(len(block)))
        order = np.argsort(np.concatenate(ids), kind="stable")
        self._ids, self._name, self._word = (np.concatenate(many)[order] for many in (ids, names, words))

    def groups(self, indices: IntArray) -> Groups:
        """Return (N,) a number for the word of each feature, equal for the features of one word.

        Features that the vectoriser does not know, of a stored row, belong together as those of one token do.
        """
        at, found = self._find(indices)
        groups = -1 - indices.astype(np.int64) // MAX_CHANNELS
        groups[found] = self._word[at[found]]
        return groups

    def _find(self, indices: IntArray) -> tuple[npt.NDArray[np.int64], Mask]:
        at = np.searchsorted(self._ids, indices)
        found = at < len(self._ids)
        found[found] = self._ids[at[found]] == indices[found]
        return at, found

    def names(self, indices: IntArray) -> list[str]:
        """Return the features' names, "?" for those the vectoriser does not know."""
        at, found = self._find(indices)
        return [self._names[self._name[i]] if known else UNKNOWN[0] for i, known in zip(at.tolist(), found.tolist(), strict=True)]

    def word(self, group: int) -> tuple[str, str]:
        """Return (block, word) of a group; ("?", "") for one the vectoriser does not know."""
        if group < 0:
            return UNKNOWN
        for key, block in self._blocks:
            at = group - self._first[key]
            if 0 <= at < len(block.words):
                return key, block.words[at]
        return UNKNOWN


def explain(predictor: SparsePredictor, row: SparseBatch, column: int, groups: Groups, most: int = MOST) -> Explanation:
    """Return what the logit in `column` of one row (a batch of one) consists of; `groups` (N,) says which features go together.

    At most `most` words are taken out one by one, fewer of a very long row: those with the largest values.  The others go last,
    together.  Costs two scored rows for each word.
    """
    words, members = np.unique(groups, return_inverse=True)
    singles = _singles(row, members, len(words), most)
    alone = _logits(predictor, row, column, (members != word for word in singles))
    logit = _logits(predictor, row, column, iter([np.ones(len(members), bool)]))[0]
    order = singles[np.argsort(-np.abs(np.float64(logit) - alone), kind="stable")]
    chain = [logit, *_logits(predictor, row, column, _removals(members, order))]
    base = _logits(predictor, row, column, iter([np.zeros(len(members), bool)]))[0]
    named: list[int | None] = [int(words[word]) for word in order]
    if len(order) < len(words):
        chain, named = [*chain, base], [*named, None]
    steps = np.array(chain, np.float64)
    parts = tuple(Part(group, float(change)) for group, change in zip(named, steps[:-1] - steps[1:], strict=True))
    return Explanation(np.float32(logit), np.float32(base), parts)


def _singles(row: SparseBatch, members: Groups, words: int, most: int) -> Groups:
    """Return the words that are taken out one by one."""
    limit = min(most, max(1, ENTRIES // max(len(members), 1)))
    if words <= limit:
        return np.arange(words)
    sizes = np.bincount(members, np.abs(row.values.astype(np.float64)), words)
    return np.sort(np.argsort(-sizes, kind="stable")[:limit])


def _removals(members: Groups, order: Groups) -> Iterator[Mask]:
    kept = np.ones(len(members), bool)
    for word in order:
        kept = kept & (members != word)
        yield kept


def _logits(predictor: SparsePredictor, row: SparseBatch, column: int, masks: Iterator[Mask]) -> npt.NDArray[np.float32]:
    """Return one category's logit of the row with some of its features only, for each mask of those."""
    found = [np.zeros(0, np.float32)]
    rows: list[SparseBatch] = []
    for mask in masks:
        kept = int(mask.sum())
        rows.append(SparseBatch(row.indices[mask], row.values[mask], np.array([0, kept], np.int64)))
        if len(rows) == ROWS:
            found.append(predictor.raw(concat(rows)).logits[:, column].copy())
            rows = []
    if rows:
        found.append(predictor.raw(concat(rows)).logits[:, column].copy())
    return np.concatenate(found)
