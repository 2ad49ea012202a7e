"""The weighted, paired bootstrap: against the plain figures, against repeated rows, and its coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from propensity.evaluation.bootstrap import MEASURES, interval, multiplicities, p_value, resampled, resampled_areas
from propensity.models.metrics import category_auc, judge

N, C = 23, 12
# Few different scores, so that most pairs tie; targets with empty and full columns now and then.
TARGETS = arrays.arrays(np.float32, (N, C), elements=st.sampled_from([0.0, 0.0, 1.0]))
SCORES = arrays.arrays(np.float32, (N, C), elements=st.sampled_from([-1.0, -0.5, 0.0, 0.25, 3.0]))
MASKS = st.none() | arrays.arrays(np.bool_, (N, C))
WEIGHTS = arrays.arrays(np.int32, (3, N), elements=st.integers(0, 3))


def figures(values: dict[str, np.ndarray], resample: int) -> list[float]:
    return [float(values[measure][resample]) for measure in MEASURES]


@settings(max_examples=60, deadline=None)
@given(TARGETS, SCORES, MASKS, st.integers(0, 8))
def test_weights_of_one_give_the_plain_figures(
    targets: np.ndarray, scores: np.ndarray, mask: np.ndarray | None, least: int
) -> None:
    ones = np.ones((1, N), np.int32)
    judged = judge(targets, scores, least, mask=mask).as_dict()
    np.testing.assert_allclose(
        figures(resampled(targets, scores, ones, least, mask), 0), [judged[m] for m in MEASURES], atol=1e-12
    )
    areas = resampled_areas(targets, scores, ones, least, mask)[0]
    np.testing.assert_allclose(areas, category_auc(targets, scores, least, mask), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(TARGETS, SCORES, MASKS, WEIGHTS)
def test_a_weight_is_a_row_repeated(
    targets: np.ndarray, scores: np.ndarray, mask: np.ndarray | None, weights: np.ndarray
) -> None:
    found = resampled(targets, scores, weights, 2, mask)
    for resample, weight in enumerate(weights):
        rows = np.repeat(np.arange(N), weight)
        if len(rows):
            judged = judge(targets[rows], scores[rows], 2, mask=None if mask is None else mask[rows]).as_dict()
            np.testing.assert_allclose(figures(found, resample), [judged[m] for m in MEASURES], atol=1e-12)


def test_nobody_drawn_tells_nothing() -> None:
    found = resampled(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), np.zeros((1, 4), np.int32), 1)
    assert all(math.isnan(value) for value in figures(found, 0))


def test_every_resample_draws_as_many_customers_as_there_are() -> None:
    weights = multiplicities(40, 200, seed=3)
    assert (weights.sum(1) == 40).all()
    assert weights.dtype == np.int32
    assert (multiplicities(40, 200, seed=3) == weights).all()
    assert (multiplicities(40, 200, seed=4) != weights).any()
    assert weights.var() == pytest.approx(1.0, abs=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # The population's own figure is that of many customers; each draw of 150 of them has its interval.
    draws = np.random.default_rng(0)
    targets = (draws.random((20_000, 5)) < 0.3).astype(np.float32)
    scores = (targets + draws.normal(0, 1.2, targets.shape)).astype(np.float32)
    truth = judge(targets, scores, 1)
    covered = {"macro_auc": 0, "micro_ap": 0}
    for trial in range(100):
        rows = draws.choice(len(targets), 150)
        found = resampled(targets[rows], scores[rows], multiplicities(150, 200, trial), 1)
        for measure in covered:
            low, high = interval(found[measure])
            covered[measure] += low <= getattr(truth, measure) <= high
    assert all(88 <= count <= 99 for count in covered.values()), covered


def test_the_same_draws_for_both_models_tell_a_small_difference() -> None:
    draws = np.random.default_rng(1)
    targets = (draws.random((400, 30)) < 0.2).astype(np.float32)
    worse = (targets + draws.normal(0, 1.5, targets.shape)).astype(np.float32)
    better = worse + 0.1 * targets
    weights = multiplicities(400, 300, 0)
    one, other = (resampled(targets, scores, weights, 1)["micro_ap"] for scores in (better, worse))
    assert p_value(one - other) == 1 / 301
    assert interval(one)[0] < interval(other)[1]  # apart, they could be the same
    assert p_value(other - one) == 1.0


def test_a_resample_that_tells_nothing_counts_against() -> None:
    assert p_value(np.array([1.0, np.nan, 1.0])) == 2 / 4
    assert all(math.isnan(edge) for edge in interval(np.array([np.nan])))
    assert interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
