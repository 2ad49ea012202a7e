"""The shape of the DAGs and the commands they run, compared with files that a person reads in review.

``PROPENSITY_GOLDEN=write pytest tests/dags/test_golden.py`` writes them anew.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.definitions._internal.expandinput import MappedArgument
from airflow.sdk.definitions.xcom_arg import XComArg

from propensity_airflow.job_operator import JobOperator, options

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
NAMES = ["propensity_train", "propensity_score"]


def shown(value):
    if isinstance(value, MappedArgument):
        return "{region}"
    if isinstance(value, XComArg):
        return f"{{{value.operator.task_id.rpartition('.')[2]}.{value.key}}}"
    return value


def shape(dag):
    for task in dag.topological_sort():
        upstream = ", ".join(sorted(task.upstream_task_ids)) or "-"
        extra = f"  [{task.trigger_rule.value}]" if task.trigger_rule != "all_success" else ""
        yield f"{task.task_id:<30} after {upstream}{extra}"


def commands(dag):
    for task in dag.topological_sort():
        if isinstance(task, JobOperator):
            given = options({k: shown(v) for k, v in task.arguments.items()})
            yield " ".join([f"{task.job}.py", *(o.replace("--force={plan.force}", "[--force]") for o in given)])


def compare(name, lines):
    text = "\n".join(lines) + "\n"
    path = GOLDEN / name
    if os.environ.get("PROPENSITY_GOLDEN") == "write":
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("name", NAMES)
def test_shape(dags, name):
    compare(f"{name}.shape", shape(dags[name]))


@pytest.mark.parametrize("name", NAMES)
def test_commands(dags, name):
    compare(f"{name}.commands", commands(dags[name]))


BY_HAND = {"door", "prepare", "adopt", "rollback"}


@pytest.mark.parametrize("job", sorted({path.stem for path in (ROOT / "jobs").glob("*.py")} - BY_HAND))
def test_jobs_take_the_options_that_the_dags_give_them(dags, job):
    """An option that a job does not know would be noticed in the middle of the night."""
    mine = [t for dag in dags.values() for t in dag.tasks if isinstance(t, JobOperator) and t.job == job]
    used = {o.partition("=")[0] for t in mine for o in options({k: shown(v) for k, v in t.arguments.items()})}
    assert used, f"no DAG runs {job}"
    told = subprocess.run(
        [sys.executable, f"jobs/{job}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    known = {word.strip("[],") for word in told.split() if word.strip("[],").startswith("--")}
    assert used | {"--verdict"} <= known
