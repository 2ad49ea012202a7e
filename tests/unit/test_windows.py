"""Features and labels against a plain reading of their definitions, on any events that hypothesis can think of."""

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.config import MAX_CHANNELS
from propensity.contracts import ACTIVITY, day_number
from propensity.errors import DataError
from propensity.features.buckets import buckets_of
from propensity.features.csr import SparseBatch
from propensity.features.labels import build_labels
from propensity.features.windows import Activity, Plan, build_features, sort_activity

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
    ).sort_by([(key, "ascending") for key in ("user_id", "token", "event_date")])


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


# -- the compiled loops against numpy ----------------------------------------------------------------------------------


def in_numpy(activity: Activity, score_date: dt.date, plan: Plan) -> tuple[pa.Array, SparseBatch]:
    """The formulation that feature files were first made by: their bits are those of today's."""
    end = day_number(score_date)
    seen = (activity.day < end) & (activity.day >= end - plan.history_days) & (plan.masks[activity.token] != 0)
    user, token, ago = activity.user[seen], activity.token[seen], end - activity.day[seen]
    if not len(user):
        return activity.users.slice(0, 0), SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int64))
    first = np.flatnonzero(np.concatenate([[True], (user[1:] != user[:-1]) | (token[1:] != token[:-1])]))
    last = np.append(first[1:], len(ago)) - 1
    steps = last - first
    amounts = {"count": activity.count[seen], "value": activity.value[seen], "days": np.ones(len(ago), np.int32)}
    channels = {
        "recency": lambda _: np.exp(-ago[last] / 28.0),
        "interval": lambda _: np.where(steps > 0, np.log1p((ago[first] - ago[last]) / np.maximum(steps, 1)), 0),
    }
    columns = []
    for name in plan.channels:
        kind, _, window = name.partition("_")
        if kind in amounts:
            total = np.add.reduceat(np.where(ago <= int(window), amounts[kind], 0).astype(np.float64), first)
            columns.append((np.sign(total) * np.log1p(np.abs(total))).astype(np.float32))
        else:
            columns.append(channels[kind](window).astype(np.float32))
    matrix = np.stack(columns, axis=1)
    slots = np.arange(len(plan.channels), dtype=np.uint32)
    has = ((plan.masks[token[first]][:, None] >> slots) & 1).astype(bool) & (matrix != 0)
    ids = token[first][:, None] * np.int32(MAX_CHANNELS) + slots.astype(np.int32)
    present, start = np.unique(user[first], return_index=True)
    offsets = np.concatenate([[0], np.cumsum(np.add.reduceat(has.sum(axis=1), start))]).astype(np.int64)
    return activity.users.take(pa.array(present)), SparseBatch(ids[has], matrix[has], offsets)


def assert_same_bits(activity: Activity, score_date: dt.date, plan: Plan) -> SparseBatch:
    users, batch = build_features(activity, score_date, plan)
    wanted_users, wanted = in_numpy(activity, score_date, plan)
    assert users.equals(wanted_users)
    for name in ("indices", "values", "offsets"):
        got, expected = getattr(batch, name), getattr(wanted, name)
        assert got.dtype == expected.dtype
        assert got.tobytes() == expected.tobytes(), name
    return batch


@given(rows, st.integers(-3, 12))
@settings(max_examples=200, deadline=None)
def test_compiled_features_have_the_bits_of_the_numpy_ones(events, later):
    activity = sort_activity([table(events)], SCHEMA)
    assert_same_bits(activity, SCORE_DATE + dt.timedelta(days=later), PLAN)


@pytest.mark.parametrize("history", [5, 100, 160, 165, 170, 300, 700])
def test_long_histories_are_summed_in_the_order_of_numpy(history):
    random = np.random.default_rng(history)
    days = 700
    keep = np.sort(random.choice(3 * 4 * days, 3 * 4 * days * 4 // 5, replace=False))
    # Large numbers that cancel, so that another order of additions shows; and some that are no float32.
    value = np.where(np.arange(len(keep)) % 2, 1e12, -1e12) + random.normal(0, 1, len(keep))
    value = np.where(random.random(len(keep)) < 0.01, 1e-60, value)
    user, token, ago = keep // (4 * days), keep // days % 4, days - keep % days
    activity = Activity(
        pa.array([3, 5, 9]), user.astype(np.int32), token.astype(np.int32), (day_number(SCORE_DATE) - ago).astype(np.int32),
        random.integers(0, 9_000, len(keep)).astype(np.int32), value,
    )  # fmt: skip
    names = [f"{kind}_{window}" for kind in ("count", "days", "value") for window in (1, 8, 9, 17, 130, 300) if window <= history]
    plan = Plan((*names, "recency", "interval"), np.array([2**32 - 1, 2**32 - 1, 0, 0b10101], np.uint32), history)
    batch = assert_same_bits(activity, SCORE_DATE, plan)
    assert len(batch.indices) > 20


@given(rows, st.lists(st.integers(0, 4), min_size=60, max_size=60))
@settings(max_examples=200, deadline=None)
def test_files_are_merged_however_rows_lie_in_them(events, place):
    whole = table(events)
    where = pa.array(place[: len(whole)], pa.int64())
    merged = sort_activity([whole.filter(pc.equal(where, part)) for part in range(5)], SCHEMA)
    assert merged.users.to_pylist() == sorted({user for user, _, _ in events})
    assert merged.users.take(pa.array(merged.user)).equals(whole["user_id"].combine_chunks())
    for name in ("token", "count", "value"):
        assert getattr(merged, name).tobytes() == whole[name].to_numpy().tobytes()
    assert merged.day.tolist() == whole["event_date"].cast(pa.int32()).to_pylist()


def test_days_of_equal_rows_keep_the_order_of_their_files():
    one, other = (table({("a", 1, 4): (count, 1.0)}) for count in (7, 3))
    assert sort_activity([one, other], SCHEMA).count.tolist() == [7, 3]


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 0, 1)])
def test_a_file_out_of_order_is_refused(order):
    events = table({("a", 0, 3): (1, 1.0), ("a", 1, 3): (1, 1.0), ("b", 0, 3): (1, 1.0)})
    with pytest.raises(DataError, match="not in the order"):
        sort_activity([events, events.take(list(order))], SCHEMA)


def test_a_token_that_the_plan_does_not_know_is_refused():
    activity = sort_activity([table({("a", 4, 1): (1, 1.0)})], SCHEMA)
    with pytest.raises(DataError, match="without an id"):
        build_features(activity, SCORE_DATE, Plan(CHANNELS, MASKS[:4], HISTORY))


def test_day_numbers_are_those_of_arrow():
    assert pa.scalar(SCORE_DATE, pa.date32()).cast(pa.int32()).as_py() == day_number(SCORE_DATE)
