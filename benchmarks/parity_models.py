"""The trained models that parity is shown for, and the training code of each family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.running import ROOT, make_model, make_tables
from propensity.config import Config, load_config
from propensity.models.versions import bundle_folder
from propensity.pipeline.predictor import SparsePredictor

UNDIVIDED = ROOT / "benchmarks" / "undivided"
REGION, SCORE_DATE = "all", "2018-01-01"
TRAINING_CODE = {
    "propensity_network": "propensity.models.network_predictor",
    "field_embedding": "propensity.models.field_embedding_network",
    "xgboost": "propensity.models.boosting_training",
}
"""Kind of model -> the module whose ``trained`` gives what training computed with."""


@dataclass(frozen=True)
class Trained:
    """A trained version."""

    name: str
    folder: Path
    has_weights: bool
    """Whether its weights are arrays that could be kept in fewer bits."""


def default_bundles(wanted: Sequence[str] | None) -> tuple[Config, list[Trained]]:
    """Return the configuration whose Spark is used, and the wanted models (None: all), trained if they are not there."""
    makers: dict[str, Callable[[], Path]] = {"propensity network": lambda: _train(UNDIVIDED)}
    return load_config(UNDIVIDED), [
        Trained(name, make(), name != "XGBoost") for name, make in makers.items() if wanted is None or name in wanted
    ]


def _train(conf: Path) -> Path:
    make_tables(conf, REGION, SCORE_DATE)
    return bundle_folder(load_config(conf), REGION, make_model(conf, REGION, SCORE_DATE)["version"])


def training_code(predictor: SparsePredictor) -> SparsePredictor:
    """Return the same model as training computes it."""
    found: SparsePredictor = import_module(TRAINING_CODE[predictor.kind]).trained(predictor)
    return found
