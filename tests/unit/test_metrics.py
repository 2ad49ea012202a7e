"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from propensity.models.metrics import category_auc, curve, judge, recall_at_precision

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
