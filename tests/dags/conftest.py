"""Airflow in this process: its own empty home, the project's settings, no database."""

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Before anything imports Airflow, which reads them once.
os.environ.update(
    AIRFLOW_HOME=tempfile.mkdtemp(prefix="propensity-airflow-"),
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
