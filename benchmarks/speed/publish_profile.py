"""Where the time of publishing goes: one connection, one file after the other, so that nothing is hidden behind anything."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import psycopg

from propensity.delivery import load, publish
from propensity.delivery.binary import encode
from propensity.quality.staged import StagedScores
from propensity.storage import Lake

READ, ENCODE, COPY = "read score files", "encode them", "send them, and wait for the server"
COMMIT, OPEN = "commit to the lake", "prepare the database, open the load"
KEY, ANALYSE, COUNT, VERIFY = "primary key", "statistics of the key", "count the rows of this run", "verify what is published"
SWAP, REST = "swap in", "everything else"
STATEMENTS = {"PRIMARY KEY": KEY, "ANALYZE": ANALYSE, "FILTER": COUNT}
"""What stands in a statement -> what it is."""
PARTS = (
    (Lake, "read", READ), (Lake, "commit", COMMIT), (publish, "open_load", OPEN), (publish, "prepare", OPEN),
    (publish, "swap_in", SWAP), (publish, "verify", VERIFY),
)  # fmt: skip
"""Functions whose time is counted: where they are, name, what it is."""


class Watch:
    """Adds up seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, what: str, since: float) -> None:
        """Count the time since a moment."""
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - since

    def timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted."""

        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.add(what, started)

        return run

    def iterated(self, what: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return the function with the time counted that its items take."""

        def run(*arguments: Any) -> Iterator[Any]:
            items, end = function(*arguments), object()
            while (item := self.timed(what, next)(items, end)) is not end:
                yield item

        return run

    def executed(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Return a connection's `execute` with the time counted of the statements that are told apart."""

        def run(connection: Any, query: Any, *rest: Any) -> Any:
            text = query if isinstance(query, str) else query.as_string(connection)
            what = next((name for word, name in STATEMENTS.items() if word in text), "")
            return self.timed(what, execute)(connection, query, *rest) if what else execute(connection, query, *rest)

        return run


def profile(lake: Lake, staged: StagedScores, url: str) -> dict[str, float]:
    """Publish a run with one connection at a time; return the seconds of each part, the whole among them."""
    watch = Watch()

    def one_by_one(copy: Any, files: Sequence[Any], shared: Any) -> list[int]:
        return [watch.timed(COPY, copy)(file, shared) for file in files]

    with ExitStack() as stack:
        for owner, name, what in PARTS:
            stack.enter_context(mock.patch.object(owner, name, watch.timed(what, getattr(owner, name))))
        stack.enter_context(mock.patch.object(load, "encode", watch.iterated(ENCODE, encode)))
        execute = watch.executed(psycopg.Connection.execute)
        stack.enter_context(mock.patch.object(psycopg.Connection, "execute", execute))
        started = time.perf_counter()
        publish.publish(lake, staged, url, one_by_one)
        whole = time.perf_counter() - started
    return parts(watch.seconds, whole)


def parts(seconds: dict[str, float], whole: float) -> dict[str, float]:
    """Return seconds that add up to the whole: what one part has inside it is taken off it."""
    found = {name: seconds.get(name, 0.0) for name in (COMMIT, OPEN, READ, ENCODE, COPY, KEY, ANALYSE, COUNT, SWAP, VERIFY)}
    found[COPY] -= found[READ] + found[ENCODE]
    found[SWAP] -= found[KEY] + found[ANALYSE] + found[COUNT]
    return {**found, REST: whole - sum(found.values())}
