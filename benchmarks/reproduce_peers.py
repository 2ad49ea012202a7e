"""The peers of the quality table, on the pipeline's own feature rows and the same held-out window."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import xgboost as xgb

from propensity.evaluation.held_out import ABSENT, HeldOut
from propensity.features.csr import FloatArray
from propensity.features.windows import training_cutoffs
from propensity.models.data import Examples, TrainingTables, concat_examples, popularity_logits
from propensity.models.encoding import Encoded, Encoder
from propensity.models.history import HistoryEncoder
from propensity.models.network_predictor import NetworkPredictor
from propensity.models.propensity_training import choose_and_refit
from propensity.models.recipe import fit_encoder, read_examples

SAMPLED_PAIRS = 1_500_000
CATEGORIES_TRIED = 24
ALONE = {"hidden": 128, "embedding_learning_rate": 2e-3}
"""What suits the sparse net alone best on the validation window (AP 0.361; with our network's settings 0.358)."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Peers:
    """Everything that the peers train on: windows newest first, the held-out one apart."""

    tables: TrainingTables
    window: HeldOut
    encoder: Encoder
    examples: Sequence[Examples]
    test: Examples

    @property
    def categories(self) -> npt.NDArray[np.int32]:
        """Return the tokens of the categories with a column."""
        return self.encoder.history.categories.ids

    def align(self, scores: FloatArray) -> FloatArray:
        """Return scores (N, c) with the window's columns."""
        return self.window.align(scores, self.categories, ABSENT)


def prepare(tables: TrainingTables, window: HeldOut, score_date: dt.date) -> Peers:
    """Read what the peers train on."""
    held_out, *earlier = training_cutoffs(tables.config, score_date)
    encoder = fit_encoder(tables, earlier)
    examples = [read_examples(tables, day, encoder) for day in earlier]
    return Peers(tables, window, encoder, examples, read_examples(tables, held_out, encoder))


def network(peers: Peers, seed: int, progress: Progress, history: bool = True) -> FloatArray:
    """Return the network's logits (N, C) with another seed, or of the sparse net alone (article A)."""
    encoder, examples = peers.encoder, peers.examples
    if not history:
        bare = HistoryEncoder(peers.categories, (), (), encoder.history.history_days)
        encoder = Encoder(encoder.features, bare)
        examples = [_without_history(e, bare) for e in examples]
    models = peers.tables.config.models
    own = models.propensity_network.model_copy(update={} if history else ALONE)
    settings = models.model_copy(update={"seed": seed, "propensity_network": own})
    _, final = choose_and_refit(settings, encoder, examples, torch.device("cpu"), progress)
    return peers.window.scores(NetworkPredictor(final.network, encoder))[0]


def _without_history(examples: Examples, bare: HistoryEncoder) -> Examples:
    sparse = examples.encoded.sparse
    return replace(examples, encoded=Encoded(sparse, bare.encode(sparse), 0))


def pairs(peers: Peers, seed: int, threads: int) -> FloatArray:
    """Return XGBoost's log odds (N, C) on (customer, category) pairs with the history path's values and the popularity."""
    train = concat_examples(list(peers.examples))
    prior = popularity_logits(train)
    width = len(peers.categories)
    picks = np.sort(np.random.default_rng(seed).choice(len(train) * width, min(SAMPLED_PAIRS, len(train) * width), replace=False))
    booster = xgb.train(
        {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 6, "eta": 0.1, "min_child_weight": 5,
         "nthread": threads, "seed": seed},
        xgb.DMatrix(pair_values(peers.encoder.history, train, prior, picks), label=_acted(train, picks)),
        150,
    )  # fmt: skip
    every = np.arange(len(peers.test) * width)
    scores = booster.predict(xgb.DMatrix(pair_values(peers.encoder.history, peers.test, prior, every)), output_margin=True)
    return peers.align(scores.reshape(-1, width))


def pair_values(history: HistoryEncoder, examples: Examples, prior: FloatArray, picks: npt.NDArray[np.int64]) -> FloatArray:
    """Return the values (P, F + 1) of the pairs at positions customer * C + category."""
    width = len(history.categories)
    own = examples.encoded.pairs
    keys = own.user * width + own.category
    at = np.minimum(np.searchsorted(keys, picks), max(len(keys) - 1, 0))
    there = keys[at] == picks
    values = np.repeat(history.none(), len(picks), axis=0)
    if history.activity_width:
        values[:, -history.activity_width :] = own.activity[picks // width]
    values[there] = own.values[at[there]]
    return np.concatenate([values, prior[picks % width][:, None]], axis=1)


def _acted(examples: Examples, picks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    keys = np.repeat(np.arange(len(examples)), np.diff(examples.label_offsets)) * examples.categories + examples.labels
    return np.isin(picks, keys)


def each_category(peers: Peers, seed: int, threads: int, progress: Progress) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return XGBoost's log odds (N, 24) for some categories, one model each, on the sparse vector, and their columns."""
    train = concat_examples(list(peers.examples))
    matrix, test = xgb.DMatrix(_matrix(train, peers.encoder)), xgb.DMatrix(_matrix(peers.test, peers.encoder))
    enough = np.flatnonzero(peers.test.positives() >= peers.tables.config.models.promotion.min_positives)
    chosen = enough[np.unique(np.linspace(0, len(enough) - 1, CATEGORIES_TRIED).astype(np.int64))]
    targets = train.targets()
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 4,
        "eta": 0.1,
        "nthread": threads,
        "seed": seed,
    }
    columns = []
    for number, category in enumerate(chosen, 1):
        matrix.set_label(targets[:, category])
        columns.append(xgb.train(settings, matrix, 80).predict(test, output_margin=True))
        progress(f"XGBoost for category {number} of {len(chosen)}")
    return np.stack(columns, 1), chosen


def _matrix(examples: Examples, encoder: Encoder) -> sp.csr_matrix:
    sparse = examples.encoded.sparse
    shape = (len(examples), len(encoder.features))
    return sp.csr_matrix((sparse.values, sparse.indices, sparse.offsets), shape=shape)
