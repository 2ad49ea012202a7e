"""The trained models that parity is shown for, and each of them as training code computes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb

from benchmarks import redemption
from benchmarks.running import ROOT, make_model, make_tables
from propensity.config import Config, load_config
from propensity.features.csr import IntArray, SparseBatch
from propensity.models import field_embedding_network, network_predictor
from propensity.models.boosting import BoostingPredictor, matrix
from propensity.models.calibrated import CalibratedPredictor
from propensity.models.calibration import Calibration
from propensity.models.field_embedding import FieldEmbeddingPredictor
from propensity.models.propensity import PropensityPredictor
from propensity.models.versions import bundle_folder
from propensity.pipeline.predictor import Raw, SparsePredictor, source_of
from propensity.pipeline.transformer import Tensors

UNDIVIDED = ROOT / "benchmarks" / "undivided"
REGION, SCORE_DATE = "all", "2018-01-01"


@dataclass(frozen=True)
class Trained:
    """A trained version."""

    name: str
    folder: Path
    has_weights: bool
    """Whether its weights are arrays that could be kept in fewer bits."""


def default_bundles(wanted: Sequence[str] | None) -> tuple[Config, list[Trained]]:
    """Return the configuration whose Spark is used, and the wanted models (None: all), trained if they are not there."""
    makers: Mapping[str, Callable[[], Path]] = {
        "propensity network": lambda: _train(UNDIVIDED),
        "field-embedding network": lambda: _train(_redemption(redemption.OURS)),
        "XGBoost": lambda: _train(_redemption(redemption.PEER)),
    }
    return load_config(UNDIVIDED), [
        Trained(name, make(), name != "XGBoost") for name, make in makers.items() if wanted is None or name in wanted
    ]


def _redemption(kind: str) -> Path:
    return redemption.configuration(kind, load_config(redemption.CONF).home / "conf")


def _train(conf: Path) -> Path:
    make_tables(conf, REGION, SCORE_DATE)
    return bundle_folder(load_config(conf), REGION, make_model(conf, REGION, SCORE_DATE)["version"])


def training_code(predictor: SparsePredictor) -> SparsePredictor:
    """Return the same model as training computes it; raise TypeError for a family that is not trained here."""
    if isinstance(predictor, CalibratedPredictor):
        return CalibratedInTraining(training_code(predictor.inner), predictor.calibration)
    if isinstance(predictor, PropensityPredictor):
        return network_predictor.trained(predictor)
    if isinstance(predictor, FieldEmbeddingPredictor):
        return field_embedding_network.trained(predictor)
    if isinstance(predictor, BoostingPredictor):
        return BoostedInTraining(predictor)
    raise TypeError(f"{type(predictor).__name__} has no training code here")


class CalibratedInTraining(SparsePredictor):
    """A model in training and its calibration as it was fitted: numpy, all rows at once."""

    def __init__(self, model: SparsePredictor, calibration: Calibration) -> None:
        self.model, self.calibration = model, calibration
        self.kind = model.kind

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.model.categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the calibrated logits (B, C); a row without a known feature keeps the popularity logits."""
        raw = self.model.raw(many)
        calibrated = raw.logits * self.calibration.slope + self.calibration.offset
        return Raw(np.where(raw.known[:, None], calibrated, raw.logits), raw.source)

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return self.model.tensors()

    def describe(self) -> Mapping[str, object]:
        """Return what the manifest says about the model."""
        return self.model.describe()


class BoostedInTraining(SparsePredictor):
    """XGBoost as it sees rows while it trains: a matrix of its own, with popularity as the base margin."""

    kind = BoostingPredictor.kind

    def __init__(self, predictor: BoostingPredictor) -> None:
        self.predictor = predictor
        self.booster = xgb.Booster()
        self.booster.load_model(bytearray(predictor.model))

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.predictor.categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the popularity logits."""
        rows = self.predictor.features.dense_rows(many)[0]
        prior = np.tile(self.predictor.prior, (len(many), 1))
        table = xgb.DMatrix(matrix(rows, len(self.predictor.features)))
        table.set_base_margin(prior)
        margins = np.asarray(self.booster.predict(table, output_margin=True), np.float32).reshape(prior.shape)
        known = np.diff(rows.offsets) > 0
        return Raw(np.where(known[:, None], margins, prior), source_of(known))

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return self.predictor.tensors()

    def describe(self) -> Mapping[str, object]:
        """Return what the manifest says about the model."""
        return self.predictor.describe()
