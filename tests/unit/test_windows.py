"""Features and labels against a plain reading of their definitions, on any events that hypothesis can think of."""

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.config import MAX_CHANNELS
from propensity.contracts import ACTIVITY, day_number
from propensity.features.buckets import buckets_of
from propensity.features.labels import build_labels
from propensity.features.windows import Plan, build_features, sort_activity

SCORE_DATE = dt.date(2025, 3, 1)
CHANNELS = ("count_3", "count_10", "days_10", "value_10", "recency", "interval")
HISTORY = 20
TOKENS = 5
MASKS = np.array([0b111111, 0b110001, 0b001000, 0, 0b111111], np.uint32)  # token 3 has no channel
PLAN = Plan(CHANNELS, MASKS, HISTORY)
SCHEMA = ACTIVITY.file_schema("string")

Event = tuple[str, int, int, int, float]

rows = st.dictionaries(
    st.tuples(st.sampled_from(["", "a", "b", "c", "ä"]), st.integers(0, TOKENS - 1), st.integers(-8, 30)),
    st.tuples(st.integers(1, 4), st.floats(-50, 50, width=32)),
    max_size=60,
)


def table(events: dict[tuple[str, int, int], tuple[int, float]]) -> pa.Table:
    """Events by (user, token, days before the score date; negative is the future)."""
    day = [SCORE_DATE - dt.timedelta(days=ago) for _, _, ago in events]
    return pa.table(
        [
            pa.array([u for u, _, _ in events], pa.string()),
            pa.array([t for _, t, _ in events], pa.int32()),
            pa.array(day, pa.date32()),
            pa.array([c for c, _ in events.values()], pa.int32()),
            pa.array([v for _, v in events.values()], pa.float64()),
        ],
        schema=SCHEMA,
    )


def signed(total: float) -> float:
    return math.copysign(math.log1p(abs(total)), total)


def plainly(events: dict[tuple[str, int, int], tuple[int, float]]) -> dict[str, dict[int, float]]:
    """The definition, one pair at a time."""
    result: dict[str, dict[int, float]] = {}
    for user in sorted({u for u, t, ago in events if 1 <= ago <= HISTORY and MASKS[t]}):
        row: dict[int, float] = {}
        for token in range(TOKENS):
            past = {ago: cv for (u, t, ago), cv in events.items() if (u, t) == (user, token) and 1 <= ago <= HISTORY}
            if not past:
                continue
            agos = sorted(past)
            values = {
                "count_3": signed(sum(c for ago, (c, _) in past.items() if ago <= 3)),
                "count_10": signed(sum(c for ago, (c, _) in past.items() if ago <= 10)),
                "days_10": signed(sum(ago <= 10 for ago in agos)),
                "value_10": signed(sum(v for ago, (_, v) in past.items() if ago <= 10)),
                "recency": math.exp(-agos[0] / 28),
                "interval": math.log1p((agos[-1] - agos[0]) / (len(agos) - 1)) if len(agos) > 1 else 0.0,
            }
            for slot, name in enumerate(CHANNELS):
                if MASKS[token] >> slot & 1 and values[name] != 0:
                    row[token * MAX_CHANNELS + slot] = values[name]
        result[user] = row
    return result


def built(events: pa.Table, parts: int = 1) -> dict[str, dict[int, float]]:
    step = max(1, -(-len(events) // parts))
    pieces = [events.slice(n, step) for n in range(0, len(events), step)]
    users, batch = build_features(sort_activity(pieces, SCHEMA), SCORE_DATE, PLAN)
    batch.check()
    found = {}
    for position, user in enumerate(users.to_pylist()):
        row = batch.rows(position, position + 1)
        found[user] = dict(zip(row.indices.tolist(), row.values.tolist(), strict=True))
    return found


def assert_same(got: dict[str, dict[int, float]], wanted: dict[str, dict[int, float]]) -> None:
    assert list(got) == list(wanted)
    for user, row in wanted.items():
        kept = {k: v for k, v in row.items() if abs(v) > 1e-5}
        assert {k: v for k, v in got[user].items() if abs(v) > 1e-5} == pytest.approx(kept, rel=1e-5, abs=1e-6)


@given(rows, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_features_follow_their_definition_whatever_the_files(events, parts):
    assert_same(built(table(events), parts), plainly(events))


@given(rows, rows)
@settings(max_examples=100, deadline=None)
def test_planted_future_events_change_nothing(events, planted):
    future = {(u, t, -abs(ago)): value for (u, t, ago), value in planted.items()}  # the score date itself and later
    past = {key: value for key, value in events.items() if key[2] >= 1}
    assert_same(built(table(past | future)), built(table(past)))


@given(rows, st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_buckets_together_are_the_whole(events, buckets):
    whole = built(table(events))
    rows = table(events)
    bucket = buckets_of(rows["user_id"].combine_chunks(), buckets)
    parts = [built(rows.filter(pa.array(bucket == b))) for b in range(buckets)]
    union = {user: row for part in parts for user, row in part.items()}
    assert sum(len(part) for part in parts) == len(union)
    assert_same(dict(sorted(union.items())), whole)


@given(rows)
@settings(max_examples=100, deadline=None)
def test_labels_are_the_days_from_the_cutoff_to_the_horizon(events):
    categories = np.array([0, 2, 4], np.int32)
    activity = sort_activity([table(events)], SCHEMA)
    users = pa.array(["a", "c", "nobody"])
    labels = build_labels(activity, users, SCORE_DATE, 5, categories).to_pylist()
    for user, got in zip(users.to_pylist(), labels, strict=True):
        wanted = {t for (u, t, ago) in events if u == user and -5 < ago <= 0 and t in (0, 2, 4)}
        assert got == sorted(wanted)


def test_day_numbers_are_those_of_arrow():
    assert pa.scalar(SCORE_DATE, pa.date32()).cast(pa.int32()).as_py() == day_number(SCORE_DATE)
