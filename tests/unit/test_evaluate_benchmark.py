"""The backtest's parts with logic: origins, draws, bars, captured redemptions."""

import datetime as dt
import re

import numpy as np
import pytest
from benchmarks import campaigns
from benchmarks.evaluate_figures import ALL, bars, best_other, summary, weights_of
from benchmarks.evaluate_origins import LAST, OURS, PLAIN, POPULARITY, Origin, origins, windows_needed
from benchmarks.evaluate_picture import picture
from benchmarks.peers_boosting import case_control, correlation
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from propensity.evaluation.bootstrap import MEASURES


def test_held_out_windows_lie_side_by_side_and_end_on_the_score_date() -> None:
    found = origins(4)
    assert [o.cutoff for o in found] == [dt.date(2017, 12, 18), dt.date(2017, 12, 4), dt.date(2017, 11, 20), dt.date(2017, 11, 6)]
    assert [o.score_date for o in found] == [LAST, *(o.cutoff for o in found[:-1])]


def test_tables_reach_back_to_the_oldest_window_of_any_origin() -> None:
    assert windows_needed(origins(1)) == 13
    assert windows_needed([*origins(4), Origin(LAST - dt.timedelta(days=70), 7)]) == 16


def test_a_household_is_drawn_as_often_in_every_window() -> None:
    first, second = weights_of([np.array([1, 5, 9]), np.array([5, 9, 12])], 20, 0)
    np.testing.assert_array_equal(first[:, 1:], second[:, :2])
    np.testing.assert_array_equal(first[0], 1)
    assert first[1:].std() > 0.3


def drawn(ours: float, other: float) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    spread = np.linspace(-0.001, 0.001, 11)
    return {ALL: {OURS: dict.fromkeys(MEASURES, ours + spread), "b": dict.fromkeys(MEASURES, other + spread * 2),
                  "c": dict.fromkeys(MEASURES, other - 0.1 + spread)}}  # fmt: skip


@pytest.mark.parametrize(("ours", "met"), [(0.6, True), (0.5005, False), (0.4, False)])
def test_bars_ask_for_an_interval_above_zero(ours: float, met: bool) -> None:
    told = summary(drawn(ours, 0.5))
    assert best_other(drawn(ours, 0.5), ALL, "micro_ap") == "b"
    said = bars(told, 0.005, 0.97, 0.94)
    assert [ok for text, ok in said if text.startswith("macro_auc")] == [met]
    assert said[0][1] is (ours >= 0.5)


def test_bars_of_calibration_and_promises() -> None:
    told = summary(drawn(0.6, 0.5))
    assert [ok for _, ok in bars(told, 0.011, 0.94, 0.9)[-2:]] == [False, False]
    assert [ok for _, ok in bars(told, 0.01, 0.95, 0.9)[-2:]] == [True, True]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.sampled_from([0.1, 0.2, 0.5]))
def test_what_is_captured_adds_up_to_what_is_picked(scores: list[int], share: float) -> None:
    values = np.array(scores, np.float64)
    everybody = np.ones(len(values), bool)
    assert campaigns.captured(everybody, values, share).sum() == pytest.approx(share * len(values))
    chances = campaigns.captured(everybody, values, share)
    assert (np.diff(chances[np.argsort(-values, kind="stable")]) <= 1e-12).all()


def test_a_ranking_that_says_nothing_captures_what_chance_does() -> None:
    redeemed = np.array([True, False, False, True, False, True, False, False, False, False])
    assert campaigns.captured(redeemed, np.zeros(10), 0.2).sum() == pytest.approx(0.6)
    assert campaigns.captured(redeemed, redeemed.astype(float), 0.2).sum() == pytest.approx(2.0)


def test_correlation_of_sparse_columns_is_that_of_the_dense_ones() -> None:
    draw = np.random.default_rng(0)
    dense = draw.random((40, 5)) * (draw.random((40, 5)) < 0.4)
    dense[:, 4] = 0
    targets = (draw.random((40, 3)) < 0.3).astype(np.float32)
    found = correlation(csr_matrix(dense), targets)
    wanted = np.corrcoef(dense[:, :4].T, targets.T)[:4, 4:]
    np.testing.assert_allclose(found[:4], wanted, atol=1e-6)
    assert not found[4].any()


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 80))
def test_rows_left_out_are_weighed_for(acted: list[bool], most: int) -> None:
    target = np.array(acted, np.float32)
    rows, weights = case_control(target, most, 0)
    assert target[rows].sum() == target.sum(), "every positive stays"
    assert len(np.unique(rows)) == len(rows) <= target.sum() + most
    assert weights[target[rows] > 0].sum() == target.sum()
    assert weights[target[rows] == 0].sum() == pytest.approx((target == 0).sum(), rel=1e-5)


def test_the_picture_holds_every_model_inside_its_panel() -> None:
    figures = {
        name: {m: [f, f - 0.01, f + 0.01] for m in MEASURES} for name, f in ((OURS, 0.84), (PLAIN, 0.7), (POPULARITY, 0.5))
    }
    drawn = picture({"mean": {ALL: {"figures": figures}}, "windows": {"2017-12-18": {}}, "resamples": 9})
    found = re.search(r'viewBox="0 0 (\d+) ', drawn)
    assert found
    circles = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    assert len(circles) == 4
    assert all(0 < x < float(found[1]) for x in circles)
    assert circles[0] < circles[1] < circles[2] < circles[3], "the better further right, in both panels"
    assert "macro AUC 0.840" in drawn
    assert "0.500" not in drawn
