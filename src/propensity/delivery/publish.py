"""Publish a run's scores: the Delta table first, then Postgres, both under one lock of the partition.

Killed anywhere between, the same call finishes the work; done already, it does nothing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from propensity.contracts import SCORE_VECTORS, SCORES
from propensity.delivery.database import Connection, connected, prepare
from propensity.delivery.load import Load, copy_file, open_load, partition_lock, swap_in
from propensity.delivery.vectors import commit_vectors
from propensity.errors import ConflictError, DataError
from propensity.features import tokens
from propensity.quality.staged import StagedScores
from propensity.storage import DataFile, Lake

Copy = Callable[[DataFile, tuple[Lake, Load]], int]
RunTasks = Callable[[Copy, Sequence[DataFile], tuple[Lake, Load]], list[int]]
"""Runs a function over files, as ``engine.buckets.map_cheaply`` does, and returns the results in order."""


@dataclass(frozen=True)
class Published:
    """What stands in both tables now."""

    rows: int
    run_id: str
    model_version: str
    skipped: bool
    """Whether all of it stood there before."""


def publish(lake: Lake, staged: StagedScores, url: str, run_tasks: RunTasks, force: bool = False) -> Published:
    """Commit the staged files to the lake, load them into the database and swap them in; return what is published.

    Raise ConflictError when another run publishes the same partition meanwhile; DataError when a file is missing or the rows in
    the database are not those of the lake; MachineError when the database cannot be reached.  Whatever was published before
    stays until the new rows are complete.
    """
    _demand_files(lake, staged)
    publication: dict[str, object] = {
        "region": staged.region,
        "score_date": staged.score_date,
        "run_id": staged.run_id,
        "model_version": staged.model_version,
        "rows": staged.rows,
        "digest": digest(staged.files),
    }
    with connected(url) as connection:
        prepare(connection, lake.user_type, lake.config.region_names)
        with partition_lock(connection, staged.region, staged.score_date):
            metadata = {"run_id": staged.run_id, "model_version": staged.model_version}
            commit_vectors(lake, staged)
            changed = lake.commit(SCORES, staged.files, staged.partition, metadata)
            if not changed and not force and _published(connection, publication):
                return Published(staged.rows, staged.run_id, staged.model_version, True)
            _load(lake, connection, url, staged, publication, run_tasks)
            verify(lake, connection, staged)
    return Published(staged.rows, staged.run_id, staged.model_version, False)


def digest(files: Sequence[DataFile]) -> str:
    """Return a digest of what files hold: their names are made from their inputs."""
    return hashlib.sha256(json.dumps(sorted((f.path, f.rows, f.size) for f in files)).encode()).hexdigest()


def verify(lake: Lake, connection: Connection, staged: StagedScores) -> None:
    """Raise DataError unless the partition has as many rows of this run in the database as in the lake."""
    in_lake = sum(f.rows for f in lake.files(SCORES, **staged.partition))
    found = connection.execute(
        "SELECT count(*) FROM scores WHERE region = %s AND score_date = %s AND run_id = %s",
        [staged.region, staged.score_date, staged.run_id],
    ).fetchone()
    if found != (in_lake,):
        raise DataError(
            f"{found[0] if found else 0} rows in the database, {in_lake:,} in the lake",
            where=f"{staged.region}, {staged.score_date}",
            do="publish again with --force",
        )


def _load(
    lake: Lake, connection: Connection, url: str, staged: StagedScores, publication: dict[str, object], run_tasks: RunTasks
) -> None:
    load = open_load(connection, url, staged.region, staged.score_date, staged.run_id)
    run_tasks(copy_file, list(staged.files), (lake, load))
    current = {f.path for f in lake.files(SCORES, **staged.partition)}
    if current != {f.path for f in staged.files}:
        where = f"{staged.region}, {staged.score_date}"
        raise ConflictError("another run committed its scores meanwhile", where=where, do="run again")
    categories = tokens.names(tokens.load(lake), *lake.config.label_key)
    swap_in(connection, load, categories, publication, staged.rows)


def _demand_files(lake: Lake, staged: StagedScores) -> None:
    missing = [f.path for f in staged.files if not lake.exists(SCORES.name, f.path)]
    missing += [f.path for f in staged.vectors if not lake.exists(SCORE_VECTORS.name, f.path)]
    if missing or not staged.files:
        do = "score this day again"
        raise DataError("staged score files are gone", where=staged.run_id, count=len(missing), examples=missing, do=do)


def _published(connection: Connection, publication: dict[str, object]) -> bool:
    found = connection.execute(
        "SELECT 1 FROM publications WHERE region = %(region)s AND score_date = %(score_date)s AND run_id = %(run_id)s "
        "AND model_version = %(model_version)s AND rows = %(rows)s AND digest = %(digest)s",
        publication,
    ).fetchone()
    return found is not None
