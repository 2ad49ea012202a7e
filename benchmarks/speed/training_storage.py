"""One epoch at the reference shape, its rows read from storage or kept in memory: samples a second and peak memory, by rows.

Each in a process of its own, because what is measured is what a process takes.
"""

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks.speed.events import configuration
from benchmarks.speed.training_data import Shape, chunks
from benchmarks.speed.training_peers import HIDDEN
from propensity.config import Models, PropensityNetwork
from propensity.contracts import FEATURES, LABELS
from propensity.errors import MachineError
from propensity.features.csr import to_arrow
from propensity.models.data import TrainingTables, concat_examples
from propensity.models.propensity_training import fit
from propensity.models.streaming import Streamed, count_windows, together
from propensity.models.supply import InMemory, Supply
from propensity.models.windows import read_examples
from propensity.storage import Lake

REGION = "us"
CUTOFFS = tuple(dt.date(2025, 1, 1) + dt.timedelta(days=14 * k) for k in range(4))
FILE_ROWS = 4096
BUFFER = 16_384
STORED, KEPT = "read from storage", "kept in memory"


def from_storage(home: Path, threads: int) -> list[tuple[str, str, str, str]]:
    """Return a line for each way and number of rows."""
    lines = []
    for rows in (65_536, 262_144):
        stored(home, rows)
        for way in (STORED, KEPT):
            command = [sys.executable, "-m", __spec__.name, str(home), way, "--rows", str(rows), "--threads", str(threads)]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
            lines.append((way, f"{rows:,}", f"{told['samples_per_s']:,.0f}", f"{told['peak_mb']:,.0f}"))
            print(*lines[-1], flush=True)
    return lines


def stored(home: Path, rows: int) -> TrainingTables:
    """Write feature and label tables of so many rows, unless they are there, and open them."""
    buckets = rows // FILE_ROWS // len(CUTOFFS)
    config = configuration(home / f"{rows}", CUTOFFS[0], (7, 28, 91), buckets)
    lake = Lake(config)
    if not lake.files(LABELS, region=REGION):
        for number, day in enumerate(CUTOFFS):
            _write(lake, day, number, buckets)
    return TrainingTables(lake, REGION)


def _write(lake: Lake, day: dt.date, number: int, buckets: int) -> None:
    partition = {"region": REGION, "score_date": day.isoformat()}
    files: dict[str, list[Any]] = {FEATURES.name: [], LABELS.name: []}
    for bucket, (sparse, labels, offsets) in enumerate(chunks(Shape(), buckets * FILE_ROWS, part=10 + number)):
        users = pa.array(np.arange(len(sparse)) + bucket * FILE_ROWS)
        indices, values = to_arrow(sparse)
        acted = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(labels))
        for contract, columns in ((FEATURES, [users, indices, values]), (LABELS, [users, acted])):
            table = pa.Table.from_arrays(columns, schema=contract.file_schema(lake.user_type))
            files[contract.name].append(lake.write(contract, partition, f"{bucket:05d}", table, {}))
    for contract in (FEATURES, LABELS):
        lake.commit(contract, files[contract.name], partition, {})


def main() -> None:
    """Train for one epoch and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("home", type=Path)
    parser.add_argument("way", choices=(STORED, KEPT))
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    encoder, tables = Shape().encoder(), stored(arguments.home, arguments.rows)
    network = PropensityNetwork(
        hidden=HIDDEN, dropout=0.0, batch_size=1024, embedding_optimiser="rowwise_adagrad", embedding_learning_rate=0.05,
        precision="bfloat16",
    )  # fmt: skip
    supply: Supply
    if arguments.way == STORED:
        supply = Streamed(tables, CUTOFFS, encoder, together(count_windows(tables, CUTOFFS, encoder)), BUFFER)
    else:
        supply = InMemory(concat_examples([read_examples(tables, day, encoder) for day in CUTOFFS]))
    told: list[float] = []
    models = Models(threads=arguments.threads, propensity_network=network)
    started = time.perf_counter()
    fit(models, encoder, supply, None, 1, torch.device("cpu"), lambda _: told.append(time.perf_counter() - started))
    print(json.dumps({"samples_per_s": arguments.rows / told[0], "peak_mb": _peak()}))


def _peak() -> float:
    """Return the highest resident memory of this process, in MB; what getrusage tells includes that of whoever started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise MachineError("the kernel does not tell a process's highest memory", where="/proc/self/status", do="run on Linux")
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
