"""Whether the quick path says, bit for bit, what the plain one says: every customer of a scored region, in float32.

Quick: the engine's run, whose tasks score 1,024 rows at once, pick the likeliest by groups' maxima and write packed files.
Plain: a row of the feature file at a time, a batch of one as the online service has it, every category sorted by numpy.
"""

import argparse
import json
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import numpy.typing as npt

from benchmarks.reference import TOP
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.contracts import FEATURES, SCORE_SOURCES, SCORES
from propensity.engine.scoring import score_region
from propensity.engine.worker_model import Champion, model_of
from propensity.features.csr import SparseBatch
from propensity.storage import DataFile, Lake

PROCESSES = 2
USERS = {False: 50_000, True: 20_000}
COMPARED = ("user_id", "categories", "scores", "score_source")


def measure(home: Path, fast: bool, users: int | None = None) -> dict[str, Any]:
    """Score a region both ways; return how many customers and values were compared, how many differ, and the seconds."""
    before, count = load(), users or USERS[fast]
    lake, champion = reference_lake(home, Shape(count, history=True), "float32")
    features = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    started = time.perf_counter()
    staged, _ = score_region(lake, REGION, DAY, champion, force=True, small=0)
    quick = time.perf_counter() - started
    started = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        work = [(lake, champion, *pair) for pair in zip(features, staged.files, strict=True)]
        found = np.sum(list(pool.map(compare_file, work)), axis=0).tolist()
    plain = time.perf_counter() - started
    keys = ("customers", "values", "customers_that_differ")
    return {**dict(zip(keys, found, strict=True)), "quick_s": quick, "plain_s": plain, "load": [before, load()]}


def compare_file(work: tuple[Lake, Champion, DataFile, DataFile]) -> tuple[int, int, int]:
    """Return the customers of a file, the numbers compared, and how many customers have any bit otherwise."""
    lake, champion, features, scores = work
    model = model_of(champion, lake.config, "float32")
    rows = lake.read(FEATURES.name, features).combine_chunks()
    quick = lake.read(SCORES.name, scores, list(COMPARED)).combine_chunks()
    users, offsets = rows["user_id"].to_pylist(), rows["indices"].chunk(0).offsets.to_numpy()
    indices, values = (rows[name].chunk(0).values.to_numpy() for name in ("indices", "values"))
    ids, numbers = (quick[name].chunk(0).values.to_numpy().reshape(len(quick), -1) for name in ("categories", "scores"))
    names, sources, differing = quick["user_id"].to_pylist(), quick["score_source"].to_pylist(), 0
    for row, user in enumerate(users):
        first, last = offsets[row], offsets[row + 1]
        one = SparseBatch(indices[first:last], values[first:last], np.array([0, last - first], np.int64))
        likeliest, probabilities, source = plain(model, one)
        same = names[row] == user and sources[row] == source and np.array_equal(ids[row], likeliest)
        differing += not (same and np.array_equal(numbers[row].view(np.int32), probabilities.view(np.int32)))
    return len(users), ids.size + numbers.size, differing + abs(len(users) - len(quick))


def plain(model: Any, one: SparseBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], str]:
    """Return a customer's likeliest categories (K,), their probabilities (K,), and the source: all sorted, nothing packed."""
    raw = model.raw(one)
    logits = raw.logits[0]
    order = np.lexsort((np.arange(len(logits)), -logits))[:TOP]
    # The C library's exponential, as compiled loops have it: numpy's own may differ in the last bit.
    probabilities = np.array([1.0 / (1.0 + math.exp(-logit)) for logit in logits[order].tolist()], np.float32)
    return model.categories[order], probabilities, SCORE_SOURCES[raw.source[0]]


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    counts = [f"{result[key]:,}" for key in ("customers", "values", "customers_that_differ")]
    title = ["customers", "ids and probabilities compared", "customers with another bit", "quick, s", "plain and comparing, s"]
    lines = [[*counts, f"{result['quick_s']:.1f}", f"{result['plain_s']:.1f}"]]
    return [*rows_of(title, lines), "", f"Load average {result['load'][0]:.1f} to {result['load'][1]:.1f}."]


def main() -> int:
    """Compare, print, and fail where a bit differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("var/bench/equality"))
    parser.add_argument("--users", type=int, default=1_000_000)
    arguments = parser.parse_args()
    result = measure(arguments.home, False, arguments.users)
    print("\n".join(table(result)))
    (arguments.home / "equality.json").write_text(json.dumps(result, indent=1))
    return 1 if result["customers_that_differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
