"""The peers of the training benchmark: the same network, from the same start, as one would write it.

They are what the prototypes timed, made faster where that was easy: torch's fused Adam, batches in the order of the rows, and the
dense one fills its (B, D) array by one assignment instead of a loop over customers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from propensity.models.data import Examples, batches, popularity_logits
from propensity.models.network import PropensityNetwork, to_tensors
from propensity.models.ragged import owners

Loss = Callable[[Tensor, Tensor], Tensor]
HIDDEN = 256


@dataclass(frozen=True)
class Rates:
    """Learning rates, chosen for each peer by its validation loss."""

    embedding: float
    rest: float


class Peer:
    """A network with ``[yes, no]`` rows in its output, a way to read a batch and its optimisers."""

    def __init__(
        self, start: PropensityNetwork, rates: Rates, size: int, dense_input: bool = False, sparse_gradient: bool = False
    ) -> None:
        """Take the network whose weights it starts from, and the size of a batch."""
        features, hidden = start.embedding.weight.shape
        self.size = size
        self.dense_input = dense_input
        self.embedding: nn.Module = (
            nn.Linear(features, hidden, bias=False)
            if dense_input
            else nn.EmbeddingBag(features, hidden, mode="sum", include_last_offset=True, sparse=sparse_gradient)
        )
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.hidden = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, 2 * len(start.prior))
        self._copy(start)
        rest = [self.bias, *self.hidden.parameters(), *self.output.parameters()]
        first = list(self.embedding.parameters())
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(first, rates.embedding)
            if sparse_gradient
            else torch.optim.Adam(first, rates.embedding, fused=True),
            torch.optim.Adam(rest, rates.rest, fused=True),
        ]

    @torch.no_grad()
    def _copy(self, start: PropensityNetwork) -> None:
        weight = start.embedding.weight
        next(self.embedding.parameters()).copy_(weight.T if self.dense_input else weight)
        self.hidden.load_state_dict(start.hidden.state_dict())
        self.output.weight.zero_()
        self.output.bias.copy_(torch.stack([start.prior / 2, -start.prior / 2], 1).reshape(-1))

    def train(self, examples: Examples) -> None:
        """Take a step on each batch."""
        for part in batches(examples, self.size):
            loss = nn.functional.cross_entropy(self._pairs(part).view(-1, 2), 1 - targets_of(part).long().view(-1))
            for optimiser in self.optimisers:
                optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for optimiser in self.optimisers:
                optimiser.step()

    def logits(self, part: Examples) -> Tensor:
        """Return the folded logits (B, C)."""
        pairs = self._pairs(part)
        return pairs[:, 0::2] - pairs[:, 1::2]

    def _pairs(self, part: Examples) -> Tensor:
        """Return the ``[yes, no]`` logits (B, 2 C)."""
        first = torch.relu(self._bag(part) + self.bias)
        result: Tensor = self.output(torch.relu(self.hidden(first)))
        return result

    def _bag(self, part: Examples) -> Tensor:
        sparse = part.encoded.sparse
        if self.dense_input:
            rows = torch.zeros(len(part), next(self.embedding.parameters()).shape[1])
            at = torch.from_numpy(owners(sparse.offsets)), torch.from_numpy(sparse.indices).long()
            rows[at] = torch.from_numpy(sparse.values)
            total: Tensor = self.embedding(rows)
        else:
            batch = to_tensors(part.encoded)
            total = self.embedding(batch.rows, batch.offsets, per_sample_weights=batch.values)
        return total


def targets_of(part: Examples) -> Tensor:
    """Return 0 or 1 (B, C)."""
    return torch.from_numpy(part.targets())


def fresh(examples: Examples, features: int, hidden: int = HIDDEN, seed: int = 0) -> PropensityNetwork:
    """Return the network that every contender starts from: without history, without dropout."""
    torch.manual_seed(seed)
    return PropensityNetwork(features, hidden, 0, 0, torch.from_numpy(popularity_logits(examples)))


@torch.inference_mode()
def loss_of(logits: Callable[[Examples], Tensor], examples: Examples) -> float:
    """Return the mean binary cross-entropy of folded logits."""
    total = 0.0
    for part in batches(examples, 1024):
        loss = nn.functional.binary_cross_entropy_with_logits(logits(part), targets_of(part))
        total += float(loss) * len(part)
    return total / len(examples)


class Products:
    """The matrix products of a training step and nothing else: what no training of this network can be faster than."""

    def __init__(self, size: int, hidden: int, categories: int, precision: torch.dtype) -> None:
        self.rows = size
        shapes = [(hidden, hidden), (hidden, categories)]
        self.layers = [
            tuple(torch.randn(shape).to(precision) for shape in ((size, inner), (inner, outer), (size, outer)))
            for inner, outer in shapes
        ]

    def run(self, steps: int) -> None:
        """Compute outputs and the gradients of inputs and weights of both layers, so many times."""
        for _ in range(steps):
            for inputs, weights, gradients in self.layers:
                torch.mm(inputs, weights)
                torch.mm(gradients, weights.T)
                torch.mm(inputs.T, gradients)
