"""In how many bits a run scores: what is asked for where its bounds hold, one line where they do not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config.scoring import Scoring
from propensity.contracts import FEATURES
from propensity.engine import precision
from propensity.engine.precision import FILES, Measured, resolve_precision
from propensity.engine.worker_model import Champion
from propensity.errors import BundleError
from propensity.storage import DataFile, Lake

LOOSE = {"max_deviation": 1, "min_same_top": 0}
TIGHT = {"max_deviation": 1e-9, "min_same_top": 1}


def given_settings(**scoring: Any) -> tuple[Lake, Champion, list[DataFile]]:
    """Return the shared lake with other settings, its champion, and the feature files of one day."""
    lake, trained = shared()
    models = lake.config.models.model_copy(update={"scoring": Scoring(**scoring)})
    champion = Champion(trained.version, trained.digest, trained.folder)
    files = [file for file in lake.files(FEATURES, region=REGION) if file.partition["score_date"] < SCORE_DATE.isoformat()]
    return Lake(lake.config.model_copy(update={"models": models})), champion, files


def resolved(**scoring: Any) -> str:
    """Return what a run in this process scores with."""
    lake, champion, files = given_settings(**scoring)
    return resolve_precision(lake, champion, files, size=0, small=0)


def test_float32_is_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "map_cheaply", None)
    assert resolved() == "float32"


@pytest.mark.parametrize("wanted", ["float16", "bfloat16"])
def test_what_is_asked_for_is_taken_within_its_bounds(wanted, capsys):
    assert resolved(precision=wanted, **LOOSE) == wanted
    assert f"{wanted}: deviates by" in capsys.readouterr().out


def test_outside_its_bounds_it_is_refused():
    with pytest.raises(BundleError, match=r"bfloat16 does not keep to .*out of bounds.*scoring\.precision to float32"):
        resolved(precision="bfloat16", **TIGHT)


def test_auto_takes_nothing_that_is_out_of_bounds(capsys):
    assert resolved(precision="auto", **TIGHT) == "float32"
    told = capsys.readouterr().out.splitlines()
    assert [line.endswith("out of bounds") for line in told] == [False, True, True]


def test_the_sample_is_of_several_files_and_as_large_as_set(monkeypatch):
    asked: list[tuple[int, int]] = []
    lake, champion, files = given_settings(precision="bfloat16", sample=9, **LOOSE)
    assert len([file for file in files if file.rows]) > FILES
    original = precision.measure

    def noted(file, sample):
        found = original(file, sample)
        asked.append((file.rows, found[0].customers))
        return found

    monkeypatch.setattr(precision, "measure", noted)
    resolve_precision(lake, champion, files, size=0, small=0)
    largest = sorted((file.rows for file in files), reverse=True)[:FILES]
    assert sorted(asked, reverse=True) == [(rows, min(rows, 5)) for rows in largest]


def test_no_customers_are_no_reason_to_measure():
    lake, champion, _ = given_settings(precision="bfloat16", **TIGHT)
    assert resolve_precision(lake, champion, [], size=0, small=0) == "float32"


shares = st.floats(0, 1)
parts = st.builds(Measured, st.just("bfloat16"), st.integers(1, 5000), shares, shares, shares, shares)


@given(st.lists(parts, min_size=1, max_size=4), st.builds(Scoring, max_deviation=st.floats(0.001, 1), min_same_top=shares))
def test_together_they_keep_what_every_one_keeps(found, bounds):
    together = precision._together(found)
    assert together.customers == sum(one.customers for one in found)
    assert together.largest == max(one.largest for one in found)
    assert min(one.same_top for one in found) - 1e-12 <= together.same_top <= max(one.same_top for one in found) + 1e-12
    if any(one.largest > bounds.max_deviation for one in found):
        assert not together.keeps(bounds)
        assert together.line(bounds).endswith("out of bounds")
