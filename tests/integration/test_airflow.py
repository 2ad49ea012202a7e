"""The ways in, against a real scheduler: schedule, REST API, announcement, backfill; and what a failure leaves alone."""

import json

import pytest

from propensity.errors import PropensityError

TRAIN, SCORE = "propensity_train", "propensity_score"
ALPS = {"regions": ["alps"]}


def test_the_schedule_trains_promotes_and_announces(trained):
    (run,) = trained.api.runs(TRAIN)
    assert (run["run_type"], run["logical_date"][:10], run["state"]) == ("scheduled", "2025-06-16", "success")
    states = trained.states(TRAIN, run["dag_run_id"])
    assert {states[f"promote {region}"] for region in trained.config.region_names} == {"success"}
    assert states["announce"] == "success"
    (event,) = trained.api.call("GET", "/assets/events", params={"name_pattern": "champion"})["asset_events"]
    assert event["extra"] == {"regions": ["alps", "coast"], "score_date": "2025-06-16"}


def test_the_schedule_scores_each_of_its_days_and_publishes_them(scoring):
    runs = scoring.api.runs(SCORE, run_type="scheduled")
    assert [r["logical_date"][:10] for r in runs] == ["2025-06-17", "2025-06-16"]
    published = scoring.published()
    assert set(published) >= {(r, d) for r in ("alps", "coast") for d in ("2025-06-16", "2025-06-17")}
    for (region, day), (run_id, rows) in published.items():
        assert scoring.in_lake(region)[day] == ({run_id}, rows)
        assert rows > 0


def test_the_rest_api_starts_a_run_without_a_logical_date(scoring):
    run_id = scoring.api.trigger(SCORE, {**ALPS, "score_date": "2025-06-12"})
    run = scoring.wait(SCORE, run_id)
    assert run["logical_date"] is None
    assert run["state"] == "success", scoring.errors(SCORE, run_id)
    assert ("alps", "2025-06-12") in scoring.published()
    assert ("coast", "2025-06-12") not in scoring.published()


@pytest.mark.parametrize(
    "conf",
    [
        {"regions": ["atlantis"]},
        {"regions": []},
        {"score_date": "2025-02-30"},
        {"score_date": "2025-06-12; drop table scores"},
        {"force": "yes"},
    ],
)
def test_the_rest_api_refuses_what_the_form_would_not_send(scoring, conf):
    before = len(scoring.api.runs(SCORE))
    with pytest.raises(PropensityError, match=r"Airflow refused: .*(Invalid|is not|should be|non-empty|too short)"):
        scoring.api.trigger(SCORE, conf)
    assert len(scoring.api.runs(SCORE)) == before


def test_a_run_with_neither_date_says_so_in_one_line_and_is_not_retried(scoring):
    run_id = scoring.api.trigger(SCORE, ALPS)
    assert scoring.wait(SCORE, run_id)["state"] == "failed"
    errors = scoring.errors(SCORE, run_id)
    assert list(errors) == ["plan"]
    assert errors["plan"].startswith(
        "this run has neither a score date nor a logical date. To do: trigger it again with a score_date"
    )
    assert [t["try_number"] for t in scoring.api.tasks(SCORE, run_id) if t["task_id"] == "plan"] == [1]


def test_an_announcement_starts_a_run_for_its_regions_and_its_day(scoring):
    (asset,) = scoring.api.call("GET", "/assets", params={"name_pattern": "propensity_champion"})["assets"]
    extra = {"regions": ["alps"], "score_date": "2025-06-16"}
    scoring.api.call("POST", "/assets/events", json={"asset_id": asset["id"], "extra": extra})
    before = scoring.published()
    (run,) = scoring.wait_for_runs(SCORE, 1, run_type="asset_triggered")
    assert run["state"] == "success", scoring.errors(SCORE, run["dag_run_id"])
    # What training announced while scoring was paused may be among the events that Airflow gives to the run.
    events = scoring.api.call("GET", f"/dags/{SCORE}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")["asset_events"]
    announced = {region for event in events for region in event["extra"]["regions"]}
    states = scoring.states(SCORE, run["dag_run_id"])
    assert {state for name, state in states.items() if name.startswith("publish")} == {"success"}
    assert {name.split()[1] for name in states if name.startswith("publish ")} == announced >= {"alps"}
    assert scoring.published() == before, "the day was published, so it stays as it was"


def test_a_backfill_fills_the_gaps_and_a_second_one_leaves_the_same_rows(scoring):
    middle = scoring.api.trigger(SCORE, ALPS, logical_date="2025-06-09T02:00:00Z")
    assert scoring.wait(SCORE, middle)["state"] == "success", scoring.errors(SCORE, middle)
    days = ["2025-06-08", "2025-06-09", "2025-06-10"]
    create = ["backfill", "create", "--dag-id", SCORE, "--from-date", "2025-06-08", "--to-date", "2025-06-10T12:00:00"]
    conf = ["--dag-run-conf", json.dumps(ALPS)]
    scoring.airflow(*create, *conf)
    runs = scoring.wait_for_runs(SCORE, 2, run_type="backfill")
    assert sorted(r["logical_date"][:10] for r in runs) == ["2025-06-08", "2025-06-10"], "the middle day has its run"
    assert {r["state"] for r in runs} == {"success"}
    first, lake = scoring.published("alps"), scoring.in_lake("alps")
    assert {day for _, day in first} >= set(days)

    scoring.wait_for_backfills(SCORE)
    scoring.airflow(*create, *conf, "--reprocess-behavior", "completed")
    scoring.wait_for_backfills(SCORE, 480)
    again = scoring.wait_for_runs(SCORE, 3, run_type="backfill")
    assert sorted(r["logical_date"][:10] for r in again) == days
    assert {r["state"] for r in again} == {"success"}
    assert scoring.published("alps") == first
    assert scoring.in_lake("alps") == lake
    for run in again:
        told = [
            scoring.api.xcom(t, "skipped")
            for t in scoring.api.tasks(SCORE, run["dag_run_id"])
            if t["task_id"].endswith("publish")
        ]
        assert told == [True], "nothing was left to do"


def test_one_region_that_fails_stops_no_other_and_leaves_what_was_published(scoring):
    before = scoring.published()
    bundles = scoring.config.home / "models" / "coast"
    hidden = bundles.with_name("hidden")
    bundles.rename(hidden)
    try:
        run_id = scoring.api.trigger(SCORE, {"score_date": "2025-06-14"})
        run = scoring.wait(SCORE, run_id)
    finally:
        hidden.rename(bundles)
    assert run["state"] == "failed"
    states = scoring.states(SCORE, run_id)
    assert states["publish alps"] == "success"
    assert (states["score coast"], states["publish coast"]) == ("failed", "upstream_failed")
    assert scoring.published() == before | {("alps", "2025-06-14"): scoring.published()["alps", "2025-06-14"]}
