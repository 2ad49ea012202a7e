"""The benchmarks of growth, skew, clusters and memory: what they fit, compare and judge; and the scoring that they time, tiny."""

import json
import os
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from benchmarks.reference import CHANNELS
from benchmarks.speed import cluster, growth, growth_points, memory, skew, sweep
from benchmarks.speed.cluster_events import read
from benchmarks.speed.growth_picture import picture
from benchmarks.speed.memory_pss import Held, held_by
from benchmarks.speed.reference_lake import DAY, REGION, Shape, champion_of, feature_lake
from hypothesis import given
from hypothesis import strategies as st

from propensity.contracts import FEATURES, SCORES
from propensity.features.csr import SparseBatch
from propensity.quality.staged import read_staged

TINY = Shape(60, buckets=3, history=True, features=600, hidden=8, categories=20, non_zeros=12)
SIZES = [1_000.0 * 2**step for step in range(6)]


@given(st.floats(-0.5, 2), st.floats(1e-4, 1e3))
def test_a_power_law_is_found_exactly(exponent, factor):
    found = growth.fit(SIZES, [factor * size**exponent for size in SIZES])
    assert found.slope == pytest.approx(exponent, abs=1e-9)
    assert found.low <= found.slope + 1e-9
    assert found.high >= found.slope - 1e-9
    assert growth.doublings(SIZES, [factor * size**exponent for size in SIZES]) == pytest.approx([exponent] * 5, abs=1e-6)


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(2_000):
        found = growth.fit(SIZES, (np.array(SIZES) * np.exp(random.normal(0, 0.1, 6))).tolist())
        inside += found.low <= 1 <= found.high
    assert inside / 2_000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("name", "exponent", "met"), [("features", 1.0, True), ("features", 1.1, False), ("buckets", 0.4, False)]
)
def test_a_slope_is_held_against_its_bar(name, exponent, met):
    judged = growth.judged({"name": name, "sizes": SIZES, "seconds": [size**exponent for size in SIZES]})
    assert judged["met"] is met


def grown(exponent: float = 1.0) -> dict:
    seconds = [1e-4 * size**exponent for size in SIZES]
    peaks = [400.0] * 6
    points = [{"sizes": SIZES, "seconds": seconds, "rounds": [seconds] * 3, "peak_mb": peaks} for _ in range(2)]
    axes = [growth.judged({"name": name, **one}) for name, one in zip(("customers", "buckets"), points, strict=True)]
    return {"axes": axes, "a_bucket_s": 0.002, "peak_ratio": 1.0, "flat": True, "rounds": 3, "load": [0.0, 0.0]}


def test_tables_and_picture_say_what_was_found():
    text = "\n".join(growth.table(grown()))
    assert "| customers | 1,000 to 32,000 | 0.100 to 3.200 | 1.00 (1.00 to 1.00) | 1.00 | 1.05 | yes |" in text
    assert "| 0.3 | NO |" in text
    drawn = picture(grown())
    assert drawn.count("<circle") == 12
    assert "customers: slope 1.00" in drawn


def test_the_engines_own_tasks_are_timed(tmp_path):
    lake = feature_lake(tmp_path, TINY)
    assert growth_points.processor_seconds(lake, champion_of(lake, TINY)) > 0
    [staged] = (lake.config.home / "staging" / "scores").iterdir()
    files = read_staged(lake.config, staged.stem, REGION, DAY.isoformat()).files
    assert sum(lake.read(SCORES.name, file).num_rows for file in files) == TINY.users


def test_memory_that_work_takes_is_seen():
    def work() -> None:
        np.ones(40 * 2**17)

    growth_points.peak_of(work)
    nothing = growth_points.peak_of(lambda: None)
    assert growth_points.peak_of(work) - nothing == pytest.approx(40, abs=8)


@given(st.integers(1, 200))
def test_a_giant_is_one_valid_row_more(count):
    batch = SparseBatch(np.array([3, 9], np.int32), np.ones(2, np.float32), np.array([0, 2], np.int64))
    found = skew.with_giant(batch, count).check()
    assert len(found) == 2
    assert len(found.indices) == 2 + count
    assert found.indices[2 : 2 + len(CHANNELS)].tolist() == list(range(min(count, len(CHANNELS))))


def test_one_region_has_the_enormous_customer_and_nobody_else_differs(tmp_path):
    tiny = Shape(40, features=2_000, categories=20, hidden=8, buckets=2)
    skew.prepare(tmp_path, replace(tiny, users=400), tiny)
    lake = feature_lake(tmp_path, replace(tiny, users=400))
    even, giant = (lake.read_rows(FEATURES, region=region) for region in (skew.EVEN, skew.GIANT))
    his = giant.filter(pc.field("user_id") == tiny.users)
    assert his["indices"].combine_chunks().value_lengths().to_pylist() == [skew.HIS_FEATURES]
    rest = giant.filter(pc.field("user_id") != tiny.users)
    assert rest.sort_by("user_id").equals(even.sort_by("user_id"))


def event(name: str, **fields: object) -> str:
    return json.dumps({"Event": f"SparkListener{name}", **fields})


def ended(stage: int, executor: str, milliseconds: int, reason: str = "Success") -> str:
    about, metrics = {"Executor ID": executor, "Index": milliseconds // 100}, {"Executor Run Time": milliseconds}
    return event(
        "TaskEnd", **{"Stage ID": stage, "Task End Reason": {"Reason": reason}, "Task Info": about, "Task Metrics": metrics}
    )


def test_an_event_log_says_who_ran_what():
    lines = [
        event("ExecutorAdded", **{"Executor ID": "0"}),
        event("ExecutorAdded", **{"Executor ID": "1"}),
        event("JobStart", **{"Stage IDs": [4, 5], "Properties": {"spark.jobGroup.id": "round-1"}}),
        event("JobStart", **{"Stage IDs": [6]}),
        ended(5, "1", 500),
        ended(4, "0", 250),
        ended(5, "1", 10, "Resubmitted"),
        ended(6, "1", 70),
    ]
    log = read(lines)
    assert log.executors == ("0", "1")
    assert [(task.executor, task.seconds) for task in log.of("round-1")] == [("0", 0.25), ("1", 0.5)]


def contender(rate: float, executors: list[str], digest: str = "a") -> dict:
    return {"users_s": rate, "executors": executors, "digests": [digest], "tasks": dict.fromkeys(executors, 4)}


@pytest.mark.parametrize(
    ("two", "met"),
    [
        (contender(95.0, ["0", "1"]), True),
        (contender(75.0, ["0", "1"]), False),
        (contender(95.0, ["driver"]), False),
        (contender(95.0, ["0"]), False),
        (contender(95.0, ["0", "1"], "b"), False),
    ],
)
def test_a_cluster_is_fast_proven_and_equal_or_not_met(two, met):
    found = {cluster.LOCAL: contender(100.0, ["driver"]), cluster.ONE: contender(50.0, ["0"]), cluster.TWO: two}
    result = cluster._compared(found)
    assert result["met"] is met
    assert result["efficiency"] == two["users_s"] / 100
    assert ("NO" in "\n".join(cluster.table({**result, "users": 1, "rounds": 1, "load": [0.0, 0.0]}))) is not met


def test_a_session_that_grows_is_seen():
    steady = [(run, 900.0 + run % 3, 300.0) for run in range(1, 41)]
    leaking = [(run, 900.0 + 2.0 * run, 300.0) for run in range(1, 41)]
    assert memory.judged(steady, [50.0, 52.0])["steady"]
    assert not memory.judged(leaking, [50.0, 52.0])["steady"]
    assert memory.judged(leaking, [50.0, 52.0])["a_run_mb"]["python"] == pytest.approx(2)
    assert not memory.judged(steady, [50.0, 80.0])["steady"]


def test_memory_is_told_by_part():
    held = held_by(os.getpid())
    assert held.driver > 10
    assert held.total == pytest.approx(held.driver + held.jvm + held.workers)
    assert Held(1, 5, 2, 1).raised(Held(3, 4, 2, 2)) == Held(3, 5, 2, 2)


def test_the_chosen_division_of_cores_is_held_against_the_best():
    rates = [(p, tasks, threads, 100.0 * tasks / threads) for p in sweep.PRECISIONS for tasks in (1, 2) for threads in (1, 2)]
    rates += [(p, 4, threads, 150.0) for p in sweep.PRECISIONS for threads in (1, 2)]
    assert sweep.judged(rates, cores=2)["met"]
    worse = [(*one[:3], 250.0) if one[1:3] == (1, 2) else one for one in rates]
    assert sweep.judged(worse, cores=2)["shares"] == pytest.approx({"float32": 0.8, "bfloat16": 0.8})


def test_memorys_table_bounds_a_host_by_its_highest():
    low, high = ({"jvm": 300.0, "driver": 100.0, "workers": 900.0, "largest_worker": 450.0 + n, "total": 1300.0} for n in (0, 9))
    loop = memory.judged([(run, 900.0, 300.0) for run in range(1, 41)], [50.0, 50.0]) | {"runs": 40, "seconds": 4.0}
    peaks = {"float32": {"peaks": [low, high], "ratio": 1.0, "copies": 2.0}}
    met = {"flat": True, "loop": True, "one copy": False}
    text = "\n".join(
        memory.table({"users": [1, 4], "peaks": peaks, "loop": loop, "met": met, "weights_mb": 199.0, "load": [0, 0]})
    )
    assert "in float32 400 MB and 459 MB a task" in text
    assert "one copy a host (bar 1.2): NO" in text


def region(buckets: list[float]) -> dict:
    total = sum(buckets) / skew.TASKS
    tail = max(buckets) / float(np.median(buckets))
    return {"customers": 10, "seconds": total, "users_s": 10 / total, "buckets_s": buckets, "first_s": buckets[0],
            "largest_s": max(buckets),
            "median_s": float(np.median(buckets)), "tail": tail, "busy": 1.0}  # fmt: skip


@pytest.mark.parametrize(("slowest", "met"), [(1.2, True), (1.6, False)])
def test_a_straggler_in_the_large_region_is_seen(slowest, met):
    found = {name: region([1.0, 1.0, 1.0]) for name in (*skew.OTHERS, skew.EVEN)}
    found |= {skew.REGION: region([slowest, 1.0, 1.0]), skew.GIANT: region([1.5, 1.0, 1.0])}
    result = skew._judged(found)
    assert result["met"] == {"large": met, "giant": True}
    assert result["giant_extra_s"] == 0.5
    text = "\n".join(skew.table({**result, "rounds": 1, "load": [0.0, 0.0]}))
    assert ("tasks busy 0.8: met" in text) is met
    assert "costs his bucket +500 ms" in text


def test_the_sweeps_table_has_every_division():
    rates = [(p, tasks, threads, 1_000.0 * tasks) for p in sweep.PRECISIONS for tasks in sweep.TASKS for threads in sweep.THREADS]
    text = "\n".join(sweep.table({**sweep.judged(rates, cores=4), "users": 1, "rounds": 1, "load": [0.0, 0.0]}))
    assert "| bfloat16 | 2 threads a task | 1,000 | 2,000 | 4,000 |" in text
    assert "met: yes" in text
