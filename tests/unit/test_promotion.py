"""Who becomes champion, and what is written about it."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.challengers import OLD, duel, evaluation, seen, truth, try_it
from tests.support.shop import make_config
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import Promotion
from propensity.errors import BundleError, ConflictError, DataError
from propensity.evaluation.judging import evaluate_version, promote
from propensity.evaluation.manifest_checks import check_manifest
from propensity.evaluation.promotion import Challenge, Decision, decide
from propensity.evaluation.records import BASELINES, OURS, read_evaluation
from propensity.evaluation.steady import categories, stability_index
from propensity.evaluation.trial import Duel
from propensity.evaluation.verdict import holm
from propensity.models.registry import Champion, champion, crown, history
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake

SETTINGS = Promotion(resamples=400, category_buyers=40)
DAY = dt.date(2025, 6, 30)
NAMES = ("macro_auc", "micro_ap")


def figures(*values: float | None) -> dict[str, float | None]:
    return dict(zip(NAMES, values, strict=True))


def challenge(ours: tuple[float | None, float | None], *past: Champion, day: dt.date = DAY) -> Challenge:
    return Challenge(evaluation(figures(*ours), baseline=(0.7, 0.3)), day, past, [])


def never(_: Champion | None) -> Duel:
    raise AssertionError("the scores were looked at")


def tried(champion: Champion | None) -> Duel:
    targets, mean, own = truth(1, 600, 12)
    return duel(targets, seen(mean, own, 0.4, 0), None if champion is None else seen(mean, own, 1.2, 1))


def failed(decision: Decision) -> set[str]:
    assert decision.verdict is not None
    return {test.name for test in decision.verdict.failed}


def test_the_first_to_beat_the_baselines_is_promoted() -> None:
    decision = decide(SETTINGS, challenge((0.8, 0.4)), tried)
    assert decision.promoted
    assert decision.crown
    assert "0.8000" in decision.reason
    assert decision.verdict is not None
    assert (decision.verdict.champion, decision.verdict.rule) == (None, "first")


@pytest.mark.parametrize(("ours", "why"), [((0.7, 0.4), "macro AUC 0.7000"), ((0.8, 0.29), "micro AP 0.2900")])
def test_a_challenger_that_does_not_beat_both_baselines_is_refused(ours: tuple[float, float], why: str) -> None:
    decision = decide(SETTINGS, challenge(ours), tried)
    assert not decision.promoted
    assert not decision.crown
    assert why in decision.reason
    assert failed(decision) == {"beats the baselines"}


def test_a_window_too_small_to_tell_is_not_scored() -> None:
    decision = decide(SETTINGS, challenge((None, 0.4)), never)
    assert not decision.promoted
    assert "too small" in decision.reason


def test_a_gain_over_the_baselines_that_is_too_good_is_a_leak() -> None:
    decision = decide(SETTINGS, challenge((0.99, 0.9)), tried)
    assert failed(decision) == {"not too good to be true"}
    assert "look for a leak" in decision.reason


def test_the_champion_itself_is_promoted_already() -> None:
    same = Champion(3, "new", "1" * 64, DAY, "it was good")
    decision = decide(SETTINGS, challenge((0.1, 0.1), same), never)
    assert (decision.promoted, decision.crown, decision.verdict) == (True, False, None)
    assert "already champion" in decision.reason


def test_a_model_of_an_earlier_day_never_replaces_a_later_one() -> None:
    decision = decide(SETTINGS, challenge((0.8, 0.4), OLD, day=OLD.score_date - dt.timedelta(days=7)), never)
    assert not decision.promoted
    assert "later day" in decision.reason


def test_a_version_that_was_withdrawn_is_not_promoted_again() -> None:
    withdrawn = Champion(1, "new", "1" * 64, DAY, "it was good")
    decision = decide(SETTINGS, challenge((0.8, 0.4), withdrawn, Champion(2, "old", "0" * 64, DAY, "rolled back")), never)
    assert not decision.promoted
    assert "rollback" in decision.reason


def test_a_champion_that_is_lost_is_replaced() -> None:
    def lost(champion: Champion | None) -> Duel:
        if champion:
            raise BundleError("pipeline.json is missing")
        return tried(None)

    decision = decide(SETTINGS, challenge((0.8, 0.4), OLD), lost)
    assert decision.crown
    assert "can no longer be loaded" in decision.reason


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holms_correction_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, corrected, strict=True))
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert [corrected[i] for i in order] == sorted(corrected)
    if values:
        assert corrected[order[0]] == min(1.0, values[order[0]] * len(values))
        assert corrected[order[-1]] >= values[order[-1]]


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_the_stability_index_by_hand() -> None:
    before, now = np.array([0.005, 0.005, 0.3, 0.3]), np.array([0.005, 0.3, 0.3, 0.3])
    assert stability_index(before, now) == pytest.approx((0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5))
    assert stability_index(before, before) == 0.0


def test_buyers_are_missed_only_clearly_further_than_by_the_champion() -> None:
    targets = np.zeros((400, 1), np.float32)
    targets[:100] = 1
    logits = {share: np.full((400, 1), np.log(share / (1 - share)), np.float32) for share in (0.11, 0.13, 0.2)}

    def broken(ours: float, theirs: float) -> bool:
        tests = categories(SETTINGS, duel(targets, logits[ours], logits[theirs]))
        return not next(test for test in tests if test.slice.endswith("buyers")).passed

    assert broken(0.11, 0.2)
    assert not broken(0.11, 0.13), "a season that neither foresaw"
    assert not broken(0.13, 0.2), "within a factor of two"


def test_a_slice_with_nothing_to_tell_gives_no_test() -> None:
    targets, mean, own = truth(1, 600, 12)
    decision = try_it(
        SETTINGS.model_copy(update={"category_buyers": 1}), duel(targets, seen(mean, own, 0.4, 0), seen(mean, own, 1.2, 1))
    )
    assert decision.verdict is not None
    assert not [test for test in decision.verdict.tests if "small categories" in test.slice]
    assert [test for test in decision.verdict.tests if "large categories" in test.slice]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(make_config(tmp_path))


def test_the_latest_sequence_wins_and_the_history_stays(lake: Lake) -> None:
    assert champion(lake, "coast") is None
    first = crown(lake, "coast", None, "a", "1", DAY, "first")
    second = crown(lake, "coast", first, "b", "2", DAY, "second")
    crown(lake, "alps", None, "c", "3", DAY, "another region")
    assert champion(lake, "coast") == second
    assert [(c.sequence, c.version) for c in history(lake, "coast")] == [(1, "a"), (2, "b")]
    assert [c.version for c in history(lake, "alps")] == ["c"]


def test_of_two_promotions_at_once_one_is_refused(lake: Lake) -> None:
    crown(lake, "coast", None, "a", "1", DAY, "first")
    with pytest.raises(ConflictError):
        crown(lake, "coast", None, "b", "2", DAY, "compared when there was no champion")
    assert [c.version for c in history(lake, "coast")] == ["a"]


def test_a_version_is_judged_before_it_is_promoted_and_the_figures_belong_to_its_bundle(tmp_path: Path) -> None:
    lake, made = shared()
    (made.folder / "evaluation.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match="not evaluated"):
        promote(lake, REGION, SCORE_DATE, made.version)
    told = evaluate_version(lake, REGION, SCORE_DATE, made.version)
    assert set(told["table"]) == {OURS, *BASELINES}
    assert told["table"]["popularity"]["macro_auc"] == 0.5
    assert told["table"][OURS]["micro_ap"] > told["table"]["popularity"]["micro_ap"]
    cutoff, promotion = dt.date.fromisoformat(told["cutoff"]), lake.config.models.promotion
    assert read_evaluation(made.folder, promotion, cutoff) == told
    assert read_evaluation(made.folder, promotion, cutoff - dt.timedelta(days=1)) is None
    assert read_evaluation(made.folder, promotion.model_copy(update={"min_positives": 6}), cutoff) is None
    decision, digest = promote(lake, REGION, SCORE_DATE, made.version)
    assert digest == made.digest
    assert not decision.promoted  # four epochs on 240 rows are no match for the customer's own habits
    assert "own decayed frequency" in decision.reason
    card = (made.folder / "model_card.html").read_text()
    assert made.version in card
    assert " src=" not in card
    assert "http" not in card.replace("http-equiv", "")


def test_a_manifest_must_fit_region_day_label_channels_windows_and_data() -> None:
    lake, made = shared()
    manifest = load_bundle(made.folder).manifest
    data = manifest["data"]["digest"]

    def failing(region: str = REGION, data: str = data, **changes: Any) -> list[str]:
        tests = check_manifest(lake.config, region, SCORE_DATE, {**manifest, **changes}, data)
        return [test.slice for test in tests if not test.passed]

    assert failing() == []
    assert failing(region="alps") == ["region"]
    assert failing(score_date="2025-01-01") == ["score date"]
    assert failing(held_out="2025-01-01") == ["held-out window"]
    assert failing(label=["order", "brand"]) == ["label"]
    assert failing(channels=["recency"]) == ["channels"]
    assert failing(data="0") == ["data"]
    # A model from elsewhere does not say what it was trained on.
    assert failing(data="0", training={"adopted": "9"}) == []
