"""How good a version is on the held-out window, next to the baselines."""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from propensity.config import Promotion
from propensity.errors import DataError
from propensity.evaluation.baselines import decayed_frequency, popularity
from propensity.evaluation.records import DECAYED, OURS, POPULARITY, Figures, plain, settings_of
from propensity.features import tokens
from propensity.features.csr import FloatArray, SparseBatch, concat
from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.feature_map import IdMap
from propensity.models.metrics import category_auc, curve, judge
from propensity.models.ragged import owners
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid

ABSENT = np.float32(-30.0)
"""Logit of a category that a model does not know."""
BATCH = 4096


@dataclass(frozen=True)
class HeldOut:
    """The active customers of the held-out window and what they did.  Columns are all categories that ever landed."""

    region: str
    cutoff: dt.date
    users: pa.Array
    features: SparseBatch
    targets: FloatArray
    """(N, C)."""
    categories: IdMap

    def align(self, values: FloatArray, categories: Any, absent: np.float32) -> FloatArray:
        """Return a model's values (N, c) with the window's columns (N, C); `absent` where the model has no such category."""
        aligned = np.full((len(values), len(self.categories)), absent, np.float32)
        aligned[:, self.categories.positions(categories)] = values
        return aligned

    def scores(self, model: SparsePredictor) -> tuple[FloatArray, int]:
        """Return a model's logits (N, C) and how many customers it knew nothing of."""
        parts = [self.features.rows(i, min(i + BATCH, len(self.features))) for i in range(0, len(self.features), BATCH)]
        raws = [model.raw(part) for part in parts]
        unknown = sum(int((~raw.known).sum()) for raw in raws)
        return self.align(np.concatenate([raw.logits for raw in raws]), model.categories, ABSENT), unknown


def held_out(tables: TrainingTables, score_date: dt.date) -> HeldOut:
    """Read the held-out window of `score_date`; raise DataError when nobody was active before it."""
    cutoff = training_cutoffs(tables.config, score_date)[0]
    parts = list(tables.rows(cutoff))
    if not sum(map(len, parts)):
        raise DataError(
            f"no active customer at {cutoff}", where=f"region {tables.region}", do="land more days, or raise active_days"
        )
    targets = []
    for part in parts:
        dense = np.zeros((len(part), len(tables.label_tokens)), np.float32)
        dense[owners(part.label_offsets), tables.label_tokens.positions(part.label_tokens)] = 1.0
        targets.append(dense)
    users = pa.chunked_array([part.users for part in parts]).combine_chunks()
    features = concat([part.features for part in parts])
    return HeldOut(tables.region, cutoff, users, features, np.concatenate(targets), tables.label_tokens)


def evaluate(tables: TrainingTables, window: HeldOut, bundle: Bundle, model: SparsePredictor) -> dict[str, Any]:
    """Return the figures of a version and of the baselines on the same window."""
    settings = tables.config.models.promotion
    ours, unknown = window.scores(model)
    nobody = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(2, np.int64))  # gets the popularity
    share = window.align(sigmoid(model.raw(nobody).logits), model.categories, np.float32(0))[0]
    everybody = popularity(share, len(window.users))
    own = decayed_frequency(tables.lake, window.region, window.cutoff, window.users, window.categories, share)
    scores = {POPULARITY: everybody, DECAYED: own, OURS: ours}
    result = {
        "digest": bundle.digest,
        "version": bundle.version,
        "region": window.region,
        "cutoff": window.cutoff.isoformat(),
        "horizon_days": tables.config.features.horizon_days,
        "customers": len(window.users),
        "without_known_features": unknown,
        **settings_of(settings),
        "table": {name: judge_scores(window, values, settings) for name, values in scores.items()},
        "curves": {name: curve(window.targets, values) for name, values in scores.items()},
        "categories": _by_category(tables, window, ours, own),
    }
    told: dict[str, Any] = plain(result)
    return told


def judge_model(window: HeldOut, model: SparsePredictor, settings: Promotion) -> Figures:
    """Return a model's figures on the window."""
    return judge_scores(window, window.scores(model)[0], settings)


def judge_scores(window: HeldOut, values: FloatArray, settings: Promotion) -> Figures:
    """Return the figures of scores (N, C) on the window."""
    return judge(window.targets, values, settings.min_positives, settings.expected_precision).as_dict()


def _by_category(tables: TrainingTables, window: HeldOut, ours: FloatArray, own: FloatArray) -> list[dict[str, Any]]:
    names = tokens.names(tokens.load(tables.lake), *tables.config.label_key)
    least = tables.config.models.promotion.min_positives
    mine, theirs = (category_auc(window.targets, values, least) for values in (ours, own))
    positives = window.targets.sum(0)
    return [
        {"name": names[int(token)], "buyers": int(positives[i]), OURS: float(mine[i]), DECAYED: float(theirs[i])}
        for i, token in enumerate(window.categories.ids)
        if not math.isnan(mine[i])
    ]
