"""DAG files are read every half minute, on a machine that has other things to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = [
    "pyspark",
    "torch",
    "great_expectations",
    "pandas",
    "sklearn",
    "scipy",
    "xgboost",
    "pyarrow",
    "deltalake",
    "numpy",
    "psycopg",
]
PROBE = """
import json, sys, time, runpy
from airflow.sdk import DAG, Asset, Param, chain, task, task_group  # Airflow itself is there already where DAG files are read
import pydantic, yaml
started = time.perf_counter()
runpy.run_path(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - started, "modules": sorted(m.partition(".")[0] for m in sys.modules)}))
"""


@pytest.mark.parametrize("name", ["propensity_train", "propensity_score"])
def test_a_dag_file_imports_within_a_second_and_without_the_heavy_packages(name):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, f"dags/{name}.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ.copy(),
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["seconds"] < 1.0
    assert not set(HEAVY) & set(told["modules"])


def test_a_wrong_configuration_is_an_import_error_in_one_line(tmp_path):
    environment = {**os.environ, "PROPENSITY_CONF": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "dags/propensity_score.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode != 0
    assert "no such configuration folder" in done.stderr.splitlines()[-1]
    assert "set PROPENSITY_CONF" in done.stderr.splitlines()[-1]
