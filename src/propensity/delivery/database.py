"""The database that campaigns read: where it is, what stands in it, and the statements that change it.

::

    scores        one row a customer, partitioned by region, then by score date; its leaves are swapped whole
    score_pairs   the same as (customer, category) pairs with names and ranks: a view
    categories    id and name of every category
    publications  what is published: one row for each (region, score date)
    loads, load_files   what is being loaded; empty when nobody is
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from propensity.config import Config
from propensity.errors import ConfigError, ConflictError, MachineError

Connection = psycopg.Connection[tuple[object, ...]]

CONNECT_SECONDS = 10
LOCK_WAIT = "120s"
"""How long a publisher waits for another one of the same partition, or for readers of the region, before it gives up."""

USER_TYPES = {"int64": "bigint", "string": "text"}
SCHEMA_LOCK = "propensity schema"

TABLES = """
CREATE TABLE IF NOT EXISTS scores (
    region text NOT NULL,
    score_date date NOT NULL,
    user_id {user_type} NOT NULL,
    categories integer[] NOT NULL,
    scores real[] NOT NULL,
    score_source text NOT NULL,
    model_version text NOT NULL,
    run_id text NOT NULL
) PARTITION BY LIST (region);
COMMENT ON TABLE scores IS 'The likeliest categories of each customer with their probabilities, likeliest first.';
CREATE TABLE IF NOT EXISTS categories (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE IF NOT EXISTS publications (
    region text NOT NULL,
    score_date date NOT NULL,
    run_id text NOT NULL,
    model_version text NOT NULL,
    rows bigint NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (region, score_date)
);
COMMENT ON TABLE publications IS 'What is published: one row for each partition of scores.';
CREATE TABLE IF NOT EXISTS loads (load text PRIMARY KEY, region text NOT NULL, score_date date NOT NULL, run_id text NOT NULL);
CREATE TABLE IF NOT EXISTS load_files (
    load text NOT NULL REFERENCES loads ON DELETE CASCADE,
    file text NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (load, file)
);
CREATE OR REPLACE VIEW score_pairs AS
    SELECT s.region, s.score_date, s.user_id, p.category, c.name, p.score, p.rank::integer AS rank
    FROM scores AS s
    CROSS JOIN LATERAL unnest(s.categories, s.scores) WITH ORDINALITY AS p (category, score, rank)
    LEFT JOIN categories AS c ON c.id = p.category;
"""
REGION_TABLE = sql.SQL(
    "CREATE TABLE IF NOT EXISTS {table} PARTITION OF scores FOR VALUES IN ({region}) PARTITION BY LIST (score_date)"
)
OBJECTS = ("scores", "categories", "publications", "loads", "load_files", "score_pairs")


def database_url(config: Config) -> str:
    """Return the address: PROPENSITY_DATABASE_URL, else the configured one, else that of the embedded Postgres.

    Raise MachineError when there is none.
    """
    configured = os.environ.get("PROPENSITY_DATABASE_URL") or config.runtime.database.url
    if configured:
        return configured
    address = config.home / "postgres" / "address"
    if address.is_file():
        return address.read_text(encoding="utf-8").strip()
    do = "start the embedded Postgres (make up), or set PROPENSITY_DATABASE_URL"
    raise MachineError("no database to publish to", where=str(address), do=do)


def shown(url: str) -> str:
    """Return an address as people may see it: host, port and database, never the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "the database address"
    return f"{parts.get('host', 'local socket')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a connection in autocommit; every statement is a transaction unless ``connection.transaction()`` says otherwise.

    Raise MachineError, without the password, when the database cannot be reached or goes away; ConflictError when a lock does
    not come.
    """
    do = "start the database, or correct PROPENSITY_DATABASE_URL or database.url in runtime.yaml"
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="propensity")
    except psycopg.Error as error:
        raise MachineError(f"the scores database is not reachable ({_reason(error, url)})", where=shown(url), do=do) from None
    try:
        with connection:
            connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_WAIT))
            yield connection
    except psycopg.errors.LockNotAvailable:
        what = f"another publisher or a long query held the table for {LOCK_WAIT}"
        raise ConflictError(what, where=shown(url), do="run again when it has ended") from None
    except psycopg.OperationalError as error:
        raise MachineError(f"the database went away ({_reason(error, url)})", where=shown(url), do="run again") from None


def _reason(error: psycopg.Error, url: str) -> str:
    """Return the error's first line, unless it repeats the address and so its password."""
    line = (str(error).splitlines() or [""])[0]
    try:
        password = str(conninfo_to_dict(url).get("password") or "")
    except psycopg.Error:
        return "the address is malformed"
    return line.replace(password, "***") if password else line


def prepare(connection: Connection, user_type: str, regions: Sequence[str]) -> None:
    """Create what is missing of the tables and the regions' partitions; doing it again changes nothing.

    Raise ConfigError when the table was made for user ids of another type.
    """
    wanted = [*OBJECTS, *(region_table(r) for r in regions)]
    missing = connection.execute("SELECT count(*) FROM unnest(%s::text[]) AS t WHERE to_regclass(t) IS NULL", [wanted]).fetchone()
    if missing != (0,):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [SCHEMA_LOCK])
            connection.execute(sql.SQL(TABLES).format(user_type=sql.SQL(USER_TYPES[user_type])))
            for region in regions:
                connection.execute(REGION_TABLE.format(table=sql.Identifier(region_table(region)), region=region))
    _check_user_type(connection, user_type)


def _check_user_type(connection: Connection, user_type: str) -> None:
    found = connection.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'scores'::regclass AND attname = 'user_id'"
    ).fetchone()
    if found != (USER_TYPES[user_type],):
        raise ConfigError(
            f"the table scores has user ids of type {found[0] if found else 'none'}, the configuration says {user_type}",
            where="tables.yaml, key user_id",
            do="publish to a database of this configuration's own",
        )


def region_table(region: str) -> str:
    """Return the name of a region's partition."""
    return f"scores_{region}"


def leaf_table(region: str, score_date: str) -> str:
    """Return the name of the partition of one (region, score date YYYY-MM-DD)."""
    return f"scores_{region}_{score_date.replace('-', '')}"
