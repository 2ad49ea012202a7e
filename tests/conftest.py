"""Fixtures that several rooms of tests share."""

import uuid
from collections.abc import Iterator

import pytest


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
