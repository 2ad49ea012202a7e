"""What every DAG and every task of the project must have, whoever writes the next one."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from propensity_airflow.defaults import GPU, LANDING, OWNER, SPARK
from propensity_airflow.job_operator import JobOperator
from propensity_airflow.schedule import BEGINNING

ROOT = Path(__file__).parents[2]
SPARK_JOBS = {"features", "labels", "score", "publish"}


@pytest.fixture(scope="session")
def tasks(dags):
    return [task for dag in dags.values() for task in dag.tasks]


def test_there_are_two_dags_and_each_explains_itself(dags):
    assert sorted(dags) == ["propensity_score", "propensity_train"]
    for dag in dags.values():
        assert "When it fails" in dag.doc_md
        assert "score_date" in dag.doc_md
        assert "propensity" in dag.tags
        assert dag.dagrun_timeout == timedelta(hours=24)
        assert dag.max_active_runs in {1, 2}
        assert dag.catchup is False
        assert (dag.start_date, dag.end_date) == (BEGINNING, None), "a DAG's bounds silently bind runs that people trigger"


def test_every_task_has_an_owner_retries_and_a_timeout(tasks):
    assert len(tasks) == 21
    for task in tasks:
        assert task.owner == OWNER, task.task_id
        assert task.retries == 2, task.task_id
        assert task.retry_delay == timedelta(seconds=20), task.task_id
        assert task.retry_exponential_backoff, task.task_id
        assert timedelta(minutes=1) < task.execution_timeout <= timedelta(hours=6), task.task_id
        assert not isinstance(task, MappedOperator), "regions are mapped as a group"


def test_pools_are_those_that_exist_and_each_heavy_job_has_its_own(tasks):
    slots = {
        name: pool["slots"] for name, pool in json.loads((ROOT / "plugins/propensity_airflow/pools.json").read_text()).items()
    }
    assert slots == {LANDING: 1, SPARK: 2, GPU: 1}
    wanted = {"land": LANDING, "train": GPU, **dict.fromkeys(SPARK_JOBS, SPARK)}
    for task in tasks:
        if isinstance(task, JobOperator):
            assert task.pool == wanted.get(task.job, "default_pool"), task.task_id


def test_assets_stand_between_the_dags(dags):
    def outlets(dag):
        return {task.task_id: [a.name for a in task.outlets] for task in dags[dag].tasks if task.outlets}

    assert outlets("propensity_train") == {
        "each_region.gate_events": ["propensity_activity"],
        "announce": ["propensity_champion"],
    }
    assert outlets("propensity_score") == {
        "each_region.gate_events": ["propensity_activity"],
        "each_region.publish": ["propensity_scores"],
    }
    assert [a.name for a in dags["propensity_score"].timetable.asset_condition.objects] == ["propensity_champion"]


def test_a_job_is_only_forced_where_forcing_means_computing_again(tasks):
    never = {"promote", "champion"}
    for task in tasks:
        if isinstance(task, JobOperator):
            assert ("force" in task.arguments) == (task.job not in never), task.task_id


def test_no_dag_reads_variables_or_opens_files():
    for path in (ROOT / "dags").glob("*.py"):
        text = path.read_text()
        for word in ("Variable", "open(", "read_text", "requests", "subprocess", "BashOperator"):
            assert word not in text, f"{path.name} has {word}"
