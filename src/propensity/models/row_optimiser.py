"""Row-wise Adagrad on the rows of a sparse input layer, with a running average: a step costs what its batch's features cost.

A row's learning rate falls with the sum of the mean squares of its gradients (Duchi, Hazan and Singer, 2011; one number a row
as in DLRM, Naumov et al., 2019).  The average of a row that gets no gradient is caught up when it gets one: while the weight
stands still, the average only comes nearer by the product of the decays.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from propensity.features.csr import FloatArray, IntArray, OffsetArray
from propensity.models.row_kernel import find_unique, transpose, update_rows
from propensity.models.steps import decay_at
from propensity.pipeline.kernels import usable

EPSILON = 1e-8


@dataclass(frozen=True)
class Columns:
    """A batch's entries by feature: feature u is row ``unique[u]`` and has the entries ``[starts[u], starts[u + 1])``."""

    unique: Tensor
    """(U,) rows of the input layer."""
    starts: Tensor
    """(U + 1,)."""
    users: Tensor
    """(N,) positions in the batch, ascending within a feature."""
    scales: Tensor
    """(N,)."""

    def to(self, device: torch.device) -> "Columns":
        """Return the same on another device."""
        return Columns(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class Transposer:
    """Makes columns of batches; not for two threads at once."""

    def __init__(self, features: int) -> None:
        self._slot = np.full(features, -1, np.int32)

    def columns(self, rows: IntArray, values: FloatArray, offsets: IntArray | OffsetArray) -> Columns:
        """Return the entries of a batch's features, rows and values (N,), offsets (B + 1,)."""
        rows, count = usable(rows), len(rows)
        unique = np.empty(count, np.int32)
        # In the order of memory: a third less time for the step that goes through them.
        unique = np.sort(unique[: find_unique(rows, self._slot, unique)])
        starts, users, scales = np.empty(len(unique) + 1, np.int32), np.empty(count, np.int32), np.empty(count, np.float32)
        transpose(rows, usable(values), usable(offsets.astype(np.int64)), self._slot, unique, starts, users, scales)
        return Columns(*map(torch.from_numpy, (unique, starts, users, scales)))


class RowwiseAdagrad:
    """The optimiser of an input layer's weights (D, H), and the keeper of their running average where there is one."""

    def __init__(self, weights: Tensor, averages: Tensor | None, rate: float, averaging: float, threads: int) -> None:
        """Take the two tensors, which it changes in place; `averages` starts equal to `weights`."""
        self.weights, self.averages = weights.detach(), None if averages is None else averages.detach()
        self.rate, self.averaging = rate, averaging
        self.squares = weights.new_zeros(len(weights))
        self.seen = torch.zeros(len(weights), dtype=torch.int32, device=weights.device)
        self.steps = self._caught_up = 0
        self._logarithms = np.zeros(1024)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def step(self, columns: Columns, gradients: Tensor) -> None:
        """Learn from the gradients (B, H) of the customers' sums of rows."""
        self.steps += 1
        if self.steps == len(self._logarithms):
            self._logarithms = np.concatenate([self._logarithms, np.zeros(self.steps)])
        decay = decay_at(self.steps, self.averaging) if self.averages is not None else 1.0
        self._logarithms[self.steps] = self._logarithms[self.steps - 1] + math.log(decay)
        (self._compiled if self.weights.device.type == "cpu" else self._with_torch)(columns, gradients)

    @torch.no_grad()
    def catch_up(self) -> None:
        """Bring the average of every row up to the last step."""
        if self.averages is not None and self._caught_up < self.steps:
            self.averages.lerp_(self.weights, 1 - self._missed(self.steps, self.seen))
            self.seen.fill_(self.steps)
            self._caught_up = self.steps

    def _compiled(self, columns: Columns, gradients: Tensor) -> None:
        """Take the step on the CPU; which thread takes a row changes nothing."""
        unique, starts = columns.unique.numpy(), columns.starts.numpy()
        averages = np.empty((0, 0), np.float32) if self.averages is None else self.averages.numpy()
        given: Any = (
            unique, starts, columns.users.numpy(), columns.scales.numpy(), gradients.contiguous().numpy(), self.weights.numpy(),
            self.squares.numpy(), np.float32(self.rate), np.float32(EPSILON), averages, self.seen.numpy(), self._logarithms,
            self.steps,
        )  # fmt: skip
        cuts = np.searchsorted(starts, np.linspace(0, starts[-1], self._threads + 1)[1:-1]).tolist()
        parts = list(zip([0, *cuts], [*cuts, len(unique)], strict=True))
        others = [self._pool.submit(update_rows, first, last, *given) for first, last in parts[1:]]
        update_rows(*parts[0], *given)
        for other in others:
            other.result()

    @torch.no_grad()
    def _with_torch(self, columns: Columns, gradients: Tensor) -> None:
        """Take the step with operations that any device has; rows are unique, so each is written once."""
        rows = columns.unique
        gradient = nn.functional.embedding_bag(
            columns.users, gradients, columns.starts, mode="sum", per_sample_weights=columns.scales, include_last_offset=True
        )
        squares = self.squares[rows] + gradient.square().mean(1)
        self.squares[rows] = squares
        old = self.weights[rows]
        new = old - gradient * (self.rate / (squares.sqrt() + EPSILON))[:, None]
        self.weights[rows] = new
        if self.averages is not None:
            past = old + self._missed(self.steps - 1, self.seen[rows]) * (self.averages[rows] - old)
            decay = decay_at(self.steps, self.averaging)
            self.averages[rows] = new + decay * (past - new)
            self.seen[rows] = self.steps

    def _missed(self, step: int, seen: Tensor) -> Tensor:
        """Return the product of the decays after the steps `seen` (N,) up to `step`: (N, 1)."""
        logarithms = torch.from_numpy(self._logarithms).to(seen.device)
        return (logarithms[step] - logarithms[seen]).exp().to(self.weights.dtype)[:, None]
