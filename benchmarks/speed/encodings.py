"""How all 2,000 scores of a customer may be stored: bytes, error, and microseconds to write and to read back, one thread.

The probabilities are those of the network with random weights at the reference shape.  Each encoding goes from the matrix (B, C)
to a closed file, written as :meth:`Lake.write` writes one but for the compression of the scores, and back to a matrix; scores are
in the order of the categories, so no ids go with them.
"""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.reference import reference_pipeline
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.encodings_kinds import ENCODINGS, LIST, Encoding
from benchmarks.speed.encodings_readers import read_by
from benchmarks.speed.reference_lake import Shape
from benchmarks.speed.reference_lake import rows_of as feature_rows
from propensity.features.csr import FloatArray
from propensity.pipeline.top_k import sigmoid

USERS = {False: 2_048, True: 1_024}
ROUNDS = {False: 7, True: 2}
"""By whether less is wanted."""
COMPRESSIONS: Mapping[str, int | None] = {"zstd": 1, "lz4": None, "none": None}
"""Name -> level."""
FORM = f"{LIST} | zstd"
"""What the ratios are against: the list form as the lake writes it."""


def probabilities(users: int) -> FloatArray:
    """Return the probabilities (B, C) of customers at the reference shape."""
    _, batch = feature_rows(Shape(users, buckets=1), 0)
    return sigmoid(reference_pipeline(history=False).predictor.raw(batch).logits)


def write(path: Path, scores: FloatArray, encoding: Encoding, compression: str) -> None:
    """Write a file of user ids and scores."""
    table = pa.table({"user_id": np.arange(len(scores)), "scores": encoding.pack(scores)})
    dictionary: Any = ["user_id"] if encoding.plain else True
    with path.open("wb") as sink:
        level = COMPRESSIONS[compression]
        pq.write_table(table, sink, compression=compression, compression_level=level, use_dictionary=dictionary)


def read(path: Path, encoding: Encoding, width: int) -> FloatArray:
    """Return the scores (B, C) of a file."""
    with path.open("rb") as source:
        column = pq.ParquetFile(source).read(use_threads=False)["scores"].combine_chunks()
    return encoding.unpack(column, width)


def contest(home: Path, scores: FloatArray, rounds: int) -> dict[str, dict[str, Any]]:
    """Return the figures of every encoding and compression, by ``encoding | compression``."""
    path, width = home / "scores.parquet", scores.shape[1]
    spent: dict[str, list[tuple[float, float]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for number in range(rounds + 1):  # the first is to warm up, and to look at what is read
        for name, encoding in ENCODINGS.items():
            for compression in COMPRESSIONS:
                started = time.perf_counter()
                write(path, scores, encoding, compression)
                written = time.perf_counter()
                got = read(path, encoding, width)
                times = (written - started, time.perf_counter() - written)
                key = f"{name} | {compression}"
                if number == 0:
                    apart = np.abs(got.astype(np.float64) - scores)
                    found[key] = {"bytes": path.stat().st_size / len(scores), "error": float(apart.max()),
                                  "relative": float((apart / scores).max())}  # fmt: skip
                else:
                    spent.setdefault(key, []).append(times)
    for key, times_ in spent.items():
        for at, what in enumerate(("write_us", "read_us")):
            found[key][what] = statistics.median(one[at] for one in times_) / len(scores) * 1e6
    return found


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the figures, and which programs read what; Spark is asked unless less is wanted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before, scores = load(), probabilities(USERS[fast])
    home.mkdir(parents=True, exist_ok=True)
    found = contest(home, scores, ROUNDS[fast])
    torch.set_num_threads(threads)
    after = load()
    return {"users": len(scores), "categories": scores.shape[1], "least": float(scores.min()), "rounds": ROUNDS[fast],
            "encodings": found, "readers": read_by(home / "readers", scores, spark=not fast),
            "load": [before, after]}  # fmt: skip


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    found = result["encodings"]
    form, lines = found[FORM]["write_us"], []
    for key, f in found.items():
        times = f"{f['write_us']:.1f}", f"{form / f['write_us']:.1f}", f"{f['read_us']:.1f}"
        lines.append([*key.split(" | "), *times, f"{f['bytes']:,.0f}", f"{f['error']:.1e}", f"{f['relative']:.1e}"])
    heads = [
        "",
        "compression",
        "write, µs a customer",
        "list with zstd is × this",
        "read, µs",
        "bytes",
        "largest error",
        "relative",
    ]
    names = list(next(iter(result["readers"].values())))
    readers = [[name, *told.values()] for name, told in result["readers"].items()]
    return [
        *rows_of(heads, lines), "", *rows_of(["read back by", *names], readers), "",
        f"{result['users']:,} customers, {result['categories']:,} categories, probabilities from {result['least']:.0e}, one "
        f"thread, median of {result['rounds']}; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]  # fmt: skip
