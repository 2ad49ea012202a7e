"""What every peer of the comparison learns from: the rows, the feature map and the windows that our own recipe uses."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy.sparse as sp

from propensity.evaluation.held_out import ABSENT, HeldOut, held_out
from propensity.features.csr import FloatArray
from propensity.features.windows import training_cutoffs
from propensity.models.data import Examples, TrainingTables, concat_examples
from propensity.models.encoding import Encoder
from propensity.models.recipe import fit_encoder
from propensity.models.windows import read_examples

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Peers:
    """One origin: the earlier windows, newest first, and the held-out one apart."""

    tables: TrainingTables
    window: HeldOut
    encoder: Encoder
    windows: Sequence[Examples]
    """The first of them is the validation window, which may choose."""
    test: Examples

    @property
    def seed(self) -> int:
        """Return where generators of random numbers start."""
        return self.tables.config.models.seed

    def everything(self) -> Examples:
        """Return all rows that a model may learn from once its settings are chosen."""
        return concat_examples(list(self.windows))

    def matrix(self, examples: Examples) -> sp.csr_matrix:
        """Return the sparse vectors (N, D)."""
        sparse = examples.encoded.sparse
        shape = (len(examples), len(self.encoder.features))
        return sp.csr_matrix((sparse.values, sparse.indices, sparse.offsets), shape=shape)

    def align(self, scores: FloatArray) -> FloatArray:
        """Return scores (N, c) of the encoder's categories with the window's columns (N, C)."""
        return self.window.align(scores, self.encoder.history.categories.ids, ABSENT)


def prepare(tables: TrainingTables, score_date: dt.date) -> Peers:
    """Read what the peers of one origin train on."""
    last, *earlier = training_cutoffs(tables.config, score_date)
    encoder = fit_encoder(tables, earlier)
    windows = [read_examples(tables, day, encoder) for day in earlier]
    return Peers(tables, held_out(tables, score_date), encoder, windows, read_examples(tables, last, encoder))
