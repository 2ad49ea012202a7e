"""What the bare processes and Ray's tasks do with our kernel: a batch of feature rows in, the likeliest categories out."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.reference import TOP
from benchmarks.speed.reference_lake import DAY, REGION
from propensity.config.scoring import Precision
from propensity.contracts import FEATURES
from propensity.engine.worker_model import Champion, model_of
from propensity.features.csr import from_arrow
from propensity.storage import DataFile, Lake

BATCH = 256
WARM = 4096
"""Customers scored before the clock runs."""
PRODUCTS_BATCH = 1024
"""Products alone are quicker in larger batches."""
_state: dict[str, Any] = {}


def prepare(lake: Lake, champion: Champion, precision: Precision) -> None:
    """Load the model in a process."""
    import torch

    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    _state.update(lake=lake, model=model_of(champion, lake.config, precision))
    _state["folder"] = lake.config.home / "bare"
    _state["folder"].mkdir(parents=True, exist_ok=True)


def prepare_once(lake: Lake, champion: Champion, precision: Precision) -> None:
    """Load the model unless this process has."""
    if not _state:
        prepare(lake, champion, precision)


def ready(file: DataFile) -> int:
    """Score some customers of a file and throw the result away."""
    return int(score_table(_state["lake"].read(FEATURES.name, file).slice(0, WARM)).num_rows)


def warm_up(file: DataFile, shared: tuple[Lake, Champion]) -> None:
    """Load the model in one of our workers, score some customers, measure its precision as a run does."""
    from propensity.engine.precision import Sample, measure

    lake, champion = shared
    wanted = lake.config.models.scoring.precision
    exact: Precision = "float32"
    precisions = (exact,) if wanted in {exact, "auto"} else (exact, wanted)
    measure(file, Sample(lake, champion, precisions, lake.config.models.scoring.sample))
    prepare(lake, champion, exact if wanted == "auto" else wanted)
    ready(file)


def score_batch(batch: pa.RecordBatch, model: Any) -> pa.RecordBatch:
    """Return ids and probabilities of the likeliest categories."""
    scores = model.score(from_arrow(batch["indices"], batch["values"]), TOP)
    offsets = pa.array(np.arange(batch.num_rows + 1, dtype=np.int32) * np.int32(scores.categories.shape[1]))
    ids = pa.ListArray.from_arrays(offsets, pa.array(scores.categories.ravel()))
    values = pa.ListArray.from_arrays(offsets, pa.array(scores.probabilities.ravel()))
    return pa.RecordBatch.from_arrays([batch["user_id"], ids, values], ["user_id", "categories", "scores"])


def score_table(table: pa.Table) -> pa.Table:
    """Score the rows of a table."""
    rows = table.combine_chunks()
    return pa.Table.from_batches([score_batch(batch, _state["model"]) for batch in rows.to_batches(max_chunksize=BATCH)])


def score_file(file: DataFile) -> int:
    """Score one file with no engine at all and write the result; return its customers."""
    rows = _state["lake"].read(FEATURES.name, file).combine_chunks()
    scored = score_table(rows)
    target = _state["folder"] / file.path.rsplit("/", 1)[-1]
    pq.write_table(scored, target, compression="zstd", compression_level=1)
    return int(rows.num_rows)


def products(lake: Lake, model: Any) -> Callable[[], object]:
    """Return the work of gathering embedding rows and multiplying matrices, nothing else; the rest is done before."""
    import torch

    torch.set_num_threads(1)
    files = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    tables = (lake.read(FEATURES.name, file).combine_chunks() for file in files)
    batches = [batch for table in tables for batch in table.to_batches(max_chunksize=PRODUCTS_BATCH)]
    found = [model.look_up(from_arrow(batch["indices"], batch["values"])) for batch in batches]
    threads = ThreadPoolExecutor(2)  # torch lets go of Python's lock
    return lambda: list(threads.map(lambda one: len(model.products(one)), found))
