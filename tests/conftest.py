"""Fixtures that several rooms of tests share."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
# Spark workers and jobs are processes of their own: they find the project where this one does.
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("src", "jobs", "plugins", "."))

# Airflow sets the root logger to INFO; py4j then talks at the interpreter's end to a stream that is closed.
logging.getLogger("py4j").setLevel(logging.WARNING)

# How long an example takes is the machine's business: a busy one must not fail a property.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a throwaway Postgres server, started when the first test asks for it."""
    from tests.support.postgres import server

    with server() as address:
        yield address


@pytest.fixture
def database_address(postgres_server: str) -> Iterator[str]:
    """The address of an empty database of the test's own."""
    from tests.support.postgres import database

    with database(postgres_server, f"test_{uuid.uuid4().hex[:12]}") as address:
        yield address
