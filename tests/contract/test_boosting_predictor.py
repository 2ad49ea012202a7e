"""XGBoost keeps the contract of predictors, for one category and for many; what is missing and what is zero stay apart."""

from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.features.csr import SparseBatch
from propensity.models.boosting import BASE_SCORE, FILE, BoostingPredictor, from_bundle, matrix
from propensity.models.calibrated import uncalibrated
from propensity.models.recipe import train
from propensity.pipeline.bundle import load_bundle
from tests.contract.predictors import PredictorContract, singles
from tests.support.families import family, tables_of
from tests.support.sparse import to_batch
from tests.support.trained import SCORE_DATE


class TestManyCategories(PredictorContract):
    tolerance = 0.0
    single = False

    @pytest.fixture
    def folder(self) -> Path:
        return family("xgboost", self.single).folder

    def test_it_scores_what_xgboost_itself_says(self, predictor: BoostingPredictor, batch: SparseBatch) -> None:
        predictor = uncalibrated(predictor)
        booster = xgb.Booster(model_file=bytearray(predictor.model))
        rows = predictor.features.dense_rows(batch)[0]
        table = xgb.DMatrix(matrix(rows, len(predictor.features)))
        table.set_base_margin(np.tile(predictor.prior, (len(batch), 1)))
        wanted = booster.predict(table, output_margin=True).reshape(len(batch), -1)
        np.testing.assert_allclose(predictor.raw(batch).logits, wanted, rtol=1e-5, atol=1e-5)

    def test_the_bundle_tells_where_margins_start(self, folder: Path) -> None:
        bundle = load_bundle(folder)
        assert bundle.manifest["base_score"] == BASE_SCORE
        assert set(bundle.model_files) == {FILE}
        assert bundle.manifest["shape"]["rounds"] == bundle.manifest["training"]["epochs"]


class TestOneCategory(TestManyCategories):
    single = True

    def test_there_is_one(self, predictor: BoostingPredictor) -> None:
        assert len(predictor.categories) == 1


def splitting() -> BoostingPredictor:
    """Return a booster for which missing, zero and one are three different things."""
    from propensity.models.feature_map import FeatureMap

    values = np.random.default_rng(0).integers(-1, 2, (600, 3))  # -1: missing
    rows = to_batch([{i: float(v) for i, v in enumerate(row) if v >= 0} for row in values.tolist()])
    target = (values[:, 0] == 0) | (values[:, 1] == 1)
    booster = xgb.train(
        {"objective": "binary:logistic", "base_score": BASE_SCORE, "max_depth": 3, "nthread": 1},
        xgb.DMatrix(matrix(rows, 3), label=target),
        15,
    )
    ids, prior = np.arange(3, dtype=np.int32), np.zeros(1, np.float32)
    return BoostingPredictor(FeatureMap(ids), np.array([4], np.int32), prior, bytes(booster.save_raw("ubj")))


SPLITTING = splitting()


def test_a_zero_is_not_missing() -> None:
    zero, missing, one = (float(SPLITTING.predict(to_batch([row]))[0]) for row in ({0: 0.0, 1: 0.0}, {1: 0.0}, {0: 1.0, 1: 0.0}))
    assert zero > 0.9
    assert max(missing, one) < 0.1


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0]), max_size=5), min_size=1, max_size=8))
def test_training_batch_and_online_see_missing_and_zero_alike(some: list[dict[int, float]]) -> None:
    batch = to_batch(some)
    got = SPLITTING.raw(batch).logits
    dense = np.full((len(batch), 3), np.nan, np.float32)
    for at, row in enumerate(some):
        for i, value in row.items():
            if i < 3:
                dense[at, i] = value
    booster = xgb.Booster(model_file=bytearray(SPLITTING.model))
    wanted = booster.predict(xgb.DMatrix(dense, missing=np.nan), output_margin=True)
    as_trained = booster.predict(xgb.DMatrix(matrix(SPLITTING.features.dense_rows(batch)[0], 3)), output_margin=True)
    known = SPLITTING.raw(batch).known
    np.testing.assert_array_equal(got[known, 0], wanted[known])
    np.testing.assert_array_equal(as_trained, wanted)
    np.testing.assert_array_equal(np.stack([SPLITTING.predict_raw(row) for row in singles(batch)]), got)


@pytest.mark.parametrize("data", [b"", b"{}", b"not a booster at all", SPLITTING.model[: len(SPLITTING.model) // 2]])
def test_bytes_that_are_no_booster_are_refused(data: bytes) -> None:
    bundle = load_bundle(family("xgboost", single=True).folder)
    with pytest.raises(BundleError, match="fit together"):
        from_bundle(type(bundle)(**{**vars(bundle), "model_files": {FILE: data}}))


def test_a_booster_of_other_features_and_a_bundle_without_one_are_refused() -> None:
    bundle = load_bundle(family("xgboost", single=True).folder)
    with pytest.raises(BundleError, match="a booster of"):
        from_bundle(type(bundle)(**{**vars(bundle), "model_files": {FILE: SPLITTING.model}}))
    with pytest.raises(BundleError, match="fit together"):
        from_bundle(type(bundle)(**{**vars(bundle), "model_files": {}}))


def test_equal_inputs_give_equal_bytes() -> None:
    first = family("xgboost", single=False)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    train(tables_of("xgboost", single=False), SCORE_DATE, "cpu", lambda _: None)
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
