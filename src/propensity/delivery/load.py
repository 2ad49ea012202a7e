"""Loading one partition: a table of the run's own, filled by the tasks with COPY and swapped in by one transaction.

Every step is safe to repeat: a file is copied once into a load however many attempts its task takes, and a load that nobody
finished is dropped by the next one of the same partition.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from propensity.contracts import SCORES
from propensity.delivery.binary import COLUMNS, encode
from propensity.delivery.database import Connection, connected, leaf_table, region_table, shown
from propensity.errors import ConflictError, DataError
from propensity.storage import DataFile, Lake

LOAD_TABLE = sql.SQL(
    "CREATE TABLE {table} (LIKE scores INCLUDING ALL, "
    "CONSTRAINT of_one_partition CHECK (region = {region} AND score_date = {date}::date))"
)
DEFAULT = sql.SQL("ALTER TABLE {} ALTER {} SET DEFAULT {}")
COUNT = sql.SQL("SELECT count(*), count(*) FILTER (WHERE run_id = {run} AND model_version = {version}) FROM {table}")
SAMPLED = 10
"""Buckets of the key's histogram: it is unique, which the planner knows without any; a tenth of the time of the usual 100."""
ATTACH = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})")

SMALL = 128 * 2**20
"""Bytes of score files up to which no Spark is started: 560 thousand customers' 50 pairs, 3 s by two connections."""


@dataclass(frozen=True)
class Load:
    """Where a run's rows go before they are published."""

    url: str
    table: str
    region: str
    score_date: str
    """YYYY-MM-DD."""


@contextmanager
def partition_lock(connection: Connection, region: str, score_date: str) -> Iterator[None]:
    """Hold the partition against every other publisher; the lock falls with the connection."""
    key = [f"propensity scores {region} {score_date}"]
    connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", key)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def open_load(connection: Connection, url: str, region: str, score_date: str, run_id: str) -> Load:
    """Drop what earlier attempts at this partition left behind and create an empty table for this one."""
    table = f"load_{run_id[:24]}_{uuid.uuid4().hex[:8]}"
    orphans = connection.execute("SELECT load FROM loads WHERE region = %s AND score_date = %s", [region, score_date]).fetchall()
    for (orphan,) in orphans:
        with connection.transaction():
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(str(orphan))))
            connection.execute("DELETE FROM loads WHERE load = %s", [orphan])
    with connection.transaction():
        connection.execute("INSERT INTO loads VALUES (%s, %s, %s, %s)", [table, region, score_date, run_id])
        # The check is proven while the table is empty, so that attaching need not read it.
        connection.execute(LOAD_TABLE.format(table=sql.Identifier(table), region=region, date=score_date))
        for column, value in (("region", region), ("score_date", score_date)):
            connection.execute(DEFAULT.format(sql.Identifier(table), sql.Identifier(column), value))
    return Load(url, table, region, score_date)


def copy_file(file: DataFile, shared: tuple[Lake, Load]) -> int:
    """Copy one score file into the load's table and return its rows; copying it again changes nothing.

    Two attempts of one task at once wait for each other: the first to commit wins, the other finds the file noted.
    """
    lake, load = shared
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(load.table), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    with connected(load.url) as connection, connection.transaction():
        # Nothing waits for the disk here: the transaction that swaps the load in does, and for all that came before it.
        connection.execute("SET LOCAL synchronous_commit TO off")
        try:
            noted = connection.execute(
                "INSERT INTO load_files VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", [load.table, file.path, file.rows]
            ).rowcount
            if noted:
                with connection.cursor().copy(copy) as sink:
                    for chunk in encode(lake.read(SCORES.name, file)):
                        sink.write(chunk)
        except (psycopg.errors.ForeignKeyViolation, psycopg.errors.UndefinedTable):
            where = f"{file.path} at {shown(load.url)}"
            raise ConflictError("a later attempt has taken over", where=where, do="let it finish") from None
        except psycopg.DataError as error:
            what = f"the database refuses a row: {' '.join(str(error).split())}"
            raise DataError(what, where=file.path, do="mend the user id") from None
    return file.rows


def swap_in(
    connection: Connection, load: Load, names: Mapping[int, str], publication: Mapping[str, object], expected: int
) -> None:
    """Publish a filled load in one transaction: readers see the old rows until it commits and the new ones after.

    Raise DataError, with the old rows still published, when the load does not hold `expected` customers, each once.
    """
    name = leaf_table(load.region, load.score_date)
    table, leaf = sql.Identifier(load.table), sql.Identifier(name)
    key, leaf_key = sql.Identifier(f"{load.table}_pkey"), sql.Identifier(f"{name}_pkey")
    parent = sql.Identifier(region_table(load.region))
    try:
        connection.execute(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY (user_id)").format(table, key))
    except psycopg.errors.UniqueViolation as error:
        detail = [error.diag.message_detail]
        do = "score this day again with --force"
        raise DataError("a customer has two rows of scores", where=load.table, examples=detail, do=do) from None
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL default_statistics_target TO {}").format(SAMPLED))
        connection.execute(sql.SQL("ANALYZE {} (user_id)").format(table))  # of arrays it takes as long as the COPY
    with connection.transaction():
        _demand_rows(connection, load, publication, expected)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(parent))
        if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() != (None,):
            connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, leaf))
            connection.execute(sql.SQL("DROP TABLE {}").format(leaf))
        connection.execute(ATTACH.format(parent, table, load.score_date))
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, leaf))
        connection.execute(sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(leaf, key, leaf_key))
        _enter(connection, names, publication)
        connection.execute("DELETE FROM loads WHERE load = %s", [load.table])


def _demand_rows(connection: Connection, load: Load, publication: Mapping[str, object], expected: int) -> None:
    run, version = str(publication["run_id"]), str(publication["model_version"])
    found = connection.execute(COUNT.format(run=run, version=version, table=sql.Identifier(load.table))).fetchone()
    if found != (expected, expected):
        what = f"(rows, rows of this run) are {found}, where {expected:,} were to be published"
        raise DataError(what, where=load.table, do="publish again")


def _enter(connection: Connection, names: Mapping[int, str], publication: Mapping[str, object]) -> None:
    connection.execute(
        "INSERT INTO categories SELECT * FROM unnest(%s::int[], %s::text[]) AS t (id, name) "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE categories.name <> excluded.name",
        [list(names), list(names.values())],
    )
    connection.execute(
        "INSERT INTO publications VALUES (%(region)s, %(score_date)s, %(run_id)s, %(model_version)s, %(rows)s, %(digest)s) "
        "ON CONFLICT (region, score_date) DO UPDATE SET run_id = excluded.run_id, model_version = excluded.model_version, "
        "rows = excluded.rows, digest = excluded.digest",
        publication,
    )
