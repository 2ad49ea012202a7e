"""Parity: the same customers through training code, through Spark in batch, and one at a time as the online service has them.

Training code is torch (for XGBoost its own matrix); Spark runs the saved bundle in its tasks, as the scoring job does; online is
one record after the other from raw features.  What is compared is the probability of every category of every customer, and the
50 likeliest categories.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.deviations import Deviations
from benchmarks.parity_models import Trained, default_bundles, training_code
from benchmarks.parity_rows import Customers
from benchmarks.parity_spark import TOP, Bundle, Chunk, pipeline_of, score_chunk
from propensity.config import Config
from propensity.engine.buckets import map_buckets
from propensity.models.loading import load_pipeline, predictor_of
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import deliver, sigmoid

ROWS, FULL_ROWS = 440_000, 4_387_830
"""A tenth of, and exactly, the rows of the table that article T printed."""
CHUNK = 4_000
PROCESSES = 2
BARS = {"p99": 1.8e-7, "max": 1e-5}
TIE = 1e-6
"""Probabilities nearer than this have no order."""
REDUCED = {"float16": 2e-3, "bfloat16": 2e-2}
"""Weights kept in fewer bits: the largest deviation that is accepted."""
REDUCED_CHUNKS = 5
HEAD = ["count", "mean", "variance", "p25", "p50", "p75", "p99", "max"]


@dataclass
class Result:
    """What came of one model."""

    spark: Deviations = field(default_factory=Deviations)
    online: Deviations = field(default_factory=Deviations)
    between: Deviations = field(default_factory=Deviations)
    """Online against Spark."""
    rows: int = 0
    same_top: int = 0
    """Customers whose likeliest categories are the same three times."""
    near_ties: int = 0
    """Customers where training code orders categories otherwise whose probabilities are nearer than TIE."""

    def merge(self, other: "Result") -> None:
        """Take in other customers' deviations."""
        for mine, theirs in ((self.spark, other.spark), (self.online, other.online), (self.between, other.between)):
            mine.merge(theirs)
        self.rows += other.rows
        self.same_top += other.same_top
        self.near_ties += other.near_ties

    def met(self) -> bool:
        """Say whether the bars hold."""
        worst = max(self.spark.largest, self.online.largest)
        p99 = max(self.spark.quantile(0.99), self.online.quantile(0.99))
        return worst <= BARS["max"] and p99 <= BARS["p99"] and self.same_top + self.near_ties == self.rows


def compare(config: Config, trained: Trained, rows: int, folder: Path, say: Callable[[str], None]) -> Result:
    """Score the customers three ways and return the deviations."""
    bundle = Bundle(trained.folder, load_bundle(trained.folder).digest)
    sizes = [min(CHUNK, rows - first) for first in range(0, rows, CHUNK)]
    chunks = [Chunk(n, size, folder / f"{trained.name}-{n}.npz") for n, size in enumerate(sizes)]
    started = time.monotonic()
    map_buckets(config, score_chunk, chunks, bundle, f"{trained.name}: chunks scored on Spark")
    say(f"{trained.name}: {rows:,} customers on Spark in {time.monotonic() - started:.0f} s")
    result = Result()
    started = time.monotonic()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        for part in processes.map(compare_chunk, [bundle] * len(chunks), chunks):
            result.merge(part)
            if result.rows % (10 * CHUNK) == 0:
                say(f"{trained.name}: {result.rows:,} of {rows:,} customers compared")
    say(f"{trained.name}: training code and one at a time in {time.monotonic() - started:.0f} s")
    return result


@cache
def _reference(bundle: Bundle) -> SparsePredictor:
    torch.set_num_threads(1)
    return training_code(pipeline_of(bundle).predictor)


def compare_chunk(bundle: Bundle, chunk: Chunk) -> Result:
    """Compare a chunk's scores from Spark with training code's and with those of one customer after the other."""
    pipeline, reference = pipeline_of(bundle), _reference(bundle)
    records = Customers(pipeline.vectoriser).chunk(chunk.number, chunk.size)
    rows = pipeline.prepare(records)
    training, wanted = reference.predict_batch(rows), reference.top_k(rows, TOP)[0]
    on_spark = np.load(chunk.scores)
    logits = np.stack([pipeline.predict_raw(record) for record in records])
    online, top = sigmoid(logits), deliver(logits, pipeline.categories, min(TOP, logits.shape[1]))[0]
    chunk.scores.unlink()
    result = Result(rows=len(records))
    result.spark.add(on_spark["probabilities"], training)
    result.online.add(online, training)
    result.between.add(online, on_spark["probabilities"])
    same = (top == wanted).all(axis=1) & (on_spark["top"] == wanted).all(axis=1)
    result.same_top = int(same.sum())
    alike = (on_spark["top"] == top).all(axis=1)
    result.near_ties = sum(
        bool(alike[at]) and _only_ties(training[at], pipeline.categories, top[at], wanted[at]) for at in np.flatnonzero(~same)
    )
    return result


def _only_ties(training: npt.NDArray[np.float32], categories: Any, got: Any, wanted: Any) -> bool:
    """Say whether two orders differ only where the training code's probabilities are as good as equal."""
    mine, theirs = training[np.searchsorted(categories, got)], training[np.searchsorted(categories, wanted)]
    return bool(np.abs(mine - theirs).max(initial=0.0) <= TIE)


def reduced(trained: Trained, precision: str) -> tuple[Deviations, Deviations]:
    """Return the deviations when every weight is rounded to fewer bits, against the same code with all of them.

    The enormous customer, the last of the first chunk, is told apart: with sums a thousand times as large as any the model has
    seen, rounding moves him as it moves nobody else.
    """
    bundle = load_bundle(trained.folder)
    rounded = predictor_of(replace(bundle, tensors={name: _rounded(a, precision) for name, a in bundle.tensors.items()}))
    pipeline = load_pipeline(trained.folder)
    result, enormous = Deviations(), Deviations()
    for number in range(REDUCED_CHUNKS):
        rows = pipeline.prepare(Customers(pipeline.vectoriser).chunk(number, CHUNK))
        got, wanted = rounded.predict_batch(rows), pipeline.predictor.predict_batch(rows)
        ordinary = len(rows) - (number == 0)
        result.add(got[:ordinary], wanted[:ordinary])
        enormous.add(got[ordinary:], wanted[ordinary:])
    return result, enormous


def _rounded(array: npt.NDArray[Any], precision: str) -> npt.NDArray[Any]:
    if array.dtype != np.float32:
        return array
    if precision == "float16":
        return array.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(array).view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)


def table(results: dict[str, Result], less: dict[str, tuple[Deviations, Deviations]]) -> list[str]:
    """Return what came out as a Markdown table."""
    lines = ["| deviation of probabilities | " + " | ".join(HEAD) + " |", "|---" * (len(HEAD) + 1) + "|"]
    for name, result in results.items():
        pairs = {"Spark, training": result.spark, "online, training": result.online, "online, Spark": result.between}
        lines += [f"| {name}: {pair} | " + " | ".join(deviations.row()) + " |" for pair, deviations in pairs.items()]
    for name, (ordinary, enormous) in less.items():
        lines.append(f"| {name} | " + " | ".join(ordinary.row()) + " |")
        lines.append("| the same, the enormous customer | " + " | ".join(enormous.row()) + " |")
    for name, result in results.items():
        lines.append(
            f"{name}: {result.rows:,} customers; the same top {TOP} three times for {result.same_top:,}; "
            f"for {result.near_ties:,} training code orders otherwise what is less than {TIE:.0e} apart"
        )
    return lines


def main() -> None:
    """Compare, print the table, and end with status 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help=f"{FULL_ROWS:,} customers instead of {ROWS:,}")
    parser.add_argument("--rows", type=int, help="this many customers")
    parser.add_argument("--models", nargs="*", help="only these of the trained models, by name")
    arguments = parser.parse_args()
    rows = arguments.rows or (FULL_ROWS if arguments.full else ROWS)

    def say(line: str) -> None:
        print(line, flush=True)

    config, bundles = default_bundles(arguments.models)
    with tempfile.TemporaryDirectory() as folder:
        results = {trained.name: compare(config, trained, rows, Path(folder), say) for trained in bundles}
    less = {f"{t.name}: weights in {p}": reduced(t, p) for t in bundles if t.has_weights for p in REDUCED}
    for line in table(results, less):
        say(line)
    within = all(d.largest <= REDUCED[name.rsplit(" ", 1)[1]] for name, (d, _) in less.items())
    met = all(result.met() for result in results.values()) and within
    bounds = ", ".join(f"{name} max {bound:.0e}" for name, bound in REDUCED.items())
    say(f"bars: p99 {BARS['p99']:.1e}, max {BARS['max']:.0e}, the same top {TOP}; {bounds}: {'met' if met else 'NOT met'}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
