"""Training at the reference shape: samples a second of the project's own loop, beside peers and the matrix products alone.

Every contender is the same network from the same start: 200,000 features, 256 hidden, 2,000 categories, no history, no dropout.
They are timed in turns, in one process with its threads, on batches of the same size; each goes on learning where its last turn
ended.  Ours is :meth:`Loop.learn` on :class:`Examples` in memory, shuffled, with what an epoch costs beside its steps.  A loss is
that of customers nobody learned from, after the same number of samples, each contender at the best of some learning rates.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.training_data import Shape, examples
from benchmarks.speed.training_peers import HIDDEN, Peer, Products, Rates, fresh, loss_of
from benchmarks.speed.training_storage import from_storage
from propensity.config import Models, PropensityNetwork
from propensity.models.data import Examples, popularity_logits
from propensity.models.network import PropensityNetwork as Network
from propensity.models.network import to_tensors
from propensity.models.prefetch import ahead
from propensity.models.propensity_training import inputs, steps_of
from propensity.models.supply import InMemory
from propensity.models.training import Loop, reproducible

THREADS = 2
BATCH = 1024
CPU = torch.device("cpu")
OURS, FLOAT, LOADER = "ours, bfloat16 products", "ours, float32", "our loader alone"
DENSE, BAG, SPARSE = "dense input, Adam", "EmbeddingBag, dense gradients, Adam", "EmbeddingBag, sparse gradients, SparseAdam"
PRODUCTS = {"matrix products alone, bfloat16": torch.bfloat16, "matrix products alone, float32": torch.float32}
BATCHES = {OURS: 64, FLOAT: 48, SPARSE: 8, BAG: 4, DENSE: 1}
"""Steps of a turn."""
RATES = {OURS: (0.01, 1e-2), FLOAT: (0.01, 1e-2), SPARSE: (3e-3, 1e-2), BAG: (3e-3, 1e-2), DENSE: (3e-3, 1e-2)}
"""Learning rates of the input layer and of the rest: the best of the pairs tried on 131,072 samples, from 0.001 to 0.1."""
SMALL = Shape(features=20_000)
"""For the loss of the dense input, which would take half an hour at the reference shape."""


class Ours:
    """The project's training loop, as a contender."""

    def __init__(self, start: Network, models: Models) -> None:
        mine = models.propensity_network
        measured = (mine.batch_size, mine.averaging, mine.patience, "micro_ap")
        self.steps = steps_of(start, models)
        self.loop = Loop(models, *measured, inputs, CPU, lambda _: None, precision=mine.precision)

    def train(self, rows: Examples) -> None:
        """Train for one epoch."""
        with reproducible(self.loop.models, CPU):
            self.loop.learn(self.steps, InMemory(rows), None, 1)

    def load(self, rows: Examples) -> None:
        """Make the batches of an epoch, as the loop does, and do nothing with them."""
        for _ in ahead(self.steps.prepare(part) for part in InMemory(rows).batches(1, self.loop.batch_size, 0)):
            pass

    def logits(self, part: Examples) -> Tensor:
        """Return the logits (B, C) of the averaged network, which is what is kept."""
        result: Tensor = self.steps.averaged()(to_tensors(part.encoded))
        return result


def settings(precision: Any, rates: tuple[float, float]) -> Models:
    """Return the settings of a region of this shape."""
    network = PropensityNetwork(
        hidden=HIDDEN, dropout=0.0, batch_size=BATCH, embedding_optimiser="rowwise_adagrad", embedding_learning_rate=rates[0],
        learning_rate=rates[1], precision=precision,
    )  # fmt: skip
    return Models(threads=torch.get_num_threads(), propensity_network=network)


def contender(name: str, start: Network, rates: tuple[float, float] | None = None) -> Ours | Peer:
    """Return a contender that starts from a network, which it may change."""
    used = rates or RATES[name]
    if name in {OURS, FLOAT}:
        return Ours(start, settings("bfloat16" if name == OURS else "float32", used))
    return Peer(start, Rates(*used), BATCH, dense_input=name == DENSE, sparse_gradient=name == SPARSE)


def speeds(shape: Shape, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return samples a second and a processor second in each round: contenders, our loader alone, the matrix products alone."""
    rows = examples(shape, BATCH * max(BATCHES.values()))
    parts = {name: rows.take(np.arange(BATCH * steps)) for name, steps in BATCHES.items()}
    work: dict[str, tuple[int, Callable[[], object]]] = {
        name: (len(part), partial(contender(name, fresh(rows, shape.features)).train, part)) for name, part in parts.items()
    }
    loader = Ours(fresh(rows, shape.features), settings("float32", RATES[OURS]))
    work[LOADER] = (len(rows), partial(loader.load, rows))
    for name, kind in PRODUCTS.items():
        work[name] = (64 * BATCH, partial(Products(BATCH, HIDDEN, shape.categories, kind).run, 64))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, (samples, run) in work.items():
            found[name].append(_rates(samples, run))
        print(f"round {number} of {rounds}" + (", to warm up" if number == 0 else ""), flush=True)
    return {name: rates[1:] for name, rates in found.items()}


def losses(shape: Shape, samples: int, names: tuple[str, ...]) -> dict[str, float]:
    """Return each contender's validation loss after so many samples, and that of the popularity they start from."""
    rows, validation = examples(shape, samples), examples(shape, 8 * BATCH, part=1)
    prior = torch.from_numpy(popularity_logits(rows))
    found = {"popularity": loss_of(lambda part: prior.expand(len(part), -1), validation)}
    for name in names:
        one = contender(name, fresh(rows, shape.features))
        one.train(rows)
        found[name] = loss_of(one.logits, validation)
        print(f"{shape.features:,} features, {samples:,} samples: {name}: {found[name]:.6f}", flush=True)
    return found


def measure(home: Path, fast: bool, threads: int = THREADS) -> dict[str, Any]:
    """Return the figures; `home` is a folder for what is read from storage."""
    torch.set_num_threads(threads)
    before, shape = load(), Shape()
    rounds = speeds(shape, 1 if fast else 3)
    return {
        "samples_per_s": {name: statistics.median(rate for rate, _ in all_) for name, all_ in rounds.items()},
        "samples_per_processor_s": {name: statistics.median(rate for _, rate in all_) for name, all_ in rounds.items()},
        "rounds": rounds,
        "batch": BATCH,
        "threads": threads,
        "losses": losses(shape, (16 if fast else 128) * BATCH, (OURS, FLOAT, BAG)),
        "losses_small": losses(SMALL, (8 if fast else 32) * BATCH, (OURS, BAG, DENSE)),
        "storage": [] if fast else from_storage(home, threads),
        "load_before": before,
        "load_after": load(),
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    rates, kept = result["samples_per_s"], result["losses"]
    floor = max(rates[name] for name in PRODUCTS)
    lines = [
        (
            name, f"{rate:,.0f}", f"{result['samples_per_processor_s'][name]:,.0f}", f"{rate / rates[DENSE]:.1f}",
            f"{rate / floor:.2f}", f"{kept[name]:.5f}" if name in kept else "",
        ) for name, rate in sorted(rates.items(), key=lambda item: item[1])
    ]  # fmt: skip
    small = ", ".join(f"{name} {loss:.5f}" for name, loss in result["losses_small"].items())
    title = ("training", "samples/s", "a processor second", "to dense input", "to the fastest products", "validation loss")
    storage = rows_of(("one epoch", "rows", "samples/s", "peak memory, MB"), result["storage"]) if result["storage"] else ()
    return [
        *rows_of(title, lines),
        "",
        f"Batches of {result['batch']:,}, {result['threads']} threads.  Popularity alone has the loss {kept['popularity']:.5f}.  "
        f"At {SMALL.features:,} features: {small}.",
        f"Load average before {result['load_before']:.1f}, after {result['load_after']:.1f}.",
        "",
        *storage,
    ]


def _rates(samples: int, work: Callable[[], object]) -> tuple[float, float]:
    started, used = time.perf_counter(), time.process_time()
    work()
    return samples / (time.perf_counter() - started), samples / (time.process_time() - used)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, default=Path("var/bench/training"))
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--threads", type=int, default=THREADS, help="1 on a machine that is not quiet")
    arguments = parser.parse_args()
    result = measure(arguments.home, arguments.fast, arguments.threads)
    print(json.dumps(result))
    print("\n".join(table(result)))


if __name__ == "__main__":
    main()
