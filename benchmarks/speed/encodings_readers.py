"""Which programs read back each way of storing scores: a Delta table of a few customers, as the lake makes one, read by each."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions
from polars.exceptions import PolarsError
from pyspark.errors import PySparkException

from benchmarks.speed.contest import ROOT
from benchmarks.speed.encodings_kinds import ENCODINGS, Encoding
from propensity.config import load_config
from propensity.features.csr import FloatArray

ROWS = 16
FILE = "scores.parquet"
REFUSALS = (DeltaError, PolarsError, PySparkException, duckdb.Error, pa.ArrowException, TypeError, ValueError)
"""How readers say that they do not read something."""


def by_delta(folder: Path) -> tuple[str, Any]:
    """Read the table as delta-rs does; return the column's type and the first customer's value."""
    column = DeltaTable(folder).to_pyarrow_table()["scores"]
    return str(column.type), column[0].as_py()


def by_polars(folder: Path) -> tuple[str, Any]:
    """Read the table with Polars."""
    column = polars.read_delta(str(folder))["scores"]
    value = column[0]
    return str(column.dtype), value.to_list() if isinstance(value, polars.Series) else value


def by_duckdb(folder: Path) -> tuple[str, Any]:
    """Read the file with DuckDB: its reader of Delta tables is an extension that it fetches from the network."""
    found = duckdb.execute("SELECT typeof(scores), scores FROM read_parquet(?) LIMIT 1", [str(folder / FILE)]).fetchone()
    if found is None:
        raise ValueError("no row")
    return found


def by_spark(folder: Path) -> tuple[str, Any]:
    """Read the file with Spark: its reader of Delta tables is a package from Maven."""
    from pyspark.sql import SparkSession

    from propensity.engine.session import spark_context

    spark_context(load_config(ROOT / "conf", folder))
    table = SparkSession.builder.getOrCreate().read.parquet(str(folder / FILE))
    [row] = table.orderBy("user_id").limit(1).collect()
    return dict(table.dtypes)["scores"], bytes(row["scores"]) if isinstance(row["scores"], bytearray) else row["scores"]


READERS: Mapping[str, Callable[[Path], tuple[str, Any]]] = {"delta-rs": by_delta, "Polars": by_polars, "DuckDB": by_duckdb}
SPARK = "Spark"


def read_by(home: Path, scores: FloatArray, spark: bool) -> dict[str, dict[str, str]]:
    """Return, for each encoding and each reader, the type that it shows, or why it does not read what was written."""
    readers = {**READERS, **({SPARK: by_spark} if spark else {})}
    found: dict[str, dict[str, str]] = {}
    for name, encoding in ENCODINGS.items():
        if encoding.plain:  # a dictionary changes nothing for readers
            shutil.rmtree(home, ignore_errors=True)
            refused = _write(home, scores[:ROWS], encoding)
            found[name] = {reader: refused or _tried(home, scores, encoding, read) for reader, read in readers.items()}
    return found


def _write(home: Path, scores: FloatArray, encoding: Encoding) -> str:
    """Make the table; return why Delta Lake refuses it, or nothing."""
    home.mkdir(parents=True)
    table = pa.table({"user_id": np.arange(len(scores)), "scores": encoding.pack(scores)})
    pq.write_table(table, home / FILE, use_dictionary=False)
    add = AddAction(FILE, (home / FILE).stat().st_size, {}, 0, True, json.dumps({"numRecords": len(scores)}))
    try:
        create_table_with_add_actions(str(home), Schema.from_arrow(table.schema), [add], mode="error", partition_by=[])
    except DeltaError as error:
        return f"no: {' '.join(str(error).split())[:60]}"
    return ""


def _tried(home: Path, scores: FloatArray, encoding: Encoding, read: Callable[[Path], tuple[str, Any]]) -> str:
    wanted = encoding.pack(scores[:1])[0].as_py()
    try:
        shown, value = read(home)
    except REFUSALS as error:
        return f"no: {type(error).__name__} {' '.join(str(error).split())[:60]}"
    same = value == wanted if isinstance(wanted, bytes) else np.array_equal(np.float32(value), np.float32(wanted))
    return shown if same else f"no: another value, as {shown}"
