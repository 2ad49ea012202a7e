"""The features benchmark: peers make the very rows that ours makes, a difference is seen, and tables say what was measured."""

import dataclasses
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from benchmarks.speed import contest, day_cost, features, features_profile, landing
from benchmarks.speed.events import Shape, write_day, write_vocabulary
from benchmarks.speed.features_peers import ENGINES, _arrow_features
from benchmarks.speed.landing_peers import Day, land_by_duckdb
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shop import land_here

from propensity.contracts import ACTIVITY
from propensity.engine.features import make_features
from propensity.features.csr import SparseBatch
from propensity.features.windows import build_features, sort_activity
from propensity.quality.statistics import feature_statistics
from propensity.storage import Lake

SHAPE = Shape(users=60, events_a_day=150, tokens=80)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with ten days landed and ours made."""
    home = tmp_path_factory.mktemp("speed")
    with mock.patch.object(features, "WINDOWS", (2, 5, 10)):
        for day in features.days():
            write_day(home, SHAPE, day)
        lake = Lake(features.config_of(home))
        land_here(lake, features.days())
        write_vocabulary(lake, home)
        for region in lake.config.region_names:
            make_features(lake, region, [features.SCORE_DATE], force=False)
        yield home


def made_by(home, name):
    features.start_peer(home, name)()
    return home / "peers" / name


@pytest.mark.parametrize("name", ["DuckDB from raw", "Polars streaming from raw"])
def test_peers_make_the_rows_that_ours_makes(home, name):
    made_by(home, name)
    assert features.disagreement(home, name) < 1e-6


def test_a_row_that_differs_is_seen(home):
    folder = made_by(home, "DuckDB from raw")
    file = sorted(folder.glob("region=us/*.parquet"))[0]
    rows = pq.read_table(file, partitioning=None)
    values = rows["values"].combine_chunks()
    more = pa.ListArray.from_arrays(values.offsets, pa.array(values.values.to_numpy() + 1e-3))
    pq.write_table(rows.set_column(rows.column_names.index("values"), "values", more), file)
    with pytest.raises(SystemExit, match="other values"):
        features.disagreement(home, "DuckDB from raw")
    pq.write_table(rows.slice(1), file)
    with pytest.raises(SystemExit, match="other rows"):
        features.disagreement(home, "DuckDB from raw")


def test_the_arrow_function_makes_the_rows_that_ours_makes(home):
    task = features._task(home, home / "peers" / "arrow")
    tokens = pq.read_table(task.vocabulary)
    events = pa.concat_tables([pq.read_table(f) for f in task.files]).join(tokens, "item", join_type="inner")
    batch = _arrow_features(events.combine_chunks(), [np.datetime64(day, "us") for day in task.since()])
    rows = pa.Table.from_batches([batch])
    for region in features.config_of(home).region_names:
        folder = task.out / f"region={region}"
        folder.mkdir(parents=True)
        pq.write_table(rows.filter(pc.equal(rows["region"], region)), folder / "0.parquet")
    assert features.disagreement(home, "arrow") < 1e-6


def test_duckdb_lands_the_activity_that_ours_lands(home):
    day = features.days()[-1]
    out = home / "peers" / "landing"
    land_by_duckdb(Day(features.day_file(home, day), home / "vocabulary.parquet", 4, out), counts=True)
    keys = ["user_id", "token", "event_date"]
    files = sorted((out / "activity").rglob("*.parquet"))
    theirs = pa.concat_tables([pq.read_table(f, partitioning=None).select([*keys, "count", "value"]) for f in files])
    theirs = theirs.sort_by([(k, "ascending") for k in keys])
    lake = Lake(features.config_of(home))
    ours = pa.concat_tables([lake.read_rows(ACTIVITY, region=region) for region in lake.config.region_names])
    ours = ours.filter(pc.equal(ours["event_date"], pa.scalar(day))).sort_by([(k, "ascending") for k in keys])
    for name in (*keys, "count"):
        assert ours[name].to_pylist() == theirs[name].to_pylist()
    assert theirs["value"].to_pylist() == pytest.approx(ours["value"].to_pylist())
    assert (out / "counts.json").stat().st_size


def test_every_peer_is_a_contender_with_a_line():
    figures = {"run_s": 4.0, "start_s": 1.0, "peak_mb": 2048.0, "cpu_s": 7.0, "all_s": [4.0, 3.0, 5.0]}
    contenders = {
        name: figures | {"run_s": 4.0 * n, "all_s": [n * s for s in figures["all_s"]]}
        for n, name in enumerate((features.OURS, features.SPARK, features.BARE, *ENGINES), 1)
    }
    result = {"events": 20_000_000, "users": 300_000, "windows": (7, 28, 91), "threads": 2, "contenders": contenders,
              "load_before": 0.5, "load_after": 2.0}  # fmt: skip
    lines = features.table(result)
    assert lines[2] == f"| {features.OURS} | 3 | 4.0 | 5.0 | 1.0 | 7 | 1.0 | 2.0 |"
    assert [line.split(" | ")[4] for line in lines[2:9]] == ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0"]
    assert "medians of the turns, of a round's ratios; load average 0.5 before, 2.0 after" in lines[-1]
    names = (landing.OURS, landing.COUNTED, landing.PLAIN, landing.SPARK, landing.MONTH_END)
    landed = landing.table(result | {"contenders": dict.fromkeys(names, figures), "events": 220_000})
    assert all(line.split(" | ")[3] == "1.00" for line in landed[2:7])


def test_a_slow_contender_takes_fewer_turns(monkeypatch):
    ran = []
    monkeypatch.setattr(contest, "_alone", lambda command: ran.append(command[3]) or {"run_s": 1.0, "peak_mb": 1.0})
    found = contest.in_turns("module", ["quick", "slow"], [], 3, fewer={"slow": 2})
    assert ran == ["quick", "slow", "quick", "slow", "quick"]
    assert {name: len(figures["all_s"]) for name, figures in found.items()} == {"quick": 3, "slow": 2}


def test_medians_and_peaks_of_the_rounds():
    runs = [{"run_s": s, "start_s": 1.0, "peak_mb": 10 * s} for s in (3.0, 1.0, 2.0)]
    assert contest._summary(runs) == {"run_s": 2.0, "start_s": 1.0, "all_s": [3.0, 1.0, 2.0], "peak_mb": 30.0}


def test_a_profile_names_functions_that_there_are():
    mine = [Lake.read, Lake.commit, Lake._write_atomically, SparseBatch.check, build_features, sort_activity, feature_statistics]
    assert {f.__name__ for f in mine} == set(features_profile.STAGES.values())


def test_the_open_month_lands_by_days_and_closed_months_whole(tmp_path, monkeypatch):
    lake = Lake(day_cost.configuration(tmp_path, day_cost.FIRST, (7, 28)))
    stop = day_cost.FIRST.replace(month=2, day=12)
    for n in range((stop - day_cost.FIRST).days):
        write_day(tmp_path, dataclasses.replace(SHAPE, events_a_day=30), day_cost.FIRST + day_cost.dt.timedelta(days=n))
    monkeypatch.setattr(day_cost, "land_days", land_here)
    day_cost.land_until(lake, stop)
    periods = {file.partition["period"] for file in lake.files(ACTIVITY)}
    assert periods == {"2025-01", *(f"2025-02-{n:02d}" for n in range(1, 12))}


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=9), st.floats(0.1, 10), st.integers(1, 9))
def test_a_machine_that_changes_its_speed_between_rounds_changes_no_ratio(speeds, ratio, fewer):
    base, other = [3 / speed for speed in speeds], [3 * ratio / speed for speed in speeds[:fewer]]
    assert contest.times(base, other) == pytest.approx(ratio)


def test_one_bad_round_of_three_is_not_the_ratio():
    assert contest.times([1.0, 1.0, 1.0], [2.0, 90.0, 2.1]) == 2.1
