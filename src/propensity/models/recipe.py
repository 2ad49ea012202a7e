"""How a region's model is made: read the tables, fit the encoder, choose the epochs, refit, keep as a bundle.

The newest window is held out and never looked at here, but for golden rows (features only).  The one before it chooses
the number of epochs; the network is then trained afresh on every window but the held-out one.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from propensity.config import Features, Models
from propensity.errors import DataError
from propensity.features import tokens
from propensity.features.csr import IntArray, SparseBatch
from propensity.features.windows import training_cutoffs
from propensity.models.data import Examples, TrainingTables, concat_examples, encode_rows
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap, count_features
from propensity.models.history import HistoryEncoder
from propensity.models.network_predictor import NetworkPredictor
from propensity.models.raw_features import raw_steps
from propensity.models.training import Device, Fit, fit, resolve_device
from propensity.models.versions import bundle_folder, data_digest, inputs_digest, settings_digest, version_name
from propensity.pipeline.bundle import Golden, save_bundle
from propensity.pipeline.predictor import SparsePredictor

GOLDEN_ROWS = 12


@dataclass(frozen=True)
class Trained:
    """A bundle that was just made."""

    version: str
    digest: str
    folder: Path
    epochs: int
    features: int
    categories: int


def train(tables: TrainingTables, score_date: dt.date, device: Device, progress: Callable[[str], None]) -> Trained:
    """Train a region's model for `score_date` and save its bundle.

    Raise DataError when there is nothing to learn from, MachineError when CUDA is asked for and absent.
    """
    config = tables.config
    where = resolve_device(device)
    cutoffs = training_cutoffs(config, score_date)
    held_out, *earlier = cutoffs
    encoder = fit_encoder(tables, earlier)
    examples = [read_examples(tables, day, encoder) for day in earlier]
    _check(tables, dict(zip(earlier, examples, strict=True)))
    progress(describe(tables.region, examples, encoder))
    chosen, final = choose_and_refit(config.models, encoder, examples, where, progress)
    predictor = NetworkPredictor(final.network, encoder).scorer()
    partitions = tables.digests(cutoffs)
    version = version_name(score_date, inputs_digest(config, partitions))
    manifest = {
        "version": version,
        "region": tables.region,
        "score_date": score_date.isoformat(),
        "held_out": held_out.isoformat(),
        "label": list(config.label_key),
        "channels": list(config.features.channel_names()),
        "config": {"settings": settings_digest(config)},
        "data": {"digest": data_digest(partitions), "windows": [d.isoformat() for d in earlier], "rows": sum(map(len, examples))},
        "training": {"seed": config.models.seed, "device": where.type, **_told(chosen, final)},
    }
    folder = bundle_folder(config, tables.region, version)
    golden = golden_rows(tables, held_out, predictor)
    steps = raw_steps(config, tokens.load(tables.lake), encoder.features.ids)
    digest = save_bundle(folder, manifest, steps, predictor, golden)
    return Trained(version, digest, folder, len(final.epochs), len(encoder.features), len(predictor.categories))


def _check(tables: TrainingTables, examples: Mapping[dt.date, Examples]) -> None:
    empty = [day for day, rows in examples.items() if len(rows) == 0 or len(rows.labels) == 0]
    if empty:
        where, do = f"region {tables.region}", "train on fewer windows, or land more days"
        raise DataError(
            "windows without an active customer or without an event", where=where, count=len(empty), examples=empty, do=do
        )


def choose_and_refit(
    settings: Models, encoder: Encoder, examples: Sequence[Examples], device: Any, progress: Callable[[str], None]
) -> tuple[Fit, Fit]:
    """Return the fit that chose the epochs on the newest window, and the fit on all windows with that many."""
    validation, *rest = examples
    progress(f"choosing the epochs: {len(rest)} windows to learn from, the next one to judge by")
    chosen = fit(settings, encoder, concat_examples(rest), validation, settings.max_epochs, device, progress)
    progress(f"training afresh on {len(examples)} windows for {chosen.best()} epochs")
    return chosen, fit(settings, encoder, concat_examples(examples), None, chosen.best(), device, progress)


def fit_encoder(tables: TrainingTables, cutoffs: Sequence[dt.date]) -> Encoder:
    """Return the encoder of the features and categories that are frequent enough at `cutoffs`."""
    settings = tables.config.models
    label_counts = np.zeros(int(tables.label_tokens.ids[-1]) + 1 if len(tables.label_tokens) else 0, np.int64)

    def seen(day: dt.date) -> list[SparseBatch]:
        rows = list(tables.rows(day))
        for part in rows:
            np.add.at(label_counts, part.label_tokens, 1)
        return [part.features for part in rows]

    counts = count_features(batch for day in cutoffs for batch in seen(day))
    categories = np.flatnonzero(label_counts >= settings.min_category_users).astype(np.int32)
    features = np.flatnonzero(counts >= settings.min_feature_users).astype(np.int32)
    if len(categories) == 0 or len(features) == 0:
        raise DataError(
            f"{len(features)} features and {len(categories)} categories are frequent enough to learn from",
            where=f"region {tables.region}",
            do="land more days, or lower models.min_feature_users and models.min_category_users",
        )
    return Encoder(FeatureMap(features), _history(tables, categories))


def _history(tables: TrainingTables, categories: IntArray) -> HistoryEncoder:
    """Return the history path's encoder for the channels that the configuration gives to categories."""
    config = tables.config
    names = config.features.channel_names()
    mine = next((f for f in config.features.fields if (f.event_type, f.field) == config.label_key), None)
    own = Features(fields=(mine,), history_days=config.features.history_days).channel_names() if mine else ()
    channels = tuple(name for name in names if name in own)
    return HistoryEncoder(categories, channels, tuple(names.index(name) for name in channels), config.features.history_days)


def read_examples(tables: TrainingTables, cutoff: dt.date, encoder: Encoder) -> Examples:
    """Return the active customers at one cutoff, encoded."""
    return concat_examples([encode_rows(rows, encoder) for rows in tables.rows(cutoff)])


def golden_rows(tables: TrainingTables, cutoff: dt.date, predictor: SparsePredictor) -> Golden:
    """Return some real feature rows, as different in length as there are, with their scores."""
    batch = next(tables.rows(cutoff)).features
    by_length = np.argsort(np.diff(batch.offsets), kind="stable")
    picks = by_length[np.unique(np.linspace(0, len(batch) - 1, GOLDEN_ROWS).astype(np.int64))] if len(batch) else by_length
    rows = batch.take(picks)
    return Golden(rows, predictor.predict_batch(rows))


def describe(region: str, examples: Sequence[Examples], encoder: Encoder) -> str:
    """Return what there is to learn from, as a line of progress."""
    rows = sum(map(len, examples))
    entries = sum(len(e.encoded.sparse.indices) for e in examples)
    return (
        f"region {region}: {rows:,} rows of {len(examples)} windows, {entries / max(rows, 1):,.0f} features a row, "
        f"{len(encoder.features):,} features, {len(encoder.history.categories):,} categories"
    )


def _told(chosen: Fit, final: Fit) -> dict[str, Any]:
    """Return the course of training for the manifest, without times: equal inputs give equal bytes."""
    course = [{"epoch": e.number, "loss": e.loss, **(e.validation.as_dict() if e.validation else {})} for e in chosen.epochs]
    return {"epochs": len(final.epochs), "choosing": course, "losses": [e.loss for e in final.epochs]}
