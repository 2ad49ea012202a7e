"""The events of the speed benchmarks: the same for the same seed, of the shape that they say."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from benchmarks.speed import events as generator
from benchmarks.speed.events import REGIONS, Shape, configuration, events_of, write_day
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.contracts import day_number
from propensity.events.source import find_files, read

DAY = dt.date(2025, 3, 1)


def day_of(shape: Shape, day: dt.date = DAY) -> pa.Table:
    return pa.concat_tables(events_of(shape, day)).combine_chunks()


@given(st.integers(1, 5_000), st.integers(1, 3_000), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_day_holds_its_events_whatever_the_shape(users, count, seed):
    table = day_of(Shape(users, count, tokens=50, seed=seed))
    assert table.num_rows == count
    assert set(pc.unique(table["region"]).to_pylist()) <= set(REGIONS)
    assert pc.min(table["user_id"]).as_py() >= 0
    assert pc.max(table["user_id"]).as_py() < users
    days = table["event_time"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    assert pc.unique(days).to_pylist() == [DAY]
    assert pc.min(table["amount"]).as_py() > 0


def test_a_day_depends_on_seed_and_day_alone():
    shape = Shape(1_000, 2_000)
    assert day_of(shape).equals(day_of(shape))
    assert not day_of(shape)["user_id"].equals(day_of(shape, DAY + dt.timedelta(days=1))["user_id"])
    assert not day_of(shape)["user_id"].equals(day_of(Shape(1_000, 2_000, seed=2))["user_id"])


def test_a_large_day_comes_in_chunks_that_follow_in_time(monkeypatch):
    monkeypatch.setattr(generator, "CHUNK", 400)
    parts = list(events_of(Shape(1_000, 1_500), DAY))
    assert [part.num_rows for part in parts] == [400, 400, 400, 300]
    times = pa.concat_tables(parts)["event_time"].to_numpy()
    assert (np.diff(times) >= np.timedelta64(0)).all()


def test_customers_are_log_normal_tokens_zipf_and_regions_skewed():
    shape = Shape(20_000, 400_000, tokens=5_000)
    table = day_of(shape)
    counts = np.bincount(table["user_id"].to_numpy(), minlength=shape.users)
    # Shares of a log-normal with spread 1: the upper half of customers have Phi(1) = 84% of the events, the upper tenth 39%.
    ordered = np.cumsum(np.sort(counts)[::-1]) / counts.sum()
    assert ordered[shape.users // 2] == pytest.approx(0.84, abs=0.03)
    assert ordered[shape.users // 10] == pytest.approx(0.39, abs=0.03)
    tokens = np.sort(np.unique(table["item"].to_numpy(), return_counts=True)[1])[::-1]
    assert tokens[0] / tokens[90] == pytest.approx(10**1.05, rel=0.2)
    customers = table.group_by("user_id").aggregate([("region", "count_distinct"), ("region", "min")])
    assert pc.max(customers["region_count_distinct"]).as_py() == 1
    share = pc.value_counts(customers["region_min"]).to_pylist()
    assert {row["values"]: row["counts"] / len(customers) for row in share} == pytest.approx(REGIONS, abs=0.02)


def test_our_own_source_reads_them(tmp_path):
    path = write_day(tmp_path, Shape(100, 300), DAY)
    config = configuration(tmp_path, DAY, (7, 28))
    (file,) = find_files(config, [DAY])
    events = read(config, file)
    assert file.path == str(path)
    assert len(events) == 300
    assert events["item"].type == pa.string()
    assert config.features.channel_names() == ("value_7", "value_28")
    assert day_number(DAY) == pc.min(events["event_time"]).cast(pa.timestamp("us")).as_py().date().toordinal() - 719_163
