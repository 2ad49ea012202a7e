"""The champion's model in a worker process: loaded once, however many buckets it scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.config import Config
from propensity.config.scoring import Precision
from propensity.errors import BundleError

if TYPE_CHECKING:
    from propensity.pipeline.predictor import SparsePredictor


@dataclass(frozen=True)
class Champion:
    """The one model version that a run scores with."""

    version: str
    digest: str
    folder: Path


_models: dict[tuple[str, Precision], "SparsePredictor"] = {}
"""Of one champion."""


def model_of(champion: Champion, config: Config, precision: Precision) -> "SparsePredictor":
    """Return the champion's model, its weights in `precision`; raise BundleError when it is not there or not intact."""
    exact: Precision = "float32"
    if (champion.digest, exact) not in _models:
        _models.clear()
        _models[champion.digest, exact] = _load(champion, config)
    if (champion.digest, precision) not in _models:
        from propensity.models.reduced import ReducedPredictor  # torch loads only where it is wanted

        _models[champion.digest, precision] = ReducedPredictor(_models[champion.digest, exact], precision)
    return _models[champion.digest, precision]


def _load(champion: Champion, config: Config) -> "SparsePredictor":
    # Compiled code is a worker's business, not the driver's.
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    if not champion.folder.is_dir():
        raise BundleError("no such bundle", where=str(champion.folder), do="train and promote a model for this region")
    pipeline = load_pipeline(champion.folder, champion.digest)
    check_channels(config, pipeline.vectoriser, str(champion.folder))
    return pipeline.predictor
