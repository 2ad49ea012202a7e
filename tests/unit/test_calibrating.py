"""How the recipe calibrates: by customers whom the model knows, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import Calibration
from propensity.features.csr import SparseBatch
from propensity.features.windows import training_cutoffs
from propensity.models.calibrated import CalibratedPredictor, uncalibrated
from propensity.models.calibrating import calibrate
from propensity.models.calibration import Calibration as Fitted
from propensity.models.data import Examples, TrainingTables
from propensity.models.encoding import Encoded
from propensity.models.loading import load_pipeline
from propensity.models.propensity import PropensityPredictor
from propensity.models.windows import read_examples
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.thresholds import Thresholds


@pytest.fixture(scope="module")
def model() -> SparsePredictor:
    return uncalibrated(load_pipeline(shared()[1].folder).predictor)


@pytest.fixture(scope="module")
def window(model: PropensityPredictor) -> Examples:
    lake = shared()[0]
    return read_examples(TrainingTables(lake, REGION), training_cutoffs(lake.config, SCORE_DATE)[1], model.encoder)


def logits_for(window: Examples) -> np.ndarray:
    return np.random.default_rng(0).normal(-2, 1, window.targets().shape).astype(np.float32)


def test_none_leaves_the_model_as_it_is(model: SparsePredictor, window: Examples) -> None:
    assert calibrate(model, logits_for(window), window, Calibration(method="none")) is model
    assert model.thresholds is None


def test_whoever_gets_the_prior_takes_no_part(model: SparsePredictor, window: Examples) -> None:
    """Customers without a known feature may have been said anything: the calibration is that of the others."""
    logits = logits_for(window)
    found = calibrate(model, logits, window, Calibration())
    sparse, pairs = window.encoded.sparse, window.encoded.pairs
    ends = [0, 0, 0, 0]
    blank = Encoded(
        SparseBatch(sparse.indices, sparse.values, np.concatenate([ends, sparse.offsets[1:]])),
        replace(pairs, offsets=np.concatenate([ends, pairs.offsets[1:]])),
        0,
    )
    offsets = np.concatenate([ends, window.label_offsets[1:]])
    more = calibrate(model, np.concatenate([logits[:3] + 50, logits]), replace(window, encoded=blank, label_offsets=offsets),
                     Calibration())  # fmt: skip
    assert isinstance(found, CalibratedPredictor)
    assert isinstance(more, CalibratedPredictor)
    np.testing.assert_array_equal(found.calibration.slope, more.calibration.slope)
    np.testing.assert_array_equal(found.thresholds.values, more.thresholds.values)
    assert found.describe()["calibration"] == {"precisions": [0.3, 0.5, 0.7], "confidence": 0.95}


def test_parts_of_other_categories_are_refused(model: SparsePredictor) -> None:
    width = len(model.categories)
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    promised = Thresholds((0.5,), 0.9, np.full((1, width), 0.5, np.float32))
    assert CalibratedPredictor(model, Fitted(ones, zeros), promised).thresholds is promised
    for slope, offset in ((ones[1:], zeros), (ones, zeros[1:]), (ones * 0, zeros), (ones.astype(np.float64), zeros)):
        with pytest.raises(ValueError, match=r"slopes|shape or type"):
            CalibratedPredictor(model, Fitted(slope, offset), promised)
    for values in (promised.values[:, 1:], promised.values * 3, promised.values * np.nan):
        with pytest.raises(ValueError, match=r"thresholds"):
            CalibratedPredictor(model, Fitted(ones, zeros), Thresholds((0.5,), 0.9, values))


def test_nothing_promised_survives_saving(model: SparsePredictor) -> None:
    width = len(model.categories)
    values = np.full((2, width), np.inf, np.float32)
    fitted = Fitted(np.ones(width, np.float32), np.zeros(width, np.float32))
    kept = CalibratedPredictor(model, fitted, Thresholds((0.3, 0.5), 0.9, values)).tensors()["thresholds"]
    assert (kept == 2).all()
    assert kept.dtype == np.float32
