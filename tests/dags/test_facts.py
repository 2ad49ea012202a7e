"""The facts of a run: which day, which regions; refused before anything starts."""

import datetime as dt
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from propensity.config import load_config
from propensity.errors import ConfigError
from propensity_airflow import facts
from propensity_airflow.defaults import CHAMPION
from propensity_airflow.promotion import announce_champions, new_champions

CONFIG = load_config("conf", "var")
NOON = dt.datetime(2017, 5, 6, 12, tzinfo=dt.UTC)


@given(day=st.dates(dt.date(2000, 1, 1), dt.date(2100, 1, 1)), logical=st.none() | st.just(NOON))
def test_the_parameter_wins(day, logical):
    params = {"score_date": day.isoformat(), "regions": ["north"]}
    event = {"score_date": "1999-01-01"}
    assert facts.resolve(CONFIG, params, logical, [event]) == (day, ("north",))


def test_the_day_of_the_logical_date_is_next():
    assert facts.resolve(CONFIG, {"score_date": None}, NOON) == (dt.date(2017, 5, 6), CONFIG.region_names)


def test_an_announcement_brings_its_day_and_its_regions():
    events = [{"score_date": "2017-01-01", "regions": ["north"]}, {"score_date": "2018-01-01", "regions": ["south"]}]
    params = {"score_date": None, "regions": list(CONFIG.region_names)}
    for told in (events, events[::-1]):
        assert facts.resolve(CONFIG, params, None, told) == (dt.date(2018, 1, 1), ("north", "south"))


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"score_date": None}, "neither a score date nor a logical date"),
        ({"score_date": "2018-02-30"}, "'2018-02-30' is not a date"),
        ({"score_date": "2018-01-01; rm -rf /"}, "is not a date"),
        ({"score_date": "2018-01-01", "regions": ["north", "atlantis"]}, "unknown region"),
    ],
)
def test_refusals_are_one_line_that_says_what_to_do(params, line):
    with pytest.raises(ConfigError, match=line) as caught:
        facts.resolve(CONFIG, params, None)
    assert "To do: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_plan_fails_for_good_and_leaves_its_facts_in_xcom(monkeypatch):
    pushed = {}
    context = {
        "params": {"score_date": "2018-01-01", "regions": ["north"], "force": True, "device": "cpu"},
        "ti": SimpleNamespace(xcom_push=pushed.__setitem__),
        "triggering_asset_events": {},
    }
    assert facts.plan(context, CHAMPION) == ["north"]
    assert pushed == {"score_date": "2018-01-01", "force": True, "device": "cpu"}
    context["params"]["regions"] = ["atlantis"]
    with pytest.raises(AirflowFailException, match="unknown region"):  # which Airflow does not retry
        facts.plan(context, CHAMPION)


def test_plan_reads_the_event_that_started_the_run():
    event = SimpleNamespace(extra={"score_date": "2018-01-01", "regions": ["south"]})
    pushed = {}
    context = {
        "params": {"score_date": None, "regions": ["north", "south"], "force": False},
        "ti": SimpleNamespace(xcom_push=pushed.__setitem__),
        "triggering_asset_events": {CHAMPION: [event]},
    }
    assert facts.plan(context, CHAMPION) == ["south"]
    assert pushed["score_date"] == "2018-01-01"


BAD = [
    ("regions", []),
    ("regions", ["atlantis"]),
    ("regions", "north"),
    ("regions", ["north", "north"]),
    ("score_date", "2018-13-01"),
    ("score_date", "yesterday"),
    ("score_date", 20180101),
    ("device", "tpu"),
    ("device", None),
    ("force", "yes"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_the_form_refuses(name, value):
    with pytest.raises(ParamValidationError):
        facts.form(CONFIG, device=True)[name].resolve(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("regions", ["south"]), ("score_date", "2018-01-01"), ("score_date", None), ("device", "cuda"), ("force", True)],
)
def test_the_form_takes(name, value):
    assert facts.form(CONFIG, device=True)[name].resolve(value) == value


def test_every_default_is_valid_so_that_the_scheduler_can_start_a_run(dags):
    for dag in dags.values():
        dag.params.validate()
    assert list(dags["propensity_train"].params) == ["regions", "score_date", "device", "force"]
    assert list(dags["propensity_score"].params) == ["regions", "score_date", "force"]


def test_only_champions_of_this_run_are_announced():
    outcomes = [
        {"region": "a", "promoted": True, "skipped": False, "score_date": "2018-01-01"},
        {"region": "b", "promoted": False, "skipped": False, "score_date": "2018-01-01"},
        {"region": "c", "promoted": True, "skipped": True, "score_date": "2018-01-01"},
    ]
    assert new_champions(outcomes) == ["a"]
    event = SimpleNamespace(extra={})
    assert announce_champions(outcomes, {"outlet_events": {CHAMPION: event}}) == ["a"]
    assert event.extra == {"regions": ["a"], "score_date": "2018-01-01"}
    for nothing in (outcomes[1:], [], None):
        with pytest.raises(AirflowSkipException):
            announce_champions(nothing, {"outlet_events": {CHAMPION: event}})
