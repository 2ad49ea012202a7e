"""How good a version is on the held-out window, next to the baselines."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from propensity.config import Promotion
from propensity.errors import BundleError, DataError
from propensity.evaluation.baselines import decayed_frequency, popularity
from propensity.evaluation.bootstrap import multiplicities
from propensity.evaluation.by_category import by_category, promises
from propensity.evaluation.comparison import compare
from propensity.evaluation.curves import SHARES, gain
from propensity.evaluation.records import DECAYED, OURS, POPULARITY, Figures, plain, settings_of
from propensity.evaluation.rungs import rung_figures, source_counts
from propensity.evaluation.slices import acted_before, size_of, slices_of
from propensity.features import tokens
from propensity.features.csr import FloatArray, OffsetArray, SparseBatch, concat
from propensity.features.windows import training_cutoffs
from propensity.models.calibrated import CalibratedPredictor
from propensity.models.calibration import calibration_by_size, calibration_error, reliability
from propensity.models.data import TrainingTables
from propensity.models.feature_map import IdMap
from propensity.models.metrics import curve, judge
from propensity.models.ragged import owners
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.thresholds import Thresholds
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
    """Return the figures of a version and of the baselines on the same window: what evaluation.json holds."""
    settings = tables.config.models.promotion
    ours, unknown = window.scores(model)
    demand_numbers(ours, str(bundle.path))
    nobody = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(2, np.int64))  # gets the popularity
    share = window.align(sigmoid(model.raw(nobody).logits), model.categories, np.float32(0))[0]
    everybody = popularity(share, len(window.users))
    own = decayed_frequency(tables.lake, window.region, window.cutoff, window.users, window.categories, share)
    scores = {OURS: ours, DECAYED: own, POPULARITY: everybody}
    result = {
        "digest": bundle.digest,
        "version": bundle.version,
        "region": window.region,
        "cutoff": window.cutoff.isoformat(),
        "horizon_days": tables.config.features.horizon_days,
        "customers": len(window.users),
        "without_known_features": unknown,
        **settings_of(settings),
        **_compared(window, scores, settings, size_of(share)),
        **_explained(tables, window, scores, _thresholds(window, model)),
        "rungs": rung_figures(window, model, settings),
        "sources": source_counts(window, model),
    }
    told: dict[str, Any] = plain(result)
    return told


def demand_numbers(scores: FloatArray, where: str) -> None:
    """Raise BundleError unless all scores (N, C) are finite: nothing can be said about others."""
    wrong = int((~np.isfinite(scores)).any(1).sum())
    if wrong:
        raise BundleError("customers with scores that are no numbers", where=where, count=wrong, do="train again")


def judge_scores(window: HeldOut, values: FloatArray, settings: Promotion) -> Figures:
    """Return the figures of scores (N, C) on the window."""
    return judge(window.targets, values, settings.min_positives, settings.expected_precision).as_dict()


def _compared(window: HeldOut, scores: Mapping[str, FloatArray], settings: Promotion, sizes: OffsetArray) -> dict[str, Any]:
    """Return the figures of all models with their intervals, on the whole window and on its slices."""
    weights = multiplicities(len(window.users), settings.resamples, settings.seed)
    whole = compare(window.targets, scores, weights, settings)
    rivals = {name: scores[name] for name in (OURS, DECAYED)}
    slices = slices_of(acted_before(window.features, window.categories), sizes)
    return {
        "table": {name: judge_scores(window, values, settings) for name, values in scores.items()},
        "intervals": whole["intervals"],
        "differences": whole["differences"],
        "slices": [
            {
                "name": part.name,
                "pairs": int(part.mask.sum()),
                "positives": int(window.targets[part.mask].sum()),
                **compare(window.targets, rivals, weights, settings, part.mask),
            }
            for part in slices
        ],
    }


def _explained(
    tables: TrainingTables, window: HeldOut, scores: Mapping[str, FloatArray], thresholds: Thresholds | None
) -> dict[str, Any]:
    """Return the curves, the calibration and the categories."""
    probabilities = sigmoid(scores[OURS])
    names = tokens.names(tokens.load(tables.lake), *tables.config.label_key)
    named = [names[int(token)] for token in window.categories.ids]
    settings = tables.config.models.promotion
    least = settings.min_positives
    chosen = None if thresholds is None else thresholds.at(_promise(thresholds, settings))
    return {
        "curves": {name: curve(window.targets, values) for name, values in scores.items()},
        "gain": {"shares": SHARES, **{name: gain(window.targets, values) for name, values in scores.items()}},
        "reliability": reliability(window.targets, probabilities),
        "calibration_error": calibration_error(window.targets, probabilities),
        "calibration_by_size": calibration_by_size(window.targets, probabilities),
        "promises": [] if thresholds is None else promises(window.targets, probabilities, thresholds, least),
        "promise": None if thresholds is None else _promise(thresholds, settings),
        "categories": by_category(named, window.targets, scores, probabilities, chosen, least),
    }


def _thresholds(window: HeldOut, model: SparsePredictor) -> Thresholds | None:
    """Return a model's thresholds with the window's columns; None for a model without."""
    if not isinstance(model, CalibratedPredictor):
        return None
    values = window.align(model.thresholds.values, model.categories, np.float32(np.inf))
    return replace(model.thresholds, values=values)


def _promise(thresholds: Thresholds, settings: Promotion) -> float:
    """Return the promised precision that is nearest to the expected one, whose thresholds are shown by category."""
    return min(thresholds.precisions, key=lambda precision: abs(precision - settings.expected_precision))
