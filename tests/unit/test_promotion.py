"""Who becomes champion, and what is written about it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.support.shop import make_config
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import Promotion
from propensity.errors import BundleError, ConflictError, DataError
from propensity.evaluation.judging import evaluate_version, promote
from propensity.evaluation.promotion import decide
from propensity.evaluation.records import BASELINES, OURS, read_evaluation
from propensity.models.registry import Champion, champion, crown, history
from propensity.storage import Lake

SETTINGS = Promotion(expected_precision=0.5, min_positives=10, tolerance=0.01)
DAY = dt.date(2018, 1, 1)
OLD = Champion(1, "old", "0" * 64, DAY, "it was good")


def figures(macro_auc: float | None, micro_ap: float | None) -> dict[str, float | None]:
    return {"macro_auc": macro_auc, "micro_ap": micro_ap}


def evaluation(ours: dict[str, float | None], baseline: tuple[float, float] = (0.7, 0.3)) -> dict[str, Any]:
    return {"version": "new", "digest": "1" * 64, "table": {OURS: ours, **{name: figures(*baseline) for name in BASELINES}}}


def judged(**values: float) -> Any:
    return lambda: values


def never() -> Any:
    raise AssertionError("the champion was judged")


def test_the_first_to_beat_the_baselines_is_promoted() -> None:
    decision = decide(SETTINGS, evaluation(figures(0.8, 0.4)), DAY, None, never)
    assert decision.promoted
    assert decision.crown
    assert "0.8000" in decision.reason
    assert "0.7000" in decision.reason


@pytest.mark.parametrize(
    ("ours", "why"), [((0.7, 0.4), "macro AUC 0.7000"), ((0.8, 0.29), "micro AP 0.2900"), ((None, 0.4), "too small")]
)
def test_a_challenger_that_does_not_beat_both_baselines_is_refused(ours: tuple[float | None, float], why: str) -> None:
    decision = decide(SETTINGS, evaluation(figures(*ours)), DAY, None, never)
    assert not decision.promoted
    assert not decision.crown
    assert why in decision.reason


@pytest.mark.parametrize(
    ("theirs", "promoted"), [((0.80, 0.40), True), ((0.809, 0.409), True), ((0.811, 0.40), False), ((0.80, 0.411), False)]
)
def test_a_challenger_may_fall_below_the_champion_by_the_tolerance(theirs: tuple[float, float], promoted: bool) -> None:
    decision = decide(SETTINGS, evaluation(figures(0.8, 0.4)), DAY, OLD, judged(macro_auc=theirs[0], micro_ap=theirs[1]))
    assert decision.promoted is decision.crown is promoted
    assert "champion old" in decision.reason
    assert promoted or "tolerance 0.01" in decision.reason


def test_the_champion_itself_is_promoted_already() -> None:
    same = Champion(3, "new", "1" * 64, DAY, "it was good")
    decision = decide(SETTINGS, evaluation(figures(0.1, 0.1)), DAY, same, never)
    assert (decision.promoted, decision.crown) == (True, False)
    assert "already champion" in decision.reason


def test_a_model_of_an_earlier_day_never_replaces_a_later_one() -> None:
    decision = decide(SETTINGS, evaluation(figures(0.8, 0.4)), DAY - dt.timedelta(days=7), OLD, never)
    assert not decision.promoted
    assert "later day" in decision.reason


def test_a_champion_that_is_lost_is_replaced() -> None:
    def lost() -> Any:
        raise BundleError("pipeline.json is missing")

    decision = decide(SETTINGS, evaluation(figures(0.8, 0.4)), DAY, OLD, lost)
    assert decision.crown
    assert "can no longer be loaded" in decision.reason


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
    assert "<script" not in card
    assert "http" not in card.replace("http-equiv", "")
