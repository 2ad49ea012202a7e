"""How long a customer takes in batches, one thread: compiled loops and torch in turns, at the reference shape and on real rows.

Real rows are those of the undivided benchmark's held-out window (``make evaluate`` or ``make parity`` makes them).
"""

import argparse
import json
import os
import time
from collections.abc import Sequence

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.reference import reference_pipeline, reference_requests
from benchmarks.running import ROOT
from propensity.config import load_config, parse_date
from propensity.contracts import FEATURES
from propensity.features.csr import SparseBatch, from_arrow
from propensity.features.windows import training_cutoffs
from propensity.models.loading import load_pipeline
from propensity.models.network_predictor import trained
from propensity.pipeline.predictor import SparsePredictor
from propensity.storage import Lake

BATCH = 1024
CUSTOMERS = 3 * BATCH
UNDIVIDED, REGION, SCORE_DATE = ROOT / "benchmarks" / "undivided", "all", "2018-01-01"
Case = tuple[str, SparsePredictor, Sequence[SparseBatch]]


def reference(history: bool) -> Case:
    """Return random customers of the reference shape."""
    pipeline = reference_pipeline(history)
    rows = pipeline.prepare([json.loads(text) for text in reference_requests(pipeline, CUSTOMERS)])
    batches = [rows.rows(first, first + BATCH) for first in range(0, CUSTOMERS, BATCH)]
    return f"reference shape, {'both paths' if history else 'plain network'}", pipeline.predictor, batches


def real() -> list[Case]:
    """Return the undivided benchmark's newest model and its held-out rows, or nothing when they were not made."""
    lake = Lake(load_config(UNDIVIDED))
    cutoff = training_cutoffs(lake.config, parse_date(SCORE_DATE))[0].isoformat()
    files = lake.files(FEATURES, region=REGION, score_date=cutoff)
    folders = sorted((lake.config.home / "models" / REGION).glob("*"), key=lambda f: f.stat().st_mtime)
    if not files or not folders:
        return []
    tables = [lake.read(FEATURES.name, file).combine_chunks() for file in files]
    batches = [from_arrow(b["indices"], b["values"]) for table in tables for b in table.to_batches(max_chunksize=BATCH)]
    return [("real rows", load_pipeline(folders[-1]).predictor, batches)]


def measure(case: Case, rounds: int) -> str:
    """Return a line of the table."""
    name, predictor, batches = case
    models = {"compiled": predictor, "torch": trained(predictor)}  # type: ignore[arg-type]
    times: dict[str, list[float]] = {kind: [] for kind in models}
    for number in range(rounds + 1):
        for kind, model in models.items():
            started = time.perf_counter()
            for batch in batches:
                model.raw(batch)
            if number:  # the first round compiles
                times[kind].append(time.perf_counter() - started)
    customers, entries = sum(map(len, batches)), sum(len(batch.indices) for batch in batches)
    compiled, peer = (float(np.median(times[kind])) / customers * 1e6 for kind in models)
    return f"| {name} | {customers:,} | {entries / customers:,.0f} | {compiled:.0f} | {peer:.0f} | {compiled / peer:.2f} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    print("| µs a customer, in batches | customers | features each | compiled | torch | ratio |\n|---|---|---|---|---|---|")
    for case in (reference(False), reference(True), *real()):
        print(measure(case, rounds), flush=True)
    print(f"load average before {before:.1f}, after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
