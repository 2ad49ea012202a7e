"""XGBoost as a peer: one model for each category on the sparse vector, and one model on (customer, category) pairs.

Settings were chosen on the validation window of the last origin (2017-12-04); earlier origins use them too, in the peers' favour.

Per category, macro AUC of 24 categories spread over those with 10 positives.  A model's columns are the K of the sparse vector
that correlate most with its label in the training rows; its rows are the buyers and at most M of the others, weighted for all of
them.  Depth 4, eta 0.1 where nothing else is said.  Seconds are CPU seconds a category, predictions included; "about" means on
the clock of a busy machine, so those are not to be compared closely:

=====================================================  ====== =========================  ========
columns                                                M      macro AUC (rounds)         seconds
=====================================================  ====== =========================  ========
every column (45,292)                                  all    0.825 (20)  0.827 (30)     about 14
K = 64                                                 all    0.820 (20)  0.814 (120)
K = 128                                                all    0.828 (20)  0.818 (120)
K = 256                                                all    0.830 (20)  0.821 (120)
K = 256, 32 bins, eta 0.15                             all    0.828 (15)  0.828 (20)     1.3
K = 256, 32 bins                                       6,000  0.827 (20)  0.826 (30)     0.3
K = 512                                                all    0.835 (20)  0.835 (40)     about 3
K = 512, 32 bins                                       6,000  0.832 (20)  0.832 (30)     0.65
K = 512, 32 bins, eta 0.15                             10,000 0.835 (15)  0.832 (20)     0.8
K = 1,024                                              all    0.828 (20)  0.829 (40)
K = 512, eta 0.2                                       all    0.830 (10)  0.830 (20)
K = 512, depth 6, min_child_weight 5                   all    0.830 (20)  0.829 (40)
K = 512, 0.3 of the columns a node, lambda 10          all    0.833 (20)  0.835 (40)
K = 256, depth 3 and 2, half of the rows and columns   all    0.829 (40)  0.829 (40)
=====================================================  ====== =========================  ========

Taken: K = 512, 32 bins, eta 0.15, M = 10,000 and 15 rounds, by validation and time: as good as all rows, and several times
as fast.  Leaving columns and rows out leaves the peer at least as strong as the whole vector does, as far as one window and 24
categories can tell.

On pairs, micro AP and macro AUC of the whole validation window: 1.5 million pairs, depth 6, eta 0.1, 100 rounds 0.440 and 0.819;
4 million, 150 rounds 0.442 and 0.820; 4 million, depth 8, eta 0.05, half of the rows, 150 rounds 0.443 and 0.820; 300 rounds are
worse in each case.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import xgboost as xgb

from benchmarks.peers import Peers, Progress
from propensity.features.csr import FloatArray
from propensity.models.data import Examples, popularity_logits
from propensity.models.history import HistoryEncoder

COLUMNS, OTHERS, ROUNDS = 512, 10_000, 15
EACH = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "eta": 0.15, "max_bin": 32, "nthread": 1}
LEAST = 20
"""A category with fewer buyers in the training rows gets its popularity instead of a model."""
SAMPLED_PAIRS, FAST_PAIRS, PAIR_ROUNDS = 4_000_000, 1_000_000, 150
PAIRS = {
    "objective": "binary:logistic", "tree_method": "hist", "max_depth": 8, "eta": 0.05, "min_child_weight": 50,
    "subsample": 0.5, "colsample_bynode": 0.6, "nthread": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Each:
    """Log odds of one model per category."""

    scores: FloatArray
    """(N, C) with the window's columns."""
    modelled: npt.NDArray[np.bool_]
    """(C,) which of the columns have a model."""


def each_category(peers: Peers, sample: int | None, progress: Progress) -> Each:
    """Return what one model per category says; of `sample` categories only, spread over those with buyers enough."""
    train = peers.everything()
    targets = train.targets()
    enough = np.flatnonzero(train.positives() >= LEAST)
    chosen = enough if sample is None else enough[np.unique(np.linspace(0, len(enough) - 1, sample).astype(np.int64))]
    inputs, test = peers.matrix(train), peers.matrix(peers.test).tocsc()
    correlations = np.abs(correlation(inputs, targets[:, chosen]))
    inputs = inputs.tocsc()
    scores = np.tile(popularity_logits(train), (len(peers.test), 1))
    for number, category in enumerate(chosen):
        columns = np.sort(np.argsort(-correlations[:, number], kind="stable")[:COLUMNS])
        scores[:, category] = _boosted(peers.seed, inputs[:, columns], targets[:, category], test[:, columns])
        if number % 50 == 0:
            progress(f"category {number + 1} of {len(chosen)}")
    modelled = np.zeros(len(peers.window.categories), bool)
    modelled[peers.window.categories.positions(peers.encoder.history.categories.ids[chosen])] = True
    return Each(peers.align(scores), modelled)


def _boosted(seed: int, inputs: sp.csc_matrix, target: FloatArray, test: sp.csc_matrix) -> FloatArray:
    rows, weights = case_control(target, OTHERS, seed)
    dense = inputs.toarray()[rows]
    matrix = xgb.QuantileDMatrix(dense, label=target[rows], weight=weights, max_bin=EACH["max_bin"], nthread=1)
    booster = xgb.train({**EACH, "seed": seed}, matrix, ROUNDS)
    margins: FloatArray = booster.predict(xgb.DMatrix(test.toarray(), nthread=1), output_margin=True)
    return margins


def case_control(target: FloatArray, most: int, seed: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the positions (n,) of all positives and of at most `most` others, drawn at random, with their weights (n,).

    Nearly all that a rare event tells lies in the positives (King and Zeng, Logistic Regression in Rare Events Data, 2001).
    """
    others = np.flatnonzero(target == 0)
    drawn = np.random.default_rng(seed).choice(others, min(most, len(others)), replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(target > 0), drawn]))
    weights = np.where(target[rows] > 0, 1, len(others) / max(len(drawn), 1)).astype(np.float32)
    return rows, weights


def correlation(inputs: sp.csr_matrix, targets: FloatArray) -> npt.NDArray[np.float64]:
    """Return the correlation of inputs (N, D) with targets (N, c), column by column: (D, c), 0 where one is constant."""
    rows = inputs.shape[0]
    mean = np.asarray(inputs.mean(0), np.float64).ravel()
    square = np.asarray(inputs.multiply(inputs).mean(0), np.float64).ravel()
    spread = np.sqrt(np.maximum(square - mean**2, 0))[:, None] * targets.std(0, dtype=np.float64)
    together = np.asarray(inputs.T @ targets, np.float64) / rows - mean[:, None] * targets.mean(0, dtype=np.float64)
    result: npt.NDArray[np.float64] = np.divide(together, spread, out=np.zeros_like(together), where=spread > 1e-9)
    return result


def pairs(peers: Peers, most: int) -> FloatArray:
    """Return XGBoost's log odds (N, C) on (customer, category) pairs: the history path's values and the category's popularity.

    It learns from `most` pairs, drawn at random.
    """
    train = peers.everything()
    prior = popularity_logits(train)
    width, history = len(prior), peers.encoder.history
    draw = np.random.default_rng(peers.seed)
    picks = np.sort(draw.choice(len(train) * width, min(most, len(train) * width), replace=False))
    settings: dict[str, Any] = {**PAIRS, "seed": peers.seed}
    matrix = xgb.QuantileDMatrix(pair_values(history, train, prior, picks), label=_acted(train, picks), nthread=1)
    booster = xgb.train(settings, matrix, PAIR_ROUNDS)
    every = np.arange(len(peers.test) * width)
    test = xgb.DMatrix(pair_values(history, peers.test, prior, every), nthread=1)
    return peers.align(booster.predict(test, output_margin=True).reshape(-1, width))


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
