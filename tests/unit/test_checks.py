"""What is counted of raw events: by region and day, with examples of the right region."""

import datetime as dt
import pickle
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.config import EventColumns, EventSource
from propensity.contracts import day_number
from propensity.events.checks import COUNTS, UNKNOWN_REGION, Regions, Tally, tally
from propensity.events.source import TIME

DAY = dt.date(2025, 1, 6)


def source(**changes) -> EventSource:
    columns = EventColumns(user_id="u", event_time="t")
    return EventSource(
        **{"name": "orders", "files": "x", "event_type": "order", "columns": columns, "fields": {"topic": "topic"}} | changes
    )


def counted(rows: list[tuple[str, str, int, float, str | None]], **changes) -> Tally:
    """Rows of (user, region, day of January, value, topic), of a file named for the sixth."""
    users, regions, days, values, topics = zip(*rows, strict=True) if rows else ((),) * 5
    times = [dt.datetime(2025, 1, d, 12) for d in days]
    table = pa.table({
        "user_id": pa.array(users, pa.string()), "region": pa.array(regions, pa.string()), "event_time": pa.array(times, TIME),
        "value": pa.array(values, pa.float64()), "topic": pa.array(topics, pa.string()),
    })  # fmt: skip
    numbers = np.array([day_number(t.date()) for t in times], np.int32)
    names = (*sorted({*regions} - {UNKNOWN_REGION}), UNKNOWN_REGION)
    where = Regions(names, np.array([names.index(region) for region in regions], np.int32))
    return tally(table, source(**changes), "x.parquet", where, numbers, day_number(DAY))


def row(found: Tally, region: str) -> dict:
    (result,) = found.rows(region, [day_number(DAY)], {day_number(DAY): DAY})
    return result


GOOD = [("a", "alps", 6, 1.0, "x"), ("b", "coast", 6, 2.0, "x")]


def test_good_events_have_nothing_against_them():
    wanted = dict.fromkeys(COUNTS, 0) | {"events": 1, "expected": 1, "users": 1, "region": "alps", "event_date": "2025-01-06"}
    assert row(counted(GOOD), "alps") == wanted


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (("a", "alps", 6, 1.0, "x"), "duplicated"),
        (("a", "alps", 7, 1.0, "x"), "outside_day"),
        (("a", "alps", 5, 1.0, "x"), "outside_day"),
        (("a", "alps", 6, -0.01, "x"), "negative_value"),
        ((None, "alps", 6, 1.0, "x"), "null_user"),
        (("c", "?", 6, 1.0, "x"), "unknown_region"),
    ],
)
def test_each_kind_of_bad_row_is_counted_once_and_shown(bad, check):
    found = counted([*GOOD, bad])
    assert row(found, "alps")[check] == 1
    others = set(COUNTS) - {check, "events", "expected", "users"}
    assert {name: row(found, "alps")[name] for name in others} == dict.fromkeys(others, 0)
    assert "[x.parquet]" in found.examples_for("alps")[check][0]


events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]), st.sampled_from(["alps", "coast", "?"]), st.sampled_from([1, 5, 6]),
        st.sampled_from([1.0, -1.0, None]), st.sampled_from(["x", "y", None]),
    ),
    max_size=40,
)  # fmt: skip


@given(events)
@settings(max_examples=200, deadline=None)
def test_counts_are_those_of_a_walk_over_the_events(rows):
    wanted, seen, users = Counter(), set(), set()
    for user, region, day, value, topic in rows:
        wanted[region, "events"] += 1
        wanted[region, "duplicated"] += (user, region, day, value, topic) in seen
        wanted[region, "outside_day"] += day != 6
        wanted[region, "negative_value"] += value == -1.0
        wanted[region, "null_user"] += user is None
        wanted[region, "missing_required"] += topic is None
        seen.add((user, region, day, value, topic))
        users.add((region, user))
    found = counted(rows, require=("topic",))
    for region in ("alps", "coast", "?"):
        counts = found.counts.get((region, day_number(DAY)), dict.fromkeys(COUNTS, 0))
        named = {check: counts[check] for check in ("events", "duplicated", "outside_day", "negative_value", "null_user",
                                                    "missing_required")}  # fmt: skip
        assert named == {check: wanted[region, check] for check in named}
        assert counts["users"] == len({u for r, u in users if r == region and u is not None})


def test_examples_are_of_the_region_asked_for():
    found = counted([("a", "alps", 6, -1.0, "x"), ("b", "coast", 6, -2.0, "x"), ("c", "?", 6, 1.0, "x")])
    shown = found.examples_for("coast")
    assert len(shown["negative_value"]) == 1
    assert "user b" in shown["negative_value"][0]
    assert "user c" in shown["unknown_region"][0]


def test_an_optional_source_does_not_make_up_for_an_expected_one():
    campaigns = counted(GOOD, optional=True)
    campaigns.merge(counted([]))
    assert row(campaigns, "alps")["events"] == 1
    assert row(campaigns, "alps")["expected"] == 0


def test_missing_required_fields_are_counted():
    assert row(counted([("a", "alps", 6, 1.0, None)], require=("topic",)), "alps")["missing_required"] == 1


def test_tallies_travel_between_processes_and_add_up():
    total = pickle.loads(pickle.dumps(counted(GOOD)))  # noqa: S301  our own bytes
    total.merge(counted([("d", "alps", 6, -1.0, "x")]))
    assert row(total, "alps")["events"] == 2
    assert row(total, "alps")["negative_value"] == 1
    assert row(total, "plains")["events"] == 0
