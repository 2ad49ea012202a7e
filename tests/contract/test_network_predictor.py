"""The propensity network keeps the contract of predictors, and scores what training computed."""

from pathlib import Path

import numpy as np
import pytest

from propensity.evaluation.rungs import without_history
from propensity.features.csr import SparseBatch
from propensity.models.calibrated import CalibratedPredictor, uncalibrated
from propensity.models.loading import load_pipeline
from propensity.models.network_predictor import trained
from propensity.models.propensity import PropensityPredictor
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import SparsePredictor, sigmoid
from tests.contract.predictors import PredictorContract, empty
from tests.support.trained import shared


class TestNetworkPredictor(PredictorContract):
    tolerance = 0.0

    @pytest.fixture
    def folder(self) -> Path:
        return shared()[1].folder

    def test_the_prior_is_the_popularity_among_the_training_rows(self, predictor: PropensityPredictor, folder: Path) -> None:
        prior = load_bundle(folder).tensors["prior"]
        np.testing.assert_array_equal(predictor.predict_batch(empty(1))[0], sigmoid(prior))
        assert 0.001 < sigmoid(prior).min() < sigmoid(prior).max() < 0.9

    def test_it_scores_what_training_computed(self, predictor: PropensityPredictor, batch: SparseBatch) -> None:
        wanted = trained(uncalibrated(predictor)).raw(batch)
        got = uncalibrated(predictor).raw(batch)
        np.testing.assert_allclose(got.logits, wanted.logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(got.source, wanted.source)

    def test_it_is_calibrated_and_says_what_it_promises(
        self, predictor: SparsePredictor, batch: SparseBatch, folder: Path
    ) -> None:
        assert isinstance(predictor, CalibratedPredictor)
        raw, inner = predictor.raw(batch), predictor.inner.raw(batch)
        np.testing.assert_array_equal(raw.logits, predictor.calibration.apply(inner.logits))
        assert (raw.logits != inner.logits).any()
        promised = load_pipeline(folder).thresholds
        assert promised is not None
        assert promised.precisions == (0.3, 0.5, 0.7)
        np.testing.assert_array_equal(promised.values, predictor.thresholds.values)

    def test_only_own_history_in_a_category_makes_the_whole_model(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        assert predictor.score(batch, 1).sources() == ["model"] * len(batch)
        profile = without_history(batch, predictor)
        known = uncalibrated(predictor).encoder.features.dense_rows(profile)[0]
        sources = predictor.score(profile, 1).sources()
        assert sources == ["profile" if length else "prior" for length in np.diff(known.offsets)]
        assert "profile" in sources
