"""The champion's model in a worker process: loaded once, however many buckets it scores."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
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
_loading = Lock()
"""Where no Spark is started, several threads ask for the model at once, and it is loaded once."""


def model_of(champion: Champion, config: Config, precision: Precision) -> "SparsePredictor":
    """Return the champion's model, its weights in `precision`; raise BundleError when it is not there or not intact."""
    exact: Precision = "float32"
    with _loading:
        if (champion.digest, exact) not in _models:
            _models.clear()
            _models[champion.digest, exact] = _load(champion, config)
        if (champion.digest, precision) not in _models:
            _models[champion.digest, precision] = _reduced(_models[champion.digest, exact], precision)
        return _models[champion.digest, precision]


def _reduced(exact: "SparsePredictor", precision: Precision) -> "SparsePredictor":
    import torch  # only where it is wanted

    from propensity.models.reduced import ReducedPredictor

    torch.set_num_threads(1)  # one thread a task, as a worker of Spark's has by its environment: the same sums, the same bits
    return ReducedPredictor(exact, precision)


def _load(champion: Champion, config: Config) -> "SparsePredictor":
    # Compiled code is a worker's business, not the driver's.
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    if not champion.folder.is_dir():
        raise BundleError("no such bundle", where=str(champion.folder), do="train and promote a model for this region")
    pipeline = load_pipeline(champion.folder, champion.digest)
    check_channels(config, pipeline.vectoriser, str(champion.folder))
    return pipeline.predictor
