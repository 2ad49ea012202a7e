"""How a region's model is made: read the tables, fit the encoder, let the family learn, keep as a bundle.

The newest window is held out and never looked at here, but for golden rows (features only).  The one before it chooses
what there is to choose; how, and whether it then teaches too, is the family's business.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from propensity.config import Features
from propensity.errors import ConfigError, DataError
from propensity.features import tokens
from propensity.features.csr import IntArray, SparseBatch
from propensity.features.windows import training_cutoffs
from propensity.models.calibrating import calibrate
from propensity.models.data import TrainingTables
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Encoder
from propensity.models.family import FAMILIES, STREAMING, Learned, Task
from propensity.models.feature_map import FeatureMap, count_features
from propensity.models.golden import golden_of
from propensity.models.history import HistoryEncoder
from propensity.models.raw_features import raw_steps
from propensity.models.reference import reference_of
from propensity.models.training import Device, resolve_device
from propensity.models.versions import bundle_folder, data_digest, inputs_digest, settings_digest, version_name
from propensity.models.windows import read_windows
from propensity.pipeline.bundle import save_bundle


@dataclass(frozen=True)
class Trained:
    """A bundle that was just made."""

    version: str
    digest: str
    folder: Path
    epochs: int
    """Passes over the training rows, or boosting rounds."""
    features: int
    categories: int


def train(
    tables: TrainingTables, score_date: dt.date, device: Device, progress: Callable[[str], None], team: Team = ALONE
) -> Trained:
    """Train a region's model for `score_date` and save its bundle; of several processes the first one saves it.

    Raise DataError when there is nothing to learn from, MachineError when CUDA is asked for and absent.
    """
    config = tables.config
    where = resolve_device(device).type
    _, *earlier = training_cutoffs(config, score_date)
    family = import_module(FAMILIES[config.models.kind])
    if team.size > 1 and config.models.kind not in STREAMING:
        raise ConfigError(f"{config.models.kind} trains in one process", where="models.kind", do="leave --processes out")
    encoder = fit_encoder(tables, earlier, history=family.HISTORY)
    windows = read_windows(tables, earlier, encoder, progress, team)
    vocabulary = tokens.load(tables.lake)
    task = Task(config, encoder, vocabulary, windows.examples, where, progress, team, windows.streams)
    learned: Learned = family.learn(task)
    return team.first(lambda: _keep(tables, score_date, task, learned, windows.rows))


def _keep(tables: TrainingTables, score_date: dt.date, task: Task, learned: Learned, rows: int) -> Trained:
    """Calibrate what was learned and save it as a bundle."""
    config, encoder = task.config, task.encoder
    cutoffs = training_cutoffs(config, score_date)
    held_out, *earlier = cutoffs
    predictor = calibrate(learned.predictor, learned.validation, task.windows[0], config.models.calibration)
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
        "data": {"digest": data_digest(partitions), "windows": [d.isoformat() for d in earlier], "rows": rows},
        "reference": reference_of(tables, earlier[0], predictor),
        "training": {"seed": config.models.seed, "device": task.device, "processes": task.team.size, **learned.training},
    }
    folder = bundle_folder(config, tables.region, version)
    golden = golden_of(next(tables.rows(held_out)).features, predictor)
    steps = raw_steps(config, task.vocabulary, encoder.features.ids)
    digest = save_bundle(folder, manifest, steps, predictor, golden)
    return Trained(version, digest, folder, learned.training["epochs"], len(encoder.features), len(predictor.categories))


def fit_encoder(tables: TrainingTables, cutoffs: Sequence[dt.date], history: bool = True) -> Encoder:
    """Return the encoder of the features and categories that are frequent enough at `cutoffs`; without history no pairs."""
    settings = tables.config.models
    label_counts = np.zeros(int(tables.label_tokens.ids[-1]) + 1 if len(tables.label_tokens) else 0, np.int64)

    def seen(day: dt.date) -> Iterator[SparseBatch]:
        for part in tables.rows(day):
            np.add.at(label_counts, part.label_tokens, 1)
            yield part.features

    counts = count_features(batch for day in cutoffs for batch in seen(day))
    categories = np.flatnonzero(label_counts >= settings.min_category_users).astype(np.int32)
    features = np.flatnonzero(counts >= settings.min_feature_users).astype(np.int32)
    if len(categories) == 0 or len(features) == 0:
        raise DataError(
            f"{len(features)} features and {len(categories)} categories are frequent enough to learn from",
            where=f"region {tables.region}",
            do="land more days, or lower models.min_feature_users and models.min_category_users",
        )
    bare = HistoryEncoder(categories, (), (), tables.config.features.history_days)
    return Encoder(FeatureMap(features), _history(tables, categories) if history else bare)


def _history(tables: TrainingTables, categories: IntArray) -> HistoryEncoder:
    """Return the history path's encoder for the channels that the configuration gives to categories."""
    config = tables.config
    names = config.features.channel_names()
    mine = next((f for f in config.features.fields if (f.event_type, f.field) == config.label_key), None)
    own = Features(fields=(mine,), history_days=config.features.history_days).channel_names() if mine else ()
    channels = tuple(name for name in names if name in own)
    return HistoryEncoder(categories, channels, tuple(names.index(name) for name in channels), config.features.history_days)
