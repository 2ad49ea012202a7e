"""The propensity network keeps the contract of predictors."""

from pathlib import Path

import numpy as np
import pytest

from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import sigmoid
from tests.contract.predictors import PredictorContract, empty
from tests.support.trained import shared


class TestNetworkPredictor(PredictorContract):
    @pytest.fixture
    def folder(self) -> Path:
        return shared()[1].folder

    def test_the_prior_is_the_popularity_among_the_training_rows(self, folder: Path) -> None:
        prior = load_bundle(folder).tensors["prior"]
        np.testing.assert_array_equal(load_pipeline(folder).predict_batch(empty(1))[0], sigmoid(prior))
        assert 0.001 < sigmoid(prior).min() < sigmoid(prior).max() < 0.9
