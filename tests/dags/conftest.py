"""Airflow in this process: its own empty home, the project's settings, no database."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = tempfile.mkdtemp(prefix="propensity-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
# Before anything imports Airflow, which reads them once.
os.environ.update(
    AIRFLOW_HOME=HOME,
    AIRFLOW_CONFIG=str(ROOT / "airflow.cfg"),
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
)


@pytest.fixture(scope="session")
def dags():
    """Both DAGs, by their ids."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(ROOT / "dags"))
    assert not bag.import_errors
    return dict(bag.dags)
