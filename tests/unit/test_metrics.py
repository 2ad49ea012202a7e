"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from propensity.models.metrics import category_auc, curve, judge, recall_at_precision, top_precision

# Three categories, four customers.  First: ranked perfectly.  Second: one of four pairs of yes and no is the wrong way round.
# Third: nobody acted.
TARGETS = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
SCORES = np.array([[0.9, 0.8, 0.1], [0.7, 0.5, 0.1], [0.2, 0.4, 0.1], [0.1, 0.3, 0.1]], np.float32)


def test_area_under_the_curve_of_each_category() -> None:
    np.testing.assert_allclose(category_auc(TARGETS, SCORES, 1), [1.0, 0.75, np.nan])
    assert np.isnan(category_auc(TARGETS, SCORES, 3)).all()


def test_the_figures_by_hand() -> None:
    judged = judge(TARGETS, SCORES, min_positives=2, expected_precision=0.9)
    assert judged.macro_auc == pytest.approx((1.0 + 0.75) / 2)
    assert (judged.categories, judged.positives, judged.customers) == (2, 4, 4)
    # All pairs by score: yes .9, yes .8, yes .7, no .5, yes .4, then six of no: precision 1, 1, 1 and 4/5 at the four yes.
    assert judged.micro_ap == pytest.approx((1 + 1 + 1 + 4 / 5) / 4)
    # Of the 4 * 8 pairs of yes and no one is the wrong way round: no .5 above yes .4.
    assert judged.micro_auc == pytest.approx(31 / 32)
    assert judged.recall == pytest.approx(3 / 4)
    assert judged.recall_at_half == 1.0


def test_recall_is_zero_when_the_precision_is_never_reached() -> None:
    targets, scores = np.array([0, 1, 0, 0], np.float32), np.array([0.9, 0.5, 0.1, 0.1], np.float32)
    assert recall_at_precision(targets, scores, 0.6) == 0.0
    assert recall_at_precision(targets, scores, 0.5) == 1.0


def test_a_window_without_events_tells_nothing() -> None:
    judged = judge(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), 1)
    assert all(np.isnan(v) for v in (judged.macro_auc, judged.micro_auc, judged.micro_ap, judged.recall))


def test_the_curve_runs_from_everything_to_the_highest_score() -> None:
    points = curve(TARGETS, SCORES)
    assert points[0] == (1.0, pytest.approx(4 / 12, abs=1e-5))
    assert points[-1] == (0.25, 1.0)


def test_only_pairs_of_the_mask_count() -> None:
    mask = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0]], bool)
    judged = judge(TARGETS, SCORES, min_positives=1, mask=mask)
    # First category: .9 and .7 above .2.  Second: yes .4 between no .5 and no .3.
    assert judged.macro_auc == pytest.approx((1.0 + 0.5) / 2)
    assert (judged.categories, judged.positives, judged.customers) == (2, 3, 4)
    assert judged.micro_ap == pytest.approx((1 + 1 + 3 / 4) / 3)
    nothing = judge(TARGETS, SCORES, min_positives=1, mask=np.zeros((4, 3), bool))
    assert np.isnan(nothing.precision_at_10)
    assert (nothing.customers, nothing.positives) == (0, 0)


def test_recall_at_precision_0_7() -> None:
    targets, scores = np.array([[1, 0, 1, 1, 0, 0]], np.float32), np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]], np.float32)
    assert judge(targets, scores, 1).recall_at_70 == 1.0  # 3 of 4
    assert judge(targets[:, :3], scores[:, :3], 1).recall_at_70 == 0.5  # 2 of 3 is below 0.7; the first alone is not


def test_the_ten_likeliest_categories_of_each_customer() -> None:
    scores = np.tile(np.arange(12, 0, -1, dtype=np.float32), (2, 1))
    targets = np.zeros((2, 12), np.float32)
    targets[0, [0, 9, 10]] = 1  # the eleventh is not among the ten
    np.testing.assert_allclose(top_precision(targets, scores), [0.2, 0.0])
    scores[0, 8:] = 1.0  # four tie for two places
    np.testing.assert_allclose(top_precision(targets, scores)[0], (1 + 2 * 2 / 4) / 10)
    few = np.zeros((2, 12), bool)
    few[0, [0, 5]] = True  # two categories count: the share is of two; the other customer has none
    np.testing.assert_allclose(top_precision(targets, scores, few), [0.5, np.nan])
