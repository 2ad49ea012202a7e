"""How long one customer takes in process, from raw features to the 50 likeliest categories, at the reference shape.

Ours is the pipeline that the online service calls.  Peers are the same plain network written directly: numpy, torch.  They are
timed in turns, a few hundred customers each, in one process with one thread.  Percentiles are over all customers.  The bars
were set on requests that lie ready, as the first prototypes timed them; with ``--parse`` a customer's JSON is parsed just before
it is timed, as in a service, which leaves less of the weights in the processor's caches.  The time to parse is not counted.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.reference import TOP, plain_pipeline, plain_requests, reference_pipeline, reference_requests
from propensity.pipeline.pipeline import Pipeline

Score = Callable[[dict[str, dict[str, float]]], Any]
Contender = tuple[Score, list[str]]
OURS = "ours, plain network"
BARS = {50: 100.0, 99: 270.0}
"""Microseconds, for the plain network."""


def ours(pipeline: Pipeline) -> Score:
    """Return what the online service does."""
    return lambda record: pipeline.score((record,), TOP)


def _rows(pipeline: Pipeline) -> Callable[[dict[str, dict[str, float]]], tuple[Any, Any]]:
    """Return how the peers vectorise: by a dictionary."""
    row_of = {word: row for row, word in enumerate(pipeline.vectoriser.blocks["words"].words)}

    def rows(record: dict[str, dict[str, float]]) -> tuple[Any, Any]:
        indices, values = [], []
        for word, value in record["tokens"].items():
            row = row_of.get(word)
            if row is not None:
                indices.append(row)
                values.append(value)
        return np.array(indices, np.int32), np.array(values, np.float32)

    return rows


def in_numpy(pipeline: Pipeline) -> Score:
    """Return the plain network as numpy code."""
    weights = pipeline.predictor.tensors()
    embedding, first_bias = weights["embedding.weight"], weights["embedding_bias"]
    hidden, second_bias = weights["hidden.weight"], weights["hidden.bias"]
    output, third_bias = weights["output.weight"], weights["output.bias"]
    rows = _rows(pipeline)

    def score(record: dict[str, dict[str, float]]) -> tuple[Any, Any]:
        indices, values = rows(record)
        first = np.maximum(values @ embedding[indices] + first_bias, 0)
        logits = output @ np.maximum(hidden @ first + second_bias, 0) + third_bias
        best = np.argpartition(logits, len(logits) - TOP)[len(logits) - TOP :]
        best = best[np.argsort(-logits[best])]
        return best, 1 / (1 + np.exp(-logits[best]))

    return score


def in_torch(pipeline: Pipeline) -> Score:
    """Return the plain network as torch code in inference mode."""
    weights = {name: torch.from_numpy(np.array(array)) for name, array in pipeline.predictor.tensors().items()}
    rows = _rows(pipeline)
    start = torch.zeros(1, dtype=torch.int32)
    functional = torch.nn.functional

    def score(record: dict[str, dict[str, float]]) -> tuple[Any, Any]:
        indices, values = rows(record)
        with torch.inference_mode():
            bag = functional.embedding_bag(
                torch.from_numpy(indices),
                weights["embedding.weight"],
                start,
                mode="sum",
                per_sample_weights=torch.from_numpy(values),
            )
            first = torch.relu(bag + weights["embedding_bias"])
            second = torch.relu(functional.linear(first, weights["hidden.weight"], weights["hidden.bias"]))
            logits = functional.linear(second, weights["output.weight"], weights["output.bias"])[0]
            values_, best = torch.topk(logits, TOP)
            return best.numpy(), torch.sigmoid(values_).numpy()

    return score


def measure(contenders: dict[str, Contender], rounds: int, turn: int, parse: bool) -> dict[str, np.ndarray[Any, Any]]:
    """Return the microseconds of every customer by contender, timed in turns."""
    times: dict[str, list[int]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, (score, requests) in contenders.items():
            texts = [*requests[-50:], *requests[number * turn : (number + 1) * turn]]
            for at, given in enumerate(texts if parse else list(map(json.loads, texts))):
                record = json.loads(given) if parse else given
                started = time.perf_counter_ns()
                score(record)
                spent = time.perf_counter_ns() - started
                if at >= 50:  # the first of a turn find the others' data in the caches
                    times[name].append(spent)
    return {name: np.array(spent) / 1e3 for name, spent in times.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turn", type=int, default=500, help="customers of a turn")
    parser.add_argument("--parse", action="store_true", help="parse each customer's JSON just before timing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = arguments.rounds * arguments.turn + 50
    plain, full = plain_pipeline(), reference_pipeline(history=True)
    words, named = plain_requests(count), reference_requests(full, count)
    agree(ours(plain), in_numpy(plain), [json.loads(text) for text in words[:200]])
    contenders = {
        OURS: (ours(plain), words),
        "the plain network in numpy": (in_numpy(plain), words),
        "the plain network in torch": (in_torch(plain), words),
        "ours, both paths, six named features, transformers": (ours(full), named),
    }
    before = os.getloadavg()[0]
    times = measure(contenders, arguments.rounds, arguments.turn, arguments.parse)
    base = np.median(times[OURS])
    print("| one customer, top 50, in process | p50 µs | p90 µs | p99 µs | p50 to ours |\n|---|---|---|---|---|")
    for name, spent in times.items():
        p50, p90, p99 = np.percentile(spent, [50, 90, 99])
        print(f"| {name} | {p50:.0f} | {p90:.0f} | {p99:.0f} | {p50 / base:.2f} |")
    met = all(np.percentile(times[OURS], q) <= bar for q, bar in BARS.items())
    print(f"{count - 50:,} customers each; load average before {before:.1f}, after {os.getloadavg()[0]:.1f}")
    print(f"bars for the first line: p50 {BARS[50]:.0f} µs, p99 {BARS[99]:.0f} µs: {'met' if met else 'NOT met'}")


def agree(one: Score, other: Score, records: list[dict[str, dict[str, float]]]) -> None:
    """Raise SystemExit unless two contenders give the same probabilities."""
    for record in records:
        mine, theirs = one(record).probabilities[0], other(record)[1]
        if not np.allclose(mine, theirs, atol=1e-5):
            raise SystemExit("error: the contenders do not compute the same; nothing was timed")


if __name__ == "__main__":
    main()
