"""Landing: nothing lost, nothing twice, ids stable, days replaced, and the ledger knows."""

import datetime as dt
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest
from tests.support.shop import FIRST, land_here, make_shop

from propensity.contracts import ACTIVITY, LANDED, TOKENS
from propensity.engine.landing import land
from propensity.errors import ConflictError, DataError
from propensity.events import landing
from propensity.events.synthetic import generate, write
from propensity.features import tokens


def days(first: int, stop: int) -> list[dt.date]:
    return [FIRST + dt.timedelta(days=n) for n in range(first, stop)]


def activity(lake) -> Counter:
    """(region, user, token text, day) -> (count, value), read back from the lake."""
    names = {r["token"]: (r["field"], r["value"]) for r in lake.read_rows(TOKENS).to_pylist()}
    found = Counter()
    for region in lake.config.region_names:
        for row in lake.read_rows(ACTIVITY, region=region).to_pylist():
            key = (region, row["user_id"], *names[row["token"]], row["event_date"])
            assert key not in found, "a key stands twice"
            found[key] = row["count"]
    return found


def raw(lake, wanted: list[dt.date]) -> Counter:
    """The same from the raw files, one event at a time."""
    found = Counter()
    for file in sorted((lake.config.home / "raw").glob("*.parquet")):
        for event in pq.read_table(file).to_pylist():
            day = event["happened_at"].date()
            if day in wanted:
                for field in ("topic", "brand"):
                    found[event["market"].lower(), event["customer"], field, event[field], day] += 1
    return found


def ledger(lake) -> dict[tuple[str, dt.date], str]:
    found = landing.landed(lake, lake.config.region_names)
    return {(region, day): digest for region, done in found.items() for day, (digest, _) in done.items()}


@pytest.mark.parametrize("steps", [[(0, 40)], [(n, n + 1) for n in range(34, 40)], [(0, 20), (20, 40)], [(10, 35), (5, 40)]])
def test_activity_is_the_events_added_up_however_the_days_land(tmp_path, steps):
    lake = make_shop(tmp_path, customers=4, days=45)
    for first, stop in steps:
        land_here(lake, days(first, stop))
    wanted = days(min(s[0] for s in steps), max(s[1] for s in steps))
    assert activity(lake) == raw(lake, wanted)
    assert set(landing.landed(lake, ["alps"])["alps"]) == set(wanted)


def test_a_small_landing_needs_no_spark_and_writes_the_very_files(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "propensity.engine.session", None)  # what imports it fails
    lake, plain = (make_shop(tmp_path / name, customers=4, days=45) for name in "ab")
    for first, stop in ((0, 33), (33, 34), (30, 40)):
        plan = landing.plan_landing(lake, days(first, stop))
        rows = land(lake, plan)
        for region in lake.config.region_names:
            landing.commit_landing(lake, plan.id, region)
        land_here(plain, days(first, stop))
        assert rows
        assert lake.files(ACTIVITY) == plain.files(ACTIVITY)
    with pytest.raises(ImportError):
        land(lake, landing.plan_landing(lake, days(0, 33), force=True), small=1000)


def test_landing_again_is_nothing_to_do_and_force_changes_no_byte(tmp_path):
    lake = make_shop(tmp_path, customers=4, days=40)
    land_here(lake, days(0, 40))
    before, version = lake.files(ACTIVITY), lake.version(ACTIVITY)
    assert land_here(lake, days(0, 40)) is None
    assert land_here(lake, days(3, 9), force=True)
    assert lake.files(ACTIVITY) == before
    assert lake.version(ACTIVITY) == version


def test_a_day_that_comes_again_replaces_itself_alone(tmp_path):
    lake = make_shop(tmp_path, customers=4, days=40)
    land_here(lake, days(0, 40))
    january, ids = lake.files(ACTIVITY, period="2025-01"), lake.read_rows(TOKENS)
    before = ledger(lake)
    path, third = lake.config.home / "raw" / "2025-02.parquet", dt.date(2025, 2, 3)
    events = pq.read_table(path)
    of_the_third = [n for n, day in enumerate(events["happened_at"].cast("date32").to_pylist()) if day == third]
    pq.write_table(events.take([n for n in range(len(events)) if n != of_the_third[0]]), path)
    land_here(lake, days(0, 40))
    assert activity(lake) == raw(lake, days(0, 40))
    assert lake.files(ACTIVITY, period="2025-01") == january
    assert lake.read_rows(TOKENS).equals(ids)
    changed = {day for (region, day), digest in ledger(lake).items() if digest != before[region, day]}
    assert changed == {third}


def test_token_ids_never_change_when_new_tokens_come(tmp_path):
    lake = make_shop(tmp_path, customers=3, days=10)
    land_here(lake, days(0, 10))
    before = {tuple(r.values())[1:]: r["token"] for r in lake.read_rows(TOKENS).to_pylist()}
    write(lake.config.home / "raw", generate(12, FIRST, 60, seed=5))
    land_here(lake, days(0, 60))
    after = {tuple(r.values())[1:]: r["token"] for r in lake.read_rows(TOKENS).to_pylist()}
    assert len(after) > len(before)
    assert {key: after[key] for key in before} == before
    assert sorted(after.values()) == list(range(len(after)))


def test_two_landings_of_one_period_conflict_rather_than_lose_a_day(tmp_path):
    lake = make_shop(tmp_path, customers=3, days=20)
    land_here(lake, days(0, 9))
    plan = landing.plan_landing(lake, days(9, 10))
    groups = {key: group for key, group in landing.groups_of(lake, plan).items() if key[0] == "alps"}
    landing.write_manifest(lake, plan, "alps", groups.values(), [], landing.Tally())
    land_here(lake, days(10, 18))
    with pytest.raises(ConflictError, match="changed since it was read"):
        landing.commit_landing(lake, plan.id, "alps")


def test_a_ledger_that_missed_its_commit_makes_the_day_land_again(tmp_path):
    lake = make_shop(tmp_path, customers=3, days=20)
    land_here(lake, days(0, 5))
    lake.commit(LANDED, [], {"region": "coast"}, {})
    assert land_here(lake, days(0, 5))
    assert activity(lake) == raw(lake, days(0, 5))
    assert set(landing.landed(lake, ["coast"])["coast"]) == set(days(0, 5))


def test_days_before_the_data_are_not_expected_and_none_at_all_is_an_error(tmp_path):
    lake = make_shop(tmp_path, customers=3, days=20)
    assert landing.days_needed(lake.config, FIRST + dt.timedelta(days=3), "scoring") == days(0, 3)
    with pytest.raises(DataError, match="no events before 2025-01-01"):
        landing.days_needed(lake.config, FIRST, "scoring")


def test_a_vocabulary_with_a_gap_is_refused(tmp_path):
    lake = make_shop(tmp_path, customers=3, days=5)
    land_here(lake, days(0, 5))
    with pytest.raises(DataError, match="without a gap"):
        tokens.Vocabulary(lake.read_rows(TOKENS).slice(1))
