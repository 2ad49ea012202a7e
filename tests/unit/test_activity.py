"""Activity rows against the formulation that they were first made by: the same rows, the same bits."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.shop import make_config

from propensity.config import Config
from propensity.contracts import ACTIVITY, TOKENS, day_of
from propensity.events import activity
from propensity.features.buckets import buckets_of
from propensity.features.tokens import Vocabulary, token_ids, union
from propensity.storage import Lake

REGIONS = ("alps", "coast", "plains")
Event = tuple[str, int, int, int, float]
KEYS = ["user_id", "token", "event_date"]

events = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "c", "d", "ä"]),
        st.sampled_from(REGIONS),
        st.integers(0, 3),
        st.sampled_from([20_000, 20_001, 20_030, 20_060]),
        st.floats(-1e6, 1e6),
    ),
    max_size=80,
)


@pytest.fixture(scope="module", params=["string", "int64"])
def config(request, tmp_path_factory) -> Config:
    return make_config(tmp_path_factory.mktemp("conf"), tables={"user_id": request.param, "buckets": 3})


def columns(config: Config, rows: list[Event]) -> tuple[pa.Array, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    user, region, token, day, value = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    ids = pa.array(user, pa.string())
    if config.tables.user_id == "int64":
        ids = pa.array([-len(u) - sum(map(ord, u)) * 2**33 for u in user], pa.int64())
    where = np.array([config.region_names.index(name) for name in region], np.int32)
    return ids, where, np.array(token, np.int32), np.array(day, np.int32), np.array(value, np.float64)


def by_arrow(config: Config, user, region, token, day, value) -> dict[activity.GroupKey, pa.Table]:
    """Group by five keys, filter each (region, month, bucket) out of the sums."""
    names = [config.region_names[at] for at in region]
    table = pa.table({
        "region": pa.array(names, pa.string()), "bucket": pa.array(buckets_of(user, config.tables.buckets), pa.int32()),
        "user_id": user, "token": pa.array(token, pa.int32()), "day": pa.array(day, pa.int32()), "value": pa.array(value),
    })  # fmt: skip
    keys = ["region", "bucket", "user_id", "token", "day"]
    summed = table.group_by(keys, use_threads=False).aggregate([("value", "sum"), ([], "count_all")])
    month = pa.array([day_of(d).isoformat()[:7] for d in summed["day"].to_pylist()], pa.string())
    summed = summed.append_column("month", month)
    result = {}
    for key in summed.group_by(["region", "month", "bucket"]).aggregate([]).to_pylist():
        same = (pc.field("region") == key["region"]) & (pc.field("month") == key["month"]) & (pc.field("bucket") == key["bucket"])
        rows = summed.filter(same)
        result[key["region"], key["month"], key["bucket"]] = pa.table({
            "user_id": rows["user_id"], "token": rows["token"], "event_date": rows["day"].cast(pa.date32()),
            "count": rows["count_all"].cast(pa.int32()), "value": rows["value_sum"],
        })  # fmt: skip
    return result


def sorted_by_arrow(schema: pa.Schema, parts: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables([schema.empty_table(), *(p.cast(schema) for p in parts)])
    table = table.sort_by([(k, "ascending") for k in [*KEYS, "count", "value"]])
    summed = table.group_by(KEYS, use_threads=False).aggregate([("count", "sum"), ("value", "sum")])
    found = {k: summed[k] for k in KEYS} | {"count": summed["count_sum"].cast(pa.int32()), "value": summed["value_sum"]}
    return pa.table(found).sort_by([(k, "ascending") for k in KEYS]).combine_chunks().cast(schema)


@given(st.lists(events, min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_groups_have_the_bits_of_a_group_by(config, files):
    lake, schema = Lake(config), ACTIVITY.file_schema(config.tables.user_id)
    mine = [activity._sum_up(config, *columns(config, rows)) for rows in files]
    plain = [by_arrow(config, *columns(config, rows)) for rows in files]
    for ours, theirs in zip(mine, plain, strict=True):
        assert set(ours) == set(theirs)
    for key in set().union(*mine):
        got = activity._merge(lake, [part[key] for part in mine if key in part])
        wanted = sorted_by_arrow(schema, [part[key] for part in plain if key in part])
        assert activity.digest_of(got) == activity.digest_of(wanted)


words = st.lists(st.sampled_from(["", "a", "b", "ä", "new", "x y"]), max_size=12)


@given(st.lists(st.sampled_from(["", "a", "b", "ä", "new", None]), max_size=30), words, st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_tokens_are_found_as_in_a_dictionary(values, known, first):
    known = list(dict.fromkeys(known))
    ids = np.arange(first, first + len(known), dtype=np.int32)
    found = token_ids(pa.array(values, pa.string()), pa.array(known, pa.string()), ids)
    assert found.tolist() == [dict(zip(known, ids.tolist(), strict=True)).get(value, -1) for value in values]


@given(words, words, words)
@settings(max_examples=100, deadline=None)
def test_new_tokens_are_those_without_an_id_each_once(known, one, other):
    known = sorted({("buy", "item", word) for word in known})
    vocabulary = Vocabulary(TOKENS.file_schema("int64").empty_table()).extended(known)
    parts = [pa.array(part, pa.string()) for part in (one, other)]
    asked = union({("buy", field): part for field in ("brand", "item")} for part in parts)
    new = [("buy", field, word) for field in ("brand", "item") for word in {*one, *other}]
    assert vocabulary.missing(asked) == sorted(set(new) - set(known))


def test_many_events_of_one_key_are_added_in_their_order(config):
    random = np.random.default_rng(0)
    rows = [("a", "alps", 1, 20_000 + int(n % 2), v) for n, v in enumerate(random.normal(0, 1e9, 70_001))]
    (got,) = activity._sum_up(config, *columns(config, rows)).values()
    (wanted,) = by_arrow(config, *columns(config, rows)).values()
    assert got["count"].to_pylist() == [35_001, 35_000]
    assert sorted(got["value"].to_pylist()) == sorted(wanted["value"].to_pylist())


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=50), st.integers(0, 2**22), st.integers(0, 2**20)
)
def test_the_order_by_two_keys_is_theirs_whether_they_fit_into_one(keys, highest, widest):
    major, minor = (np.array([pair[n] % (limit + 1) for pair in keys], np.int64) for n, limit in ((0, highest), (1, widest)))
    for scale in (1, 2**21):  # 42 bits, which fit, and 84, which do not
        order = activity._order(major * scale, minor * scale)
        assert [(major[n], minor[n]) for n in order] == sorted(zip(major, minor, strict=True))


def test_a_day_without_rows_is_an_empty_table(config):
    assert activity._sum_up(config, *columns(config, [])) == {}
    merged = activity._merge(Lake(config), [])
    assert merged.num_rows == 0
    assert merged.schema.equals(ACTIVITY.file_schema(config.tables.user_id))


def test_month_and_bucket_are_where_a_row_goes(config):
    found = activity._sum_up(config, *columns(config, [("a", "coast", 2, 20_060, 1.5), ("a", "coast", 2, 20_000, 1.0)]))
    bucket = int(buckets_of(columns(config, [("a", "coast", 2, 0, 0.0)])[0], 3)[0])
    assert set(found) == {("coast", "2024-12", bucket), ("coast", "2024-10", bucket)}
    assert found["coast", "2024-12", bucket]["event_date"].to_pylist() == [dt.date(2024, 12, 3)]
