"""What an evaluation is put together from: slices, gain, intervals, categories, changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score
from tests.support.evaluated import evaluated

from propensity.config import MAX_CHANNELS, Promotion
from propensity.evaluation.bootstrap import MEASURES, multiplicities
from propensity.evaluation.by_category import at_thresholds, average_precisions, by_category, promises
from propensity.evaluation.changes import CHAMPION, changes_against, differing
from propensity.evaluation.comparison import compare
from propensity.evaluation.curves import SHARES, gain, lift
from propensity.evaluation.records import DECAYED, OURS, POPULARITY
from propensity.evaluation.slices import EXPLORE, REPEAT, SIZES, acted_before, size_of, slices_of
from propensity.features.csr import SparseBatch
from propensity.models.feature_map import IdMap
from propensity.models.metrics import judge
from propensity.pipeline.thresholds import Thresholds

SETTINGS = Promotion(min_positives=2, resamples=400)
NAMES = ["a", "b", "c"]


def window(seed: int = 0, customers: int = 60, categories: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and scores that know something of them."""
    draw = np.random.default_rng(seed)
    targets = (draw.random((customers, categories)) < 0.3).astype(np.float32)
    return targets, (targets + draw.normal(0, 1, targets.shape)).astype(np.float32)


scored = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float32, (n, 3), elements=st.sampled_from([0.0, 1.0])),
        hnp.arrays(np.float32, (n, 3), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75])),
    )
)


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, MAX_CHANNELS - 1)), unique=True), max_size=5))
def test_a_pair_was_acted_on_before_when_the_row_has_any_feature_of_it(rows: list[list[tuple[int, int]]]) -> None:
    ids = [sorted(token * MAX_CHANNELS + slot for token, slot in row) for row in rows]
    offsets = np.cumsum([0, *map(len, ids)]).astype(np.int64)
    batch = SparseBatch(np.array([i for row in ids for i in row], np.int32), np.ones(offsets[-1], np.float32), offsets)
    categories = np.array([2, 3, 7], np.int32)
    before = acted_before(batch, IdMap(categories))
    wanted = [[any(token == category for token, _ in row) for category in categories] for row in rows]
    assert before.tolist() == wanted


@given(hnp.arrays(np.float32, st.integers(3, 20), elements=st.floats(0, 1, width=32)))
def test_sizes_are_thirds_and_the_larger_share_is_in_the_larger_third(share: np.ndarray) -> None:
    sizes = size_of(share)
    counts = np.bincount(sizes, minlength=len(SIZES))
    assert counts.max() - counts.min() <= 1
    for larger, smaller in ((0, 1), (1, 2)):
        assert share[sizes == larger].min() >= share[sizes == smaller].max()


def test_the_slices_cover_every_pair_once_by_history_and_once_by_size() -> None:
    before = np.random.default_rng(0).random((7, 9)) < 0.4
    masks = [part.mask for part in slices_of(before, size_of(np.arange(9, dtype=np.float32)))]
    assert (masks[0].astype(int) + masks[1] == 1).all()
    assert (sum(mask.astype(int) for mask in masks[2:]) == 1).all()


@given(scored)
def test_gain_ends_at_everything_and_never_falls(case: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = case
    reached = gain(targets, scores)
    if not targets.any():
        assert np.isnan(reached).all()
        return
    assert reached[0] == 0
    assert reached[-1] == pytest.approx(1)
    assert (np.diff(reached) >= -1e-9).all()
    assert sum(lift(reached)) == pytest.approx(10)
    assert gain(targets, np.zeros_like(scores)) == pytest.approx(SHARES), "equal scores reach what chance does"


def test_gain_of_a_perfect_order() -> None:
    targets = np.zeros((100, 1), np.float32)
    targets[:10] = 1
    told = dict(zip(SHARES, gain(targets, targets), strict=True))
    assert (told[0.05], told[0.1], told[0.5]) == pytest.approx((0.5, 1, 1))
    assert lift(gain(targets, targets))[:2] == pytest.approx([10, 0])
    assert dict(zip(SHARES, gain(targets, -targets), strict=True))[0.9] == pytest.approx(0)


def test_the_figures_compared_are_those_of_judge() -> None:
    targets, scores = window()
    mask = np.random.default_rng(1).random(targets.shape) < 0.8
    weights = multiplicities(len(targets), 100, 0)
    for part in (None, mask):
        told = compare(targets, {OURS: scores, DECAYED: -scores}, weights, SETTINGS, part)
        for name, values in ((OURS, scores), (DECAYED, -scores)):
            wanted = judge(targets, values, 2, mask=part).as_dict()
            assert told["table"][name] == pytest.approx({m: wanted[m] for m in MEASURES})
        for measure in MEASURES:
            low, high = told["intervals"][measure]
            assert low <= told["table"][OURS][measure] <= high
            assert low < high or measure.startswith("recall")
            gap, below, above = told["differences"][DECAYED][measure]
            assert gap == pytest.approx(told["table"][OURS][measure] - told["table"][DECAYED][measure])
            assert below <= gap <= above


def test_a_model_does_not_differ_from_itself() -> None:
    targets, scores = window()
    told = compare(targets, {OURS: scores, DECAYED: scores}, multiplicities(len(targets), 100, 0), SETTINGS)
    assert all(gap == [0, 0, 0] for gap in told["differences"][DECAYED].values())


@settings(max_examples=50)
@given(scored)
def test_average_precision_is_the_usual_one_ties_included(case: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = case
    for column, value in enumerate(average_precisions(targets, scores)):
        if targets[:, column].any():
            assert value == pytest.approx(average_precision_score(targets[:, column], scores[:, column]))
        else:
            assert np.isnan(value)


def test_a_threshold_picks_those_at_or_above_it() -> None:
    targets = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]], np.float32)
    probabilities = np.array([[0.9, 0.2, 0.5], [0.5, 0.1, 0.5], [0.4, 0.3, 0.5]], np.float32)
    told = at_thresholds(targets, probabilities, np.array([0.5, 0.05, np.inf], np.float32))
    assert told["picked"].tolist() == [2, 3, 0]
    assert told["precision"][:2] == pytest.approx([0.5, 2 / 3])
    assert np.isnan(told["precision"][2])
    assert np.isnan(told["threshold"][2]), "a threshold that nobody reaches is none"
    assert all(np.isnan(values).all() for values in at_thresholds(targets, probabilities, None).values())


def test_a_promise_is_judged_where_enough_are_picked() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    probabilities = np.full((3, 3), 0.5, np.float32)
    values = np.array([[0.5, 0.5, np.inf], [0.6, 0.6, np.inf]], np.float32)
    first, second = promises(targets, probabilities, Thresholds((0.5, 0.7), 0.95, values), 3)
    counts = {"categories": 2, "picked": 6, "right": 3, "judged": 2, "above": 1, "kept": 2}
    assert first == {"precision": 0.5, "confidence": 0.95, **counts}
    assert second == {"precision": 0.7, "confidence": 0.95, **dict.fromkeys(counts, 0), "categories": 2}


@pytest.mark.parametrize(("right", "above", "kept"), [(20, 1, 1), (19, 0, 1), (15, 0, 1), (14, 0, 0), (0, 0, 0), (40, 1, 1)])
def test_a_promise_is_kept_unless_it_is_significantly_below(right: int, above: int, kept: int) -> None:
    # 40 fair coins: 14 heads or fewer have a probability of 0.040, 15 or fewer of 0.077.
    targets = (np.arange(40) < right).astype(np.float32)[:, None]
    told = promises(targets, np.full((40, 1), 0.5, np.float32), Thresholds((0.5,), 0.95, np.full((1, 1), 0.5, np.float32)), 10)
    assert (told[0]["above"], told[0]["kept"]) == (above, kept)


def test_every_category_has_a_record_and_small_ones_no_auc() -> None:
    targets, scores = window()
    targets[:, 2] = 0
    targets[0, 2] = 1
    probabilities = np.full(targets.shape, 0.25, np.float32)
    told = by_category(NAMES, targets, {OURS: scores, DECAYED: -scores}, probabilities, None, 2)
    assert [record["name"] for record in told] == NAMES
    assert [record["buyers"] for record in told] == targets.sum(0).tolist()
    assert [record["expected"] for record in told] == [15.0] * 3
    assert told[0]["base_rate"] == pytest.approx(targets[:, 0].mean())
    assert told[0][OURS] == pytest.approx(roc_auc_score(targets[:, 0], scores[:, 0]))
    assert told[0][DECAYED] == pytest.approx(1 - told[0][OURS])
    assert np.isnan([told[2][key] for key in (OURS, DECAYED, "average_precision")]).all()


def test_changes_tell_both_models_on_the_same_window() -> None:
    targets, scores = window()
    told = changes_against(targets, scores, -scores, NAMES, {"version": "old"}, SETTINGS)
    assert told["manifest"] == {"version": "old"}
    assert told["table"][OURS]["macro_auc"] == pytest.approx(1 - told["table"][CHAMPION]["macro_auc"])
    assert told["differences"]["macro_auc"][1] > 0
    assert [c["name"] for c in told["categories"]] == NAMES
    assert all(c[OURS] > c[CHAMPION] for c in told["categories"])


def test_manifests_differ_where_they_differ() -> None:
    old = {"version": "1", "kind": "x", "shape": {"hidden": [64], "features": 5}, "data": {"windows": ["2017-02", "2017-01"]}}
    new = {"version": "2", "kind": "x", "shape": {"hidden": [64, 8]}, "data": {"windows": ["2017-03", "2017-01"]}}
    assert differing(new, old) == [
        ("data.windows", "2017-01 to 2017-02", "2017-01 to 2017-03"),
        ("shape.features", "5", "\u2013"),
        ("shape.hidden", "64", "64, 8"),
    ]
    assert differing(new, new) == []


def test_the_parts_of_an_evaluation_tell_of_the_same_customers_and_models() -> None:
    _, told = evaluated()
    table, positives = told["table"], told["table"][OURS]["positives"]
    assert table[POPULARITY]["macro_auc"] == 0.5
    assert table[DECAYED]["macro_auc"] > 0.5
    assert [part["name"] for part in told["slices"]] == [REPEAT, EXPLORE, *SIZES]
    by_history, by_size = told["slices"][:2], told["slices"][2:]
    for parts in (by_history, by_size):
        assert sum(part["positives"] for part in parts) == positives
        assert sum(part["pairs"] for part in parts) == told["customers"] * len(told["categories"])
    assert sum(category["buyers"] for category in told["categories"]) == positives
    assert sum(part["positives"] for part in told["calibration_by_size"]) == positives
    assert sum(pairs for _, _, pairs in told["reliability"]) == told["customers"] * len(told["categories"])
    assert told["gain"][POPULARITY] == pytest.approx(told["gain"]["shares"])
    rungs = told["rungs"]
    assert list(rungs) == ["prior", "profile", "model"]
    assert rungs["prior"]["micro_ap"] == pytest.approx(table[POPULARITY]["micro_ap"])
    assert {key: rungs["model"][key] for key in MEASURES} == pytest.approx({key: table[OURS][key] for key in MEASURES})
    assert rungs["model"]["calibration_error"] == pytest.approx(told["calibration_error"])
    assert sum(told["sources"].values()) == told["customers"]
    assert told["promise"] in [promise["precision"] for promise in told["promises"]]
