"""Calibration: probabilities hold, order stays, rare categories follow the region."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.models.calibration import Calibration, calibration_by_size, calibration_error, fit_calibration, reliability
from propensity.models.penalised import Strength, newton
from propensity.pipeline.top_k import sigmoid

FREE = Strength(1e-3, 1e-3)


def world(customers: int, base: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets (N, C) and the true logits (N, C) they were drawn by."""
    draw = np.random.default_rng(seed)
    true = (base + draw.normal(0, 1.5, (customers, len(base)))).astype(np.float32)
    return (draw.random(true.shape) < sigmoid(true)).astype(np.float32), true


def spoilt(true: np.ndarray, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the logits that a slope and an offset make the true ones."""
    return ((true - offset) / slope).astype(np.float32)


def test_it_finds_the_slope_and_offset_that_logits_were_spoilt_by() -> None:
    slope, offset = np.float32([0.6, 0.8, 1.2]), np.float32([0.5, -0.4, 0.0])
    targets, true = world(40_000, np.float32([-1, 0, -2]))
    found = fit_calibration(targets, spoilt(true, slope, offset), FREE, 1.0)
    np.testing.assert_allclose(found.slope, slope, atol=0.04)
    np.testing.assert_allclose(found.offset, offset, atol=0.06)


def test_it_makes_probabilities_hold() -> None:
    base = np.linspace(-4, 0, 20).astype(np.float32)
    (targets, true), (later, truth) = world(4000, base), world(4000, base, seed=1)
    slope, offset = np.float32(0.7), np.float32(-0.5)
    found = fit_calibration(targets, spoilt(true, slope, offset))
    raw = spoilt(truth, slope, offset)
    before, after = calibration_error(later, sigmoid(raw)), calibration_error(later, sigmoid(found.apply(raw)))
    assert after < 0.01 < 0.05 < before


def test_a_rare_category_follows_the_others_and_a_large_one_its_own_data() -> None:
    targets, true = world(3000, np.float32([0, 0, 0, 0, -1, -7.5]))
    wrong = np.float32([0, 0, 0, 0, 1, 1])  # the last two claim too little
    found = fit_calibration(targets, true - wrong, persistence=1.0)
    alone = newton(targets[:, 4:], true[:, 4:] - np.float32(1), FREE)[1]
    centre = found.slope[4:] * -1 + found.offset[4:] + 1  # what is added at a logit of -1
    assert abs(centre[0] - 1) < 0.2
    assert abs(centre[1]) < 0.5 * abs(alone[1]), "the rare one hardly departs from the region"


def test_a_category_without_an_event_stays_finite() -> None:
    targets, true = world(500, np.float32([-1, -1, -1]))
    targets[:, 1], targets[:, 2] = 0, 1
    for strength in (FREE, Strength(300, 10)):
        found = fit_calibration(targets, true, strength, 1.0)
        assert np.isfinite(found.slope).all()
        assert np.isfinite(found.offset).all()


def test_an_order_that_is_wrong_is_not_turned_round() -> None:
    targets, true = world(5000, np.float32([0, 0]))
    found = fit_calibration(targets, np.stack([true[:, 0], -true[:, 1]], 1), FREE, 1.0)
    assert (found.slope > 0).all()


def test_nothing_changes_without_customers_or_without_freedom() -> None:
    nobody = np.zeros((0, 3), np.float32)
    assert fit_calibration(nobody, nobody).slope.tolist() == [1, 1, 1]
    targets, true = world(300, np.float32([-1, -2]))
    kept = fit_calibration(targets, true, persistence=0.0)
    assert len(set(kept.slope.tolist())) == len(set(kept.offset.tolist())) == 1, "all of them are the pooled one"


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong"):
        fit_calibration(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**31 - 1))
def test_a_row_alone_has_the_bits_it_has_among_others(rows: int, categories: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 4, (rows, categories)).astype(np.float32)
    found = Calibration(draw.uniform(0.1, 2, categories).astype(np.float32), draw.normal(0, 1, categories).astype(np.float32))
    whole = found.apply(logits)
    alone = np.concatenate([found.apply(logits[i : i + 1]) for i in range(rows)])
    assert whole.tobytes() == alone.tobytes()
    ordered = np.take_along_axis(whole, np.argsort(logits, axis=0), axis=0)
    assert (np.diff(ordered, axis=0) >= 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 5), st.integers(1, 30), st.integers(0, 2**31 - 1))
def test_bins_hold_every_pair_once(customers: int, categories: int, bins: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    said = draw.random((customers, categories)).astype(np.float32)
    acted = (draw.random(said.shape) < said).astype(np.float32)
    told = reliability(acted, said, bins)
    assert sum(count for *_, count in told) == said.size
    assert max(count for *_, count in told) - min(count for *_, count in told) <= 1
    assert np.isclose(sum(seen * count for _, seen, count in told), acted.sum())
    assert all(low <= high + 1e-9 for (low, *_), (high, *_) in pairwise(told))
    assert sum(part["positives"] for part in calibration_by_size(acted, said)) == acted.sum()
    assert calibration_error(acted, acted) == 0


def test_nothing_to_tell_is_no_number() -> None:
    assert np.isnan(calibration_error(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)))
