"""The rungs of knowledge: the same customers with nothing, with the sparse profile, with everything."""

import numpy as np
import pytest
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import MAX_CHANNELS
from propensity.evaluation.held_out import HeldOut, held_out
from propensity.evaluation.rungs import hidden, rung_figures, source_counts, source_figures, without_history
from propensity.models.data import TrainingTables
from propensity.models.loading import load_pipeline
from propensity.pipeline.predictor import SparsePredictor


@pytest.fixture(scope="module")
def window() -> HeldOut:
    lake = shared()[0]
    return held_out(TrainingTables(lake, REGION), SCORE_DATE)


@pytest.fixture(scope="module")
def model() -> SparsePredictor:
    return load_pipeline(shared()[1].folder).predictor


def test_hiding_takes_all_and_the_profile_everything_but_the_categories(window: HeldOut, model: SparsePredictor) -> None:
    rows = window.features
    nothing, profile = hidden(rows).check(), without_history(rows, model).check()
    assert len(nothing) == len(profile) == len(rows)
    assert set(model.raw(nothing).source.tolist()) == {0}
    own = np.isin(rows.indices // MAX_CHANNELS, model.categories)
    assert len(profile.indices) == int((~own).sum())
    assert not np.isin(profile.indices // MAX_CHANNELS, model.categories).any()
    for at in range(len(rows)):
        mine = slice(rows.offsets[at], rows.offsets[at + 1])
        theirs = slice(profile.offsets[at], profile.offsets[at + 1])
        np.testing.assert_array_equal(profile.values[theirs], rows.values[mine][~own[mine]])


def test_every_rung_judges_the_same_customers_and_more_knowledge_is_worth_more(window: HeldOut, model: SparsePredictor) -> None:
    figures = rung_figures(window, model, shared()[0].config.models.promotion)
    assert list(figures) == ["prior", "profile", "model"]
    assert {part["customers"] for part in figures.values()} == {len(window.users)}
    assert figures["prior"]["macro_auc"] == 0.5, "the prior gives everyone the same"
    assert figures["model"]["micro_ap"] > figures["prior"]["micro_ap"]
    assert all(0 <= part["calibration_error"] <= 1 for part in figures.values())


def test_sources_divide_the_customers(window: HeldOut, model: SparsePredictor) -> None:
    counts = source_counts(window, model)
    assert sum(counts.values()) == len(window.users)
    figures = source_figures(window, model, shared()[0].config.models.promotion)
    assert {name: part["customers"] for name, part in figures.items()} == {name: n for name, n in counts.items() if n}
