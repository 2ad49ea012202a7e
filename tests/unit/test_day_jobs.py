"""The benchmark of a day runs the DAG's own jobs in their order, and every second of them is in one part."""

import ast
import datetime as dt
import itertools
import threading
from pathlib import Path

import pytest
from benchmarks.speed import day_airflow, day_jobs
from benchmarks.speed.one_job import IMPORTS, SPARK, Clock
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shop import FIRST, make_shop

DAG = Path(__file__).parents[2] / "dags" / "propensity_score.py"


def test_the_jobs_are_those_of_the_dag_in_its_order():
    calls = [node for node in ast.walk(ast.parse(DAG.read_text())) if isinstance(node, ast.Call)]
    named = {node.func.id: [] for node in calls if isinstance(node.func, ast.Name)}
    for node in calls:
        if isinstance(node.func, ast.Name):
            named[node.func.id].append(node)
    tasks = {}
    for node in named["job"]:
        name = node.args[0].value
        tasks[next((word.value.value for word in node.keywords if word.arg == "task_id"), name)] = name
    [chain] = named["chain"]
    assert [step.task for step in day_jobs.DAY] == ["land", *(argument.id for argument in chain.args)]
    assert {step.task: step.job for step in day_jobs.DAY} == tasks


@given(st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=10))
def test_a_part_within_another_counts_once(tree):
    ticks = itertools.count()
    clock = Clock(lambda: float(next(ticks)))

    def walk(children, name):
        with clock.part(name):
            for child in children:
                walk(child, SPARK)

    walk(tree, IMPORTS)
    assert clock.spent == {IMPORTS: next(ticks) - 1, SPARK: 0.0}


def test_a_part_in_another_thread_counts_for_the_one_that_is_on():
    clock = Clock()

    def elsewhere():
        with clock.part(SPARK):
            pass

    with clock.part(IMPORTS):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert clock.spent[SPARK] == 0
    assert clock.spent[IMPORTS] > 0


@pytest.fixture
def places(tmp_path):
    lake = make_shop(tmp_path, 5, 40)
    return {"PROPENSITY_CONF": str(lake.config.folder), "PROPENSITY_HOME": str(lake.config.home.parent)}


def test_every_second_of_a_job_is_in_one_part(places):
    day = f"--score-date={FIRST.replace(month=2)}"
    figures, verdict = day_jobs.run_job("land", [day, "--purpose=scoring"], places, "small")
    assert sum(figures[part] for part in day_jobs.PARTS) == pytest.approx(figures["wall_s"], abs=1e-6)
    assert all(figures[part] >= 0 for part in day_jobs.PARTS)
    assert (figures["jvm"], figures["spark_s"], verdict["skipped"]) == (False, 0, False)
    assert figures["work_s"] >= verdict["seconds"] - figures["imports_s"] - 0.01


def test_a_job_that_refuses_ends_the_benchmark_with_its_words(places):
    with pytest.raises(SystemExit, match="champion ended with 2\nerror: region alps: no model has been promoted"):
        day_jobs.run_job("champion", ["--region=alps"], places, "small")


def test_the_table_has_a_row_for_each_job_and_their_sum():
    job = {
        "wall_s": 2.5,
        "start_s": 0.25,
        "imports_s": 1.0,
        "spark_s": 0.0,
        "work_s": 1.0,
        "rest_s": 0.25,
        "cpu_s": 2.0,
        "jvm": False,
    }
    result = {
        "jobs": dict.fromkeys((step.task for step in day_jobs.DAY), job),
        "always": None,
        "rounds": 3,
        "prepared_s": 1,
        "customers": 1200,
    }
    lines = day_jobs.table(result | {"load": [0.0, 0.0]})
    assert [line.split(" | ")[0] for line in lines[2:11]] == [*(f"| {step.task}" for step in day_jobs.DAY), "| **all**"]
    assert "**20.00**" in lines[10]
    assert "1,200 customers: 20.0 s, under 30 s" in lines[12]


NOON = dt.datetime(2025, 6, 16, 12, tzinfo=dt.UTC)
spans = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 5_000)), min_size=1, max_size=6)


@given(spans, st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 100)), max_size=3), st.integers(0, 900))
def test_the_seconds_of_a_runs_chain_are_the_runs(chain, others, closing):
    def at(milliseconds):
        return (NOON + dt.timedelta(milliseconds=milliseconds)).isoformat().replace("+00:00", "Z")

    tasks, end = [], 0
    for number, (waited, took) in enumerate(chain):
        tasks.append({"task_id": f"each_region.t{number}", "start_date": at(end + waited), "end_date": at(end + waited + took)})
        end += waited + took
    for number, (begun, took) in enumerate(others):
        if begun + took <= end:
            tasks.append({"task_id": f"o{number}", "start_date": at(begun), "end_date": at(begun + took)})
    run = {"queued_at": at(0), "start_date": at(1), "end_date": at(end + closing)}
    names = [day_airflow.name_of(task) for task in tasks]
    found = day_airflow.accounted(run, list(reversed(tasks)), dict.fromkeys(names, 0.001))
    assert found["wall_s"] == pytest.approx((end + closing) / 1000)
    assert sum(sum(task.values()) for task in found["tasks"].values()) == pytest.approx(found["wall_s"])
    assert min(task["waited_s"] for task in found["tasks"].values()) >= 0
    assert {*found["tasks"], *found["beside"]} == {*names, day_airflow.CLOSING}


def test_a_jobs_seconds_are_those_that_its_log_tells():
    lines = ["Running python jobs/land.py", "landing: 3 of 4", "Ended with status 0 after 12.34 s", "Done"]
    assert day_airflow.job_seconds(lines) == 12.34
    with pytest.raises(ValueError, match="not enough values"):  # a log that cannot be read is no job of no time
        day_airflow.job_seconds(lines[:2])
