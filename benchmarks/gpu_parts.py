"""What `make bench-gpu` times: training, scoring, and the device's own work without any of ours around it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmarks.reference import TOP, reference_pipeline
from benchmarks.speed.reference_lake import Shape as ScoringShape
from benchmarks.speed.reference_lake import rows_of as feature_rows
from benchmarks.speed.training_data import Shape as TrainingShape
from benchmarks.speed.training_data import examples
from benchmarks.speed.training_peers import fresh
from propensity.config import Models, PropensityNetwork
from propensity.features.csr import FloatArray, SparseBatch
from propensity.models.data import Examples
from propensity.models.propensity_training import inputs, steps_of
from propensity.models.reduced import ReducedPredictor
from propensity.models.supply import InMemory
from propensity.models.training import Loop, reproducible
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
BATCH = 1024
RATES = 0.01, 1e-2
"""Learning rates of the input layer and of the rest: those of the training benchmark."""


@dataclass(frozen=True)
class Size:
    """How large the model is, and how much is computed in a turn."""

    features: int = 200_000
    hidden: int = 256
    categories: int = 2_000
    batches: int = 64


def wait(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(device: str, work: Callable[[], object]) -> float:
    """Return how long some work takes, the device's included."""
    wait(device)
    started = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - started


def epoch(size: Size, device: str, precision: Any, rows: Examples) -> tuple[float, float]:
    """Train a fresh network for two epochs by the project's own loop, in memory; return the second one's seconds and loss."""
    where = torch.device(device)
    network = PropensityNetwork(
        hidden=size.hidden, dropout=0.0, batch_size=BATCH, embedding_optimiser="rowwise_adagrad",
        embedding_learning_rate=RATES[0], learning_rate=RATES[1], precision=precision,
    )  # fmt: skip
    models = Models(threads=torch.get_num_threads(), propensity_network=network)
    measured = (BATCH, network.averaging, network.patience, "micro_ap")
    loop = Loop(models, *measured, inputs, where, lambda _: None, precision=network.precision)
    with reproducible(models, where):
        steps = steps_of(fresh(rows, size.features, size.hidden).to(where), models)
        last = loop.learn(steps, InMemory(rows), None, 2).epochs[-1]
    return last.seconds, last.loss


class TrainingLimit:
    """A training step's gather, matrix products and scatter on the device alone, nothing learned; all of it lies there before."""

    def __init__(self, size: Size, device: str, kind: torch.dtype, rows: Examples) -> None:
        part = rows.take(np.arange(BATCH))
        sparse = part.encoded.sparse
        order = np.argsort(sparse.indices, kind="stable")
        owner = np.repeat(np.arange(BATCH, dtype=np.int32), np.diff(sparse.offsets))
        unique, starts = np.unique(sparse.indices[order], return_index=True)

        def there(array: object) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.batches = size.batches
        self.rows, self.offsets = there(sparse.indices.copy()), there(sparse.offsets.astype(np.int32))
        self.values = there(sparse.values.copy()).to(kind)
        self.users, self.scales = there(owner[order]), there(sparse.values[order]).to(kind)
        self.starts = there(np.append(starts, len(order)).astype(np.int32))
        self.unique = there(unique.astype(np.int64))
        self.table = torch.randn(size.features, size.hidden, device=device).to(kind)
        widths = (size.hidden, size.hidden), (size.hidden, size.categories)
        self.weights = [torch.randn(shape, device=device).to(kind) for shape in widths]
        self.gradient = torch.randn(BATCH, size.categories, device=device).to(kind)

    @torch.no_grad()
    def run(self) -> None:
        """Do it so many times."""
        for _ in range(self.batches):
            bag = _bag(self.rows, self.table, self.offsets, self.values)
            hidden = bag @ self.weights[0]
            hidden @ self.weights[1]
            hidden.T @ self.gradient
            above = self.gradient @ self.weights[1].T
            bag.T @ above
            self.table[self.unique] = _bag(self.users, above @ self.weights[0].T, self.starts, self.scales)


def _bag(rows: Tensor, table: Tensor, offsets: Tensor, scales: Tensor) -> Tensor:
    return embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=scales, include_last_offset=True)


class Scoring:
    """A predictor of random weights, and customers in batches."""

    def __init__(self, size: Size) -> None:
        pipeline = reference_pipeline(True, size.features, size.hidden, size.categories)
        self.exact: SparsePredictor = pipeline.predictor
        shape = ScoringShape(size.batches * BATCH, 1, True, size.features, size.hidden, size.categories)
        _, rows = feature_rows(shape, 0)
        self.batches = [rows.rows(start, start + BATCH) for start in range(0, size.batches * BATCH, BATCH)]

    def whole(self, predictor: SparsePredictor) -> Callable[[], object]:
        """Return the work of scoring all customers: look-up, products, history, the likeliest categories."""
        return lambda: [predictor.score(batch, TOP) for batch in self.batches]

    def products(self, predictor: ReducedPredictor) -> Callable[[], object]:
        """Return the work of the products alone, to the device and back included; the look-up is done before."""
        found = [predictor.look_up(batch) for batch in self.batches]
        return lambda: [predictor.products(one) for one in found]

    def limit(self, predictor: ReducedPredictor, device: str) -> Callable[[], object]:
        """Return the work of gathering embedding rows and multiplying matrices, with everything on the device before."""
        given = []
        for batch in self.batches:
            found = predictor.look_up(batch)
            entries = int(found.offsets[-1])
            arrays = found.rows[:entries], found.values[:entries], found.offsets, found.standardised
            given.append([torch.from_numpy(array).to(device) for array in arrays])
        return lambda: [predictor.multiply(*one) for one in given]

    def apart(self, predictor: SparsePredictor) -> float:
        """Return the largest deviation of a probability from the exact predictor's, first batch."""
        return largest(self.exact, predictor, self.batches[:1])


def largest(exact: SparsePredictor, other: SparsePredictor, batches: Sequence[SparseBatch]) -> float:
    """Return the largest difference between two predictors' probabilities."""

    def said(predictor: SparsePredictor) -> FloatArray:
        return np.concatenate([sigmoid(predictor.raw(batch).logits) for batch in batches])

    return float(np.abs(said(exact).astype(np.float64) - said(other)).max())


def training_rows(size: Size) -> Examples:
    """Return the customers of a turn."""
    return examples(TrainingShape(features=size.features, categories=size.categories), size.batches * BATCH)
