"""Scoring in fewer bits: near the exact predictor, whoever the customers are, and measured as it deviates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import rows, to_batch
from tests.support.trained import shared

from propensity.errors import BundleError
from propensity.features.csr import concat
from propensity.models.calibrated import uncalibrated
from propensity.models.deviation import deviation
from propensity.models.loading import load_pipeline
from propensity.models.reduced import ReducedPredictor
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid

BOUNDS = {"float16": 2e-3, "bfloat16": 2e-2}


def _exact() -> SparsePredictor:
    return load_pipeline(shared()[1].folder).predictor


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("calibrated", [True, False])
@given(some=rows(4000, least=1))
def test_it_says_what_the_exact_one_says(precision: str, calibrated: bool, some: list[dict[int, float]]) -> None:
    exact = _exact() if calibrated else uncalibrated(_exact())
    batch = concat([to_batch(some), load_bundle(shared()[1].folder).golden.batch])
    wanted, got = exact.raw(batch), ReducedPredictor(exact, precision).raw(batch)
    np.testing.assert_array_equal(got.source, wanted.source)
    assert np.abs(sigmoid(got.logits) - sigmoid(wanted.logits)).max() <= BOUNDS[precision]


def test_who_is_unknown_gets_the_very_prior() -> None:
    exact = _exact()
    nobody = to_batch([{}])
    np.testing.assert_array_equal(ReducedPredictor(exact, "bfloat16").raw(nobody).logits, exact.raw(nobody).logits)


def test_another_family_is_refused_by_name() -> None:
    exact = _exact()
    exact.kind = "boosted trees"
    other = type("Other", (SparsePredictor,), dict.fromkeys(SparsePredictor.__abstractmethods__))()
    other.kind = "boosted trees"
    with pytest.raises(BundleError, match="boosted trees cannot be scored in bfloat16"):
        ReducedPredictor(other, "bfloat16")


@given(st.integers(1, 20), st.floats(0.01, 0.2))
def test_a_planted_deviation_is_found(k: int, amount: float) -> None:
    wanted = _exact().raw(load_bundle(shared()[1].folder).golden.batch).logits
    probabilities = np.clip(sigmoid(wanted).astype(np.float64), 1e-6, 0.5)
    probabilities[:, 0] += amount
    found = deviation(wanted, np.log(probabilities / (1 - probabilities)).astype(np.float32), k)
    assert found.largest >= amount * 0.5
    same = deviation(wanted, wanted, k)
    assert (same.largest, same.p99, same.same_top) == (0.0, 0.0, 1.0)


def test_categories_that_only_one_names_are_counted() -> None:
    one, other = np.array([[3, 2, 1, 0]], np.float32), np.array([[3, 0, 1, 2]], np.float32)
    assert deviation(one, other, 2).same_top == 0.5
    assert deviation(one, other, 1).same_top == 1.0
