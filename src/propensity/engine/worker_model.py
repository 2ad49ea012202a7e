"""The champion's model in a worker process: loaded once, however many buckets it scores."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from propensity.config import Config
from propensity.config.scoring import Device, Precision
from propensity.errors import BundleError

if TYPE_CHECKING:
    from propensity.pipeline.predictor import SparsePredictor

ROUNDED = "rounded"
"""Folder of the home for the weights that workers of a host map where the precision is a reduced one, by region."""


@dataclass(frozen=True)
class Champion:
    """The one model version that a run scores with."""

    version: str
    digest: str
    folder: Path


_models: dict[tuple[str, Precision, Device], "SparsePredictor"] = {}
"""Of one champion."""
_loading = Lock()
"""Where no Spark is started, several threads ask for the model at once, and it is loaded once."""


def model_of(champion: Champion, config: Config, precision: Precision, device: Device | None = None) -> "SparsePredictor":
    """Return the champion's model, its weights in `precision` on `device` (None: the one that is set).

    Raise BundleError when it is not there or not intact, MachineError without such a device or room for reduced weights.
    """
    where = device or config.models.scoring.device
    exact: tuple[str, Precision, Device] = (champion.digest, "float32", "cpu")
    with _loading:
        if exact not in _models:
            _models.clear()
            _models[exact] = _load(champion, config)
        if (champion.digest, precision, where) not in _models:
            _models[champion.digest, precision, where] = _reduced(_models[exact], champion, config, precision, where)
        return _models[champion.digest, precision, where]


def _reduced(
    exact: "SparsePredictor", champion: Champion, config: Config, precision: Precision, device: Device
) -> "SparsePredictor":
    import torch  # only where it is wanted

    from propensity.models.reduced import ReducedPredictor
    from propensity.models.rounded import Place

    torch.set_num_threads(1)  # one thread a task, as a worker of Spark's has by its environment: the same sums, the same bits
    region = champion.folder.parent.name
    return ReducedPredictor(exact, precision, device, Place(config.home / ROUNDED / region, champion.digest))


def _load(champion: Champion, config: Config) -> "SparsePredictor":
    # Compiled code is a worker's business, not the driver's.
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    if not champion.folder.is_dir():
        raise BundleError("no such bundle", where=str(champion.folder), do="train and promote a model for this region")
    pipeline = load_pipeline(champion.folder, champion.digest)
    check_channels(config, pipeline.vectoriser, str(champion.folder))
    return pipeline.predictor
