"""Loading rows as others do, by psycopg in processes of one connection each; what is sent lies ready before the clock runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from propensity.contracts import SCORES
from propensity.delivery.binary import COLUMNS, HEADER, TRAILER, encode
from propensity.delivery.load import Load, copy_file
from propensity.storage import DataFile, Lake

TABLE = "bare"
PLAIN = """
CREATE TABLE bare (
    region text NOT NULL DEFAULT 'reference', score_date date NOT NULL DEFAULT '2018-01-01', user_id bigint NOT NULL,
    categories integer[] NOT NULL, scores real[] NOT NULL, score_source text NOT NULL, model_version text NOT NULL,
    run_id text NOT NULL
)
"""
"""The columns of a published leaf, and its two defaults; no key, nothing that is checked."""
KEY = "ALTER TABLE bare ADD PRIMARY KEY (user_id)"
INSERT = f"INSERT INTO bare ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608
CHUNK = 1 << 20

Database = psycopg.Connection[Any]


class Sender:
    """A process with a connection of its own, which does one thing at a time."""

    def __init__(self, url: str) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, url), daemon=True)
        self.process.start()
        theirs.close()

    def call(self, what: str, *arguments: Any) -> Any:
        """Have it done and wait; raise RuntimeError with the reason when it fails."""
        self._pipe.send((what, arguments))
        done, result = self._pipe.recv()
        if not done:
            raise RuntimeError(f"{what}: {result}")
        return result

    def close(self) -> None:
        """End the process."""
        self._pipe.send(("", ()))
        self.process.join()


@contextmanager
def senders(url: str, count: int) -> Iterator[list[Sender]]:
    """Give processes that are connected, to the end of the block."""
    found = [Sender(url) for _ in range(count)]
    try:
        for one in found:
            one.call("prepare", None)
        yield found
    finally:
        for one in found:
            one.close()


def side_by_side(some: Sequence[Sender], what: str, *each: Sequence[Any]) -> None:
    """Have all of them do something, each with its own arguments."""
    with ThreadPoolExecutor(len(some)) as threads:
        list(threads.map(lambda one, *mine: one.call(what, *mine), some, *each))


def tasks_in(some: Sequence[Sender]) -> Callable[[Any, Sequence[DataFile], tuple[Lake, Load]], list[int]]:
    """Return what has a publisher's tasks done in these processes, as they get free: Spark's workers without Spark."""

    def run(_: Any, files: Sequence[DataFile], shared: tuple[Lake, Load]) -> list[int]:
        waiting: SimpleQueue[DataFile] = SimpleQueue()
        for file in files:
            waiting.put(file)

        def work(one: Sender) -> list[int]:
            rows = []
            while True:
                try:
                    rows.append(one.call("ours", waiting.get_nowait(), shared))
                except Empty:
                    return rows

        with ThreadPoolExecutor(len(some)) as threads:
            return [rows for found in threads.map(work, some) for rows in found]

    return run


def rows_only(chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Yield the chunks between a COPY's header and its trailer."""
    next(chunks)
    held = next(chunks)
    for chunk in chunks:
        yield held
        held = chunk


def write_bytes(tables: Sequence[pa.Table], path: Path) -> int:
    """Write the rows of some tables as the bytes of one COPY; return how many bytes."""
    chunks = (chunk for table in tables for chunk in rows_only(encode(table)))
    path.write_bytes(b"".join([HEADER, *chunks, TRAILER]))
    return path.stat().st_size


def _serve(pipe: Pipe, url: str) -> None:
    """Do what comes through the pipe until an empty word does."""
    held: dict[str, Any] = {}
    with psycopg.connect(url) as connection:
        while True:
            what, arguments = pipe.recv()
            if not what:
                return
            try:
                pipe.send((True, WORK[what](connection, held, *arguments)))
            except Exception as error:  # noqa: BLE001  the other side of the pipe raises it
                pipe.send((False, f"{type(error).__name__}: {error}"))


def _prepare(_: Database, held: dict[str, Any], path: Path | None) -> None:
    """Read what will be sent: bytes of a COPY, or rows as Python's values."""
    held.clear()
    if path is not None and path.suffix == ".bin":
        held["bytes"] = memoryview(path.read_bytes())
    elif path is not None:
        held["rows"] = [tuple(row.values()) for row in pq.read_table(path).to_pylist()]


def _copy_bytes(connection: Database, held: dict[str, Any]) -> None:
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(_copy("(FORMAT binary)")) as sink:
        for start in range(0, len(held["bytes"]), CHUNK):
            sink.write(held["bytes"][start : start + CHUNK])


def _copy_files(connection: Database, _: dict[str, Any], lake: Lake, files: Sequence[DataFile]) -> None:
    """Read score files, lay their rows out and COPY them, as ours does but for all that makes it a publication."""
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(_copy("(FORMAT binary)")) as sink:
        sink.write(HEADER)
        for file in files:
            for chunk in rows_only(encode(lake.read(SCORES.name, file))):
                sink.write(chunk)


def _write_rows(connection: Database, held: dict[str, Any]) -> None:
    """COPY row by row as text, as psycopg's own documentation does."""
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(_copy("")) as sink:
        for row in held["rows"]:
            sink.write_row(row)


def _insert_many(connection: Database, held: dict[str, Any]) -> None:
    """INSERT by executemany, which sends rows without waiting for each."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(INSERT, held["rows"])


def _ours(_: Database, __: dict[str, Any], file: DataFile, shared: tuple[Lake, Load]) -> int:
    return copy_file(file, shared)


def _copy(how: str) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    return sql.SQL("COPY {} ({}) FROM STDIN {}").format(sql.Identifier(TABLE), columns, sql.SQL(how))


WORK: Mapping[str, Callable[..., Any]] = {
    "prepare": _prepare, "bytes": _copy_bytes, "rows": _write_rows, "inserts": _insert_many, "files": _copy_files, "ours": _ours,
}  # fmt: skip
