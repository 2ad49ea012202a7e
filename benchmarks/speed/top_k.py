"""The 50 likeliest of 2,000 categories, in order: ours beside what numpy, torch, Arrow and a compiled heap take, one thread.

Logits are those of the network with random weights at the reference shape, a batch of 1,024 customers; and the same sorted
upwards within each customer, the worst order for whatever keeps the best so far.  Every answer is checked before it is timed.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.reference import TOP, reference_pipeline
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import Shape
from benchmarks.speed.reference_lake import rows_of as feature_rows
from propensity.features.csr import FloatArray
from propensity.pipeline.kernels import compiled
from propensity.pipeline.top_k import top_columns

BATCH = 1024
ROUNDS = {False: 15, True: 5}
"""By whether less is wanted."""
OURS = "ours: groups' maxima, then a short sort"

Columns = npt.NDArray[np.int64]
Kernel = Callable[[FloatArray, int], Columns]


def by_argpartition(logits: FloatArray, k: int) -> Columns:
    """Partition, then sort the K."""
    part = np.argpartition(logits, logits.shape[1] - k, axis=1)[:, -k:]
    order = np.argsort(np.take_along_axis(logits, part, 1), axis=1)[:, ::-1]
    return np.take_along_axis(part, order, 1)


def by_argsort(logits: FloatArray, k: int) -> Columns:
    """Sort everything."""
    return np.argsort(logits, axis=1)[:, : -k - 1 : -1]


def by_keys(logits: FloatArray, k: int) -> Columns:
    """Make one integer of logit and column, partition those: what ours does above K = 64."""
    width = logits.shape[1]
    bits = logits.view(np.int32)
    keys = ((bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64) << 32) | np.arange(width)
    keys.partition(width - k, axis=1)
    best = np.sort(keys[:, width - k :], axis=1)[:, ::-1]
    return best & 0xFFFFFFFF


def by_torch(logits: FloatArray, k: int) -> Columns:
    """Ask torch."""
    columns: Columns = torch.topk(torch.from_numpy(logits), k, dim=1).indices.numpy()
    return columns


def by_arrow(logits: FloatArray, k: int) -> Columns:
    """Ask Arrow compute, which takes one customer at a time."""
    options = pc.SelectKOptions(k, [("logit", "descending")])
    rows = (pa.table({"logit": row}) for row in logits)
    return np.stack([pc.select_k_unstable(row, options=options).to_numpy() for row in rows]).astype(np.int64)


def by_heap(logits: FloatArray, k: int) -> Columns:
    """Keep the K best so far in a compiled heap, the least of them on top."""
    columns = np.empty((len(logits), k), np.int64)
    _heap(logits, columns)
    return columns


@compiled
def _heap(logits: Any, columns: Any) -> None:
    k = columns.shape[1]
    values, at = np.empty(k, np.float32), np.empty(k, np.int64)
    for b in range(len(logits)):
        row = logits[b]
        values[:] = -np.inf
        at[:] = -1
        for c in range(len(row)):
            if row[c] > values[0]:
                _replace_least(values, at, k, row[c], c)
        for left in range(k - 1, -1, -1):
            columns[b, left] = at[0]
            _replace_least(values, at, left, values[left], at[left])


@compiled
def _replace_least(values: Any, at: Any, size: int, value: Any, column: int) -> None:
    """Put a value in the least one's place and let it sink to where it belongs in a heap of so many."""
    hole = 0
    while 2 * hole + 1 < size:
        child = 2 * hole + 1
        if child + 1 < size and values[child + 1] < values[child]:
            child += 1
        if values[child] >= value:
            break
        values[hole], at[hole] = values[child], at[child]
        hole = child
    values[hole], at[hole] = value, column


KERNELS: Mapping[str, Kernel] = {
    OURS: top_columns,
    "numba, a heap": by_heap,
    "torch.topk": by_torch,
    "numpy, partition of packed keys": by_keys,
    "numpy, argpartition and a sort": by_argpartition,
    "numpy, argsort of all": by_argsort,
    "Arrow compute, select_k_unstable": by_arrow,
}


def check(logits: FloatArray, columns: Columns) -> None:
    """Raise SystemExit unless `columns` (B, K) are different ones with the highest logits, descending; of equals, any."""
    k = columns.shape[1]
    wanted = np.sort(logits, axis=1)[:, ::-1][:, :k]
    twice = (np.diff(np.sort(columns, axis=1), axis=1) == 0).any()
    if twice or not np.array_equal(np.take_along_axis(logits, columns, 1), wanted):
        raise SystemExit("error: a kernel does not name the highest; nothing is reported")


def contest(logits: Mapping[str, FloatArray], k: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return microseconds a customer of every kernel on every kind of logits."""
    work: dict[tuple[str, str], Callable[[], object]] = {}
    for name, kernel in KERNELS.items():
        for kind, some in logits.items():
            check(some, kernel(some, k))
            work[name, kind] = partial(kernel, some, k)
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in work}
    for _ in range(rounds):
        for key, run in work.items():
            started = time.perf_counter()
            run()
            spent[key].append(time.perf_counter() - started)
    rows = {kind: len(some) for kind, some in logits.items()}
    return {name: {kind: 1e6 * statistics.median(spent[name, kind]) / rows[kind] for kind in logits} for name in KERNELS}


def measure(_: Path, fast: bool) -> dict[str, Any]:
    """Return the figures, and the load."""
    threads, cores, before = torch.get_num_threads(), pa.cpu_count(), load()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    _, batch = feature_rows(Shape(BATCH, buckets=1), 0)
    logits = reference_pipeline(history=False).predictor.raw(batch).logits
    found = contest({"reference": logits, "rising": np.sort(logits, axis=1)}, TOP, ROUNDS[fast])
    torch.set_num_threads(threads)
    pa.set_cpu_count(cores)
    return {"kernels": found, "shape": [*logits.shape, TOP], "rounds": ROUNDS[fast], "load": [before, load()]}


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    found, (rows, width, k) = result["kernels"], result["shape"]
    ours = found[OURS]["reference"]
    lines = [[name, f"{f['reference']:.1f}", f"{f['reference'] / ours:.1f}", f"{f['rising']:.1f}"] for name, f in found.items()]
    return [
        *rows_of(["", "µs a customer", "× ours", "on logits that rise"], lines), "",
        f"{k} of {width:,}, {rows:,} customers, one thread, median of {result['rounds']}; load average "
        f"{result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]  # fmt: skip
