"""The peer of the landing: DuckDB reads a day's raw file, maps tokens, adds up and writes by bucket, as ours does."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.features_peers import MEMORY_GB, THREADS


@dataclass(frozen=True)
class Day:
    """What is to land."""

    file: Path
    """Raw events of one day."""
    vocabulary: Path
    """Parquet: item (int64), token (int32)."""
    buckets: int
    out: Path
    """Folder for activity files, vocabulary and counts; replaced."""


COUNTS = """
    copy (select region, event_time::date "day", count(*) events, count(distinct user_id) users,
            count(*) filter (user_id is null) null_user, count(*) filter (event_time is null) null_time,
            count(*) filter (item is null) missing_required, count(*) filter (amount < 0) negative_value,
            count(*) - count(distinct (user_id, event_time, item, amount)) duplicated
        from day group by all)
    to '{out}/counts.json' (format json)"""
"""What the events gate judges."""

NEW_TOKENS = """
    insert into vocabulary
    select item, (select coalesce(max(token) + 1, 0) from vocabulary) + row_number() over (order by item) - 1
    from (select distinct item from day where item is not null and item not in (select item from vocabulary))"""

ACTIVITY = """
    copy (select region, (hash(user_id) % {buckets})::int bucket, user_id, token, event_time::date event_date,
            count(*)::int "count", sum(amount) "value"
        from day join vocabulary using (item) where user_id is not null and event_time is not null
        group by all order by region, bucket, user_id, token, event_date)
    to '{out}/activity' (format parquet, compression zstd, compression_level 1, partition_by (region, bucket))"""


def land_by_duckdb(day: Day, counts: bool) -> None:
    """Land a day by DuckDB; with `counts` also what the events gate judges is counted."""
    import duckdb

    shutil.rmtree(day.out, ignore_errors=True)
    day.out.mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute(f"set threads={THREADS}; set memory_limit='{MEMORY_GB}GB'; set timezone='UTC'")
    connection.execute(f"create table day as from read_parquet('{day.file}')")
    connection.execute(f"create table vocabulary as from read_parquet('{day.vocabulary}')")
    connection.execute(NEW_TOKENS)
    for query in ([COUNTS] if counts else []) + [ACTIVITY]:
        connection.execute(query.format(out=day.out, buckets=day.buckets))
    connection.close()
