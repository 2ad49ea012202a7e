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


def test_the_schedule_scores_each_of_its_days_and_publishes_them(trained):
    trained.api.unpause(SCORE)
    runs = trained.wait_for_runs(SCORE, 2, run_type="scheduled")
    assert [r["logical_date"][:10] for r in runs] == ["2025-06-17", "2025-06-16"]
    for run in runs:
        assert run["state"] == "success", trained.errors(SCORE, run["dag_run_id"])
    published = trained.published()
    assert set(published) == {(r, d) for r in ("alps", "coast") for d in ("2025-06-16", "2025-06-17")}
    for (region, day), (run_id, rows) in published.items():
        assert trained.in_lake(region)[day] == ({run_id}, rows)
        assert rows > 0


def test_the_rest_api_starts_a_run_without_a_logical_date(trained):
    run_id = trained.api.trigger(SCORE, {**ALPS, "score_date": "2025-06-12"})
    run = trained.wait(SCORE, run_id)
    assert run["logical_date"] is None
    assert run["state"] == "success", trained.errors(SCORE, run_id)
    assert ("alps", "2025-06-12") in trained.published()
    assert ("coast", "2025-06-12") not in trained.published()


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
def test_the_rest_api_refuses_what_the_form_would_not_send(trained, conf):
    before = len(trained.api.runs(SCORE))
    with pytest.raises(PropensityError, match=r"Airflow refused: .*(Invalid|is not|should be|non-empty|too short)"):
        trained.api.trigger(SCORE, conf)
    assert len(trained.api.runs(SCORE)) == before


def test_a_run_with_neither_date_says_so_in_one_line_and_is_not_retried(trained):
    run_id = trained.api.trigger(SCORE, ALPS)
    assert trained.wait(SCORE, run_id)["state"] == "failed"
    errors = trained.errors(SCORE, run_id)
    assert list(errors) == ["plan"]
    assert errors["plan"].startswith(
        "this run has neither a score date nor a logical date. To do: trigger it again with a score_date"
    )
    assert [t["try_number"] for t in trained.api.tasks(SCORE, run_id) if t["task_id"] == "plan"] == [1]


def test_an_announcement_starts_a_run_for_its_regions_and_its_day(trained):
    (asset,) = trained.api.call("GET", "/assets", params={"name_pattern": "propensity_champion"})["assets"]
    extra = {"regions": ["alps"], "score_date": "2025-06-16"}
    trained.api.call("POST", "/assets/events", json={"asset_id": asset["id"], "extra": extra})
    before = trained.published()
    (run,) = trained.wait_for_runs(SCORE, 1, run_type="asset_triggered")
    assert run["state"] == "success", trained.errors(SCORE, run["dag_run_id"])
    states = trained.states(SCORE, run["dag_run_id"])
    assert states["publish alps"] == "success"
    assert "publish coast" not in states
    assert trained.published() == before, "the day was published, so it stays as it was"


def test_a_backfill_fills_the_gaps_and_a_second_one_leaves_the_same_rows(trained):
    middle = trained.api.trigger(SCORE, ALPS, logical_date="2025-06-09T02:00:00Z")
    assert trained.wait(SCORE, middle)["state"] == "success", trained.errors(SCORE, middle)
    days = ["2025-06-08", "2025-06-09", "2025-06-10"]
    create = ["backfill", "create", "--dag-id", SCORE, "--from-date", "2025-06-08", "--to-date", "2025-06-10T12:00:00"]
    conf = ["--dag-run-conf", json.dumps(ALPS)]
    trained.airflow(*create, *conf)
    runs = trained.wait_for_runs(SCORE, 2, run_type="backfill")
    assert sorted(r["logical_date"][:10] for r in runs) == ["2025-06-08", "2025-06-10"], "the middle day has its run"
    assert {r["state"] for r in runs} == {"success"}
    first, lake = trained.published("alps"), trained.in_lake("alps")
    assert {day for _, day in first} >= set(days)

    trained.airflow(*create, *conf, "--reprocess-behavior", "completed")
    again = trained.wait_for_runs(SCORE, 3, run_type="backfill")
    assert sorted(r["logical_date"][:10] for r in again) == days
    assert {r["state"] for r in again} == {"success"}
    assert trained.published("alps") == first
    assert trained.in_lake("alps") == lake
    for run in again:
        told = [
            trained.api.xcom(t, "skipped")
            for t in trained.api.tasks(SCORE, run["dag_run_id"])
            if t["task_id"].endswith("publish")
        ]
        assert told == [True], "nothing was left to do"


def test_one_region_that_fails_stops_no_other_and_leaves_what_was_published(trained):
    before = trained.published()
    bundles = trained.config.home / "models" / "coast"
    hidden = bundles.with_name("hidden")
    bundles.rename(hidden)
    try:
        run_id = trained.api.trigger(SCORE, {"score_date": "2025-06-14"})
        run = trained.wait(SCORE, run_id)
    finally:
        hidden.rename(bundles)
    assert run["state"] == "failed"
    states = trained.states(SCORE, run_id)
    assert states["publish alps"] == "success"
    assert (states["score coast"], states["publish coast"]) == ("failed", "upstream_failed")
    assert trained.published() == before | {("alps", "2025-06-14"): trained.published()["alps", "2025-06-14"]}
