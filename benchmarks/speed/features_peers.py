"""The peers of the daily features: the same rows of the same events, made from raw files by DuckDB, Polars and Spark.

Each is given the window's files alone, the vocabulary ready, and as many threads as ours; each writes Parquet by region, and
leaves out what a window has no event of.  A feature id is token * 32 + slot, as everywhere; slots go by ascending window.
"""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from propensity.config import MAX_CHANNELS

THREADS = 2
MEMORY_GB = 12


@dataclass(frozen=True)
class Task:
    """What is to be made of what."""

    files: tuple[str, ...]
    """Raw events of the window's days."""
    vocabulary: str
    """Parquet: item (int64), token (int32)."""
    score_date: dt.date
    windows: tuple[int, ...]
    """Days, ascending; the files cover the last."""
    out: Path
    """Folder that is not there yet."""

    def since(self) -> list[str]:
        """Return the first day of every window but the last, which all events are in."""
        return [(self.score_date - dt.timedelta(days=w)).isoformat() for w in self.windows[:-1]]


Run = Callable[[Task], None]


def duckdb_engine() -> Run:
    """Return DuckDB: group by (user, item), join the vocabulary, gather lists."""
    import duckdb

    def run(task: Task) -> None:
        connection = duckdb.connect()
        connection.execute(f"set threads={THREADS}; set memory_limit='{MEMORY_GB}GB'; set preserve_insertion_order=false")
        connection.execute(f"set temp_directory='{task.out}.spill'; set timezone='UTC'")
        sums = [f"sum(case when event_time >= timestamptz '{day} 00:00:00+00' then amount end) s{n}"
                for n, day in enumerate(task.since())]  # fmt: skip
        names = [f"s{n}" for n in range(len(task.windows))]
        ids = ", ".join(f"t + {n}" for n in range(len(names)))
        connection.execute(f"""
            copy (
                with pairs as (
                    select user_id, any_value(region) region, item, {", ".join([*sums, f"sum(amount) {names[-1]}"])}
                    from read_parquet({list(task.files)}) group by user_id, item),
                known as (select user_id, region, token * {MAX_CHANNELS} t, {", ".join(names)}
                    from pairs join read_parquet('{task.vocabulary}') using (item)),
                entries as (select user_id, region, unnest([{ids}]) i, unnest([{", ".join(names)}]) s from known)
                select user_id, any_value(region) region, list(i::int order by i) indices,
                    list(ln(1 + s)::float order by i) "values"
                from entries where s is not null group by user_id)
            to '{task.out}' (format parquet, compression zstd, compression_level 1, partition_by (region))""")  # noqa: S608
        connection.close()

    return run


def polars_engine() -> Run:
    """Return Polars' streaming engine: the same plan as DuckDB's."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars as pl

    def run(task: Task) -> None:
        days = [pl.lit(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00")) for day in task.since()]
        names = [f"s{n}" for n in range(len(task.windows))]
        sums = [pl.col("amount").filter(pl.col("event_time") >= day).sum().alias(name)
                for day, name in zip(days, names, strict=False)]  # fmt: skip
        pairs = (
            pl.scan_parquet(list(task.files))
            .group_by("user_id", "item")
            .agg(pl.col("region").first(), *sums, pl.col("amount").sum().alias(names[-1]))
            .join(pl.scan_parquet(task.vocabulary), on="item")
        )
        first = pl.col("token") * MAX_CHANNELS
        entries = (
            pairs.select("user_id", "region", pl.concat_list([first + n for n in range(len(names))]).alias("i"),
                         pl.concat_list(names).alias("s"))
            .explode("i", "s")
            .filter(pl.col("s") > 0)
        )  # fmt: skip
        rows = entries.group_by("user_id").agg(
            pl.col("region").first(),
            pl.col("i").sort().cast(pl.Int32).alias("indices"),
            pl.col("s").sort_by("i").log1p().cast(pl.Float32).alias("values"),
        )
        collected = rows.collect(engine="streaming")
        for (region,), part in collected.partition_by("region", as_dict=True, include_key=False).items():
            folder = task.out / f"region={region}"
            folder.mkdir(parents=True)
            part.write_parquet(folder / "0.parquet", compression="zstd", compression_level=1)

    return run


def _session() -> Any:
    os.environ.update(PYSPARK_PYTHON=sys.executable, OMP_NUM_THREADS="1", SPARK_LOCAL_IP="127.0.0.1")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{THREADS}]")
    for key, value in {
        "spark.driver.memory": "8g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "8", "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.autoBroadcastJoinThreshold": "64m", "spark.sql.execution.arrow.maxRecordsPerBatch": "200000",
        "spark.sql.session.timeZone": "UTC", "spark.log.level": "ERROR",
    }.items():  # fmt: skip
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.range(1000).count()
    return session


def _events(session: Any, task: Task) -> Any:
    from pyspark.sql import functions as sql

    vocabulary = sql.broadcast(session.read.parquet(task.vocabulary))
    return session.read.parquet(*task.files).join(vocabulary, "item").select("user_id", "region", "token", "event_time", "amount")


def _save(frame: Any, task: Task) -> None:
    frame.write.partitionBy("region").parquet(str(task.out))


def spark_sql_engine() -> Run:
    """Return Spark SQL: rows are shuffled by user once, and both group-bys use that."""
    session = _session()

    def run(task: Task) -> None:
        from pyspark.sql import functions as sql

        names = [f"s{n}" for n in range(len(task.windows))]
        sums = [sql.sum(sql.when(sql.col("event_time") >= sql.lit(f"{day} 00:00:00").cast("timestamp"), sql.col("amount")))
                for day in task.since()]  # fmt: skip
        totals = [amount.alias(name) for amount, name in zip([*sums, sql.sum("amount")], names, strict=True)]
        pairs = _events(session, task).repartition(8, "user_id").groupBy("user_id", "region", "token").agg(*totals)
        first = (sql.col("token") * MAX_CHANNELS).alias("t")
        rows = pairs.groupBy("user_id").agg(
            sql.first("region").alias("region"), sql.sort_array(sql.collect_list(sql.struct(first, *names))).alias("l")
        )
        entries = ", ".join(f"struct(x.t + {n} as i, x.{name} as s)" for n, name in enumerate(names))
        flat = rows.select(
            "user_id",
            "region",
            sql.expr(f"filter(flatten(transform(l, x -> array({entries}))), x -> x.s is not null)").alias("l"),
        )
        _save(flat.select("user_id", "region", sql.expr("transform(l, x -> cast(x.i as int))").alias("indices"),
                          sql.expr("transform(l, x -> cast(log1p(x.s) as float))").alias("values")), task)  # fmt: skip

    return run


def spark_arrow_engine() -> Run:
    """Return Spark with Arrow: raw rows are shuffled by user, numpy makes the features of a partition."""
    session = _session()

    def run(task: Task) -> None:
        days = [np.datetime64(day, "us") for day in task.since()]

        def build(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            table = pa.Table.from_batches(list(batches)).combine_chunks()
            yield _arrow_features(table, days)

        shuffled = _events(session, task).repartition(8, "user_id")
        _save(shuffled.mapInArrow(build, "user_id long, region string, indices array<int>, values array<float>"), task)

    return run


def _arrow_features(table: pa.Table, days: list[Any]) -> pa.RecordBatch:
    """Return the feature rows of a partition's events; `days` are the first days of all windows but the last."""
    user, token, time = (table[name].to_numpy() for name in ("user_id", "token", "event_time"))
    order = np.argsort((user << 24) | token, kind="stable")
    user, token, time, amount = user[order], token[order], time[order], table["amount"].to_numpy()[order]
    first = np.flatnonzero(np.r_[True, (user[1:] != user[:-1]) | (token[1:] != token[:-1])])
    sums = [np.add.reduceat(np.where(time >= day, amount, 0), first) for day in days]
    matrix = np.stack([*sums, np.add.reduceat(amount, first)], axis=1)
    ids = (token[first][:, None] * MAX_CHANNELS + np.arange(matrix.shape[1])).astype(np.int32)
    present = matrix > 0
    start = np.flatnonzero(np.r_[True, user[first][1:] != user[first][:-1]])
    offsets = np.r_[0, np.cumsum(np.add.reduceat(present.sum(axis=1), start))].astype(np.int32)
    columns = [
        pa.array(user[first][start]),
        table["region"].combine_chunks().take(pa.array(order[first][start])),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids[present])),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.log1p(matrix[present]).astype(np.float32))),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["user_id", "region", "indices", "values"])


ENGINES: dict[str, Callable[[], Run]] = {
    "DuckDB from raw": duckdb_engine,
    "Polars streaming from raw": polars_engine,
    "Spark with Arrow from raw": spark_arrow_engine,
    "Spark SQL from raw": spark_sql_engine,
}
"""Each starts its engine and returns what is timed."""
