"""Staged scores of made-up customers, for tests of what comes after scoring."""

from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa

from propensity.contracts import FEATURES, SCORES, TOKENS
from propensity.features import tokens
from propensity.quality.staged import StagedScores, write_staged
from propensity.quality.statistics import score_statistics
from propensity.storage import Lake
from tests.support.shop import make_config

CATEGORIES = 12
DATE = "2025-03-01"


def score_lake(folder: Path) -> Lake:
    """Return a lake that knows the names of its categories and nothing else."""
    lake = Lake(make_config(folder))
    event_type, field = lake.config.label_key
    new = [(event_type, field, f"topic {n}") for n in range(CATEGORIES)]
    vocabulary = tokens.load(lake)
    lake.append(TOKENS, [lake.write(TOKENS, {}, "all", vocabulary.rows(new), {})], {}, lake.version(TOKENS))
    return lake


def score_table(lake: Lake, users: list[str], run_id: str, seed: int, k: int | list[int] = 3, version: str = "v1") -> pa.Table:
    """Return scores of these users: k different categories each (or each its own number), descending."""
    rng = np.random.default_rng(seed)
    count = len(users)
    wanted = [k] * count if isinstance(k, int) else k[:count]
    categories = [rng.permutation(CATEGORIES)[:n].astype(np.int32) for n in wanted]
    scores = [np.sort(rng.random(n).astype(np.float32))[::-1] for n in wanted]
    columns = [users, categories, scores, ["model"] * count, [version] * count, [run_id] * count]
    schema = SCORES.file_schema(lake.user_type)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def stage(
    lake: Lake, run_id: str, users: int = 100, region: str = "alps", date: str = DATE, seed: int = 0, files: int = 2
) -> StagedScores:
    """Write score files and their manifest; commit nothing."""
    names = [f"{region}-{n}" for n in range(users)]
    parts = []
    for bucket in range(files):
        table = score_table(lake, names[bucket::files], run_id, seed + bucket)
        parts.append(
            lake.write(SCORES, {"region": region, "score_date": date}, f"{bucket:05d}-{run_id}", table, score_statistics(table))
        )
    staged = StagedScores(run_id, region, date, "v1", tuple(parts))
    write_staged(lake.config, staged)
    return staged


def with_features(lake: Lake, staged: StagedScores) -> StagedScores:
    """Commit a feature row for each customer that was scored, as there is one whenever scores are real."""
    users = pa.concat_arrays([lake.read(SCORES.name, f)["user_id"].combine_chunks() for f in staged.files])
    ones = [pa.array([[1]] * len(users), pa.list_(pa.int32())), pa.array([[1.0]] * len(users), pa.list_(pa.float32()))]
    table = pa.table([users, *ones], schema=FEATURES.file_schema(lake.user_type))
    lake.commit(FEATURES, [lake.write(FEATURES, staged.partition, staged.run_id, table, {})], staged.partition, {})
    return staged


def run_here(function, items, shared):
    """Run a publisher's tasks one after the other in this process."""
    return [function(item, shared) for item in items]


def rows_in(address: str, query: str, *values: object) -> list[tuple]:
    """Return what a query finds in the database."""
    with psycopg.connect(address) as connection:
        return connection.execute(query, values).fetchall()


def published(address: str, region: str = "alps", date: str = DATE) -> list[tuple]:
    """Return the published rows of a partition, ordered by user."""
    query = (
        "SELECT user_id, categories, scores, score_source, model_version, run_id FROM scores "
        "WHERE region = %s AND score_date = %s ORDER BY user_id"
    )
    return [single(row) for row in rows_in(address, query, region, date)]


def in_lake(lake: Lake, region: str = "alps", date: str = DATE) -> list[tuple]:
    """Return the committed rows of a partition, as `published` returns them."""
    rows = lake.read_rows(SCORES, region=region, score_date=date).to_pylist()
    return sorted(single(tuple(row.values())) for row in rows)


def single(row: tuple) -> tuple:
    """Return a row with its scores as 32-bit floats: the two tables print them with different numbers of digits."""
    return (row[0], row[1], [np.float32(score) for score in row[2]], *row[3:])
