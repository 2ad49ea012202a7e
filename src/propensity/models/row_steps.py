"""Training steps of the propensity network when its input layer is large: they touch the rows of their batch's features only.

Nothing of the size of the input layer is read or written in a step, and no dense targets are made: binary cross-entropy needs
the logits and where the positives are.
"""

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from propensity.config import Models
from propensity.models.data import Examples
from propensity.models.distributed import ALONE, Team
from propensity.models.network import NetworkInput, PropensityNetwork, to_tensors
from propensity.models.ragged import owners
from propensity.models.row_optimiser import Columns, RowwiseAdagrad, Transposer
from propensity.models.steps import decay_at


@dataclass(frozen=True)
class Prepared:
    """A batch of B customers, ready for a step."""

    batch: NetworkInput
    columns: Columns | None
    """None when other processes have more of the batch."""
    acted: Tensor
    """(L,) positions of what the customers acted on in the flat logits (B, C)."""


class RowSteps:
    """Row-wise Adagrad for the input layer, Adam for everything else."""

    def __init__(self, network: PropensityNetwork, models: Models, team: Team = ALONE) -> None:
        mine = models.propensity_network
        self.network, self.team, self.averaging = network, team, mine.averaging
        self.device = network.embedding.weight.device
        weight = network.embedding.weight.requires_grad_(False)
        self._average = copy.deepcopy(network).eval() if self.averaging else network
        averages = self._average.embedding.weight if self.averaging else None
        self._rows = RowwiseAdagrad(weight, averages, mine.embedding_learning_rate, mine.averaging, models.threads)
        self._rest: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        self._averages: list[Tensor] = [p for p in self._average.parameters() if p.requires_grad]
        self._optimiser = torch.optim.Adam(self._rest, mine.learning_rate, fused=True)
        self.module = team.wrap(network)
        self._transposer = Transposer(len(weight))

    def prepare(self, part: Examples) -> Prepared:
        """Return the batch on the device."""
        batch = to_tensors(part.encoded)
        columns = self._columns(batch) if self.team.size == 1 else None
        acted = torch.from_numpy(owners(part.label_offsets) * part.categories + part.labels)
        return Prepared(batch.to(self.device), columns and columns.to(self.device), acted.to(self.device))

    def step(self, prepared: Prepared, weight: float) -> Tensor:
        """Learn from the batch."""
        batch = prepared.batch
        with torch.no_grad():
            bag = self.network.bag(batch)
        bag.requires_grad_()
        logits: Tensor = self.module(batch, bag)
        loss: Tensor = SparseCrossEntropy.apply(logits, prepared.acted)  # type: ignore[no-untyped-call]
        self._optimiser.zero_grad()
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        columns, gradients = prepared.columns or self._gathered(batch), self.team.gather(cast(Tensor, bag.grad)) / self.team.size
        self._rows.step(columns, gradients)
        if self.averaging:
            decay = decay_at(self._rows.steps, self.averaging)
            with torch.no_grad():
                torch._foreach_lerp_(self._averages, self._rest, 1 - decay)
        return loss.detach()

    def averaged(self) -> PropensityNetwork:
        """Return the network with the running average of the weights, every row of the input layer up to date."""
        self._rows.catch_up()
        return self._average

    def _columns(self, batch: NetworkInput) -> Columns:
        return self._transposer.columns(batch.rows.numpy(), batch.values.numpy(), batch.offsets.numpy())

    def _gathered(self, batch: NetworkInput) -> Columns:
        """Return the entries of all processes' batches by feature, in the order in which gradients are gathered."""
        rows, values, lengths = (self.team.gather(t) for t in (batch.rows, batch.values, batch.offsets.diff()))
        offsets = nn.functional.pad(lengths.cumsum(0), (1, 0))
        columns = self._transposer.columns(rows.cpu().numpy(), values.cpu().numpy(), offsets.cpu().numpy())
        return columns.to(self.device)


class SparseCrossEntropy(torch.autograd.Function):
    """Mean binary cross-entropy of logits (B, C) whose positives are a few positions (L,), each there once.

    ``-log sigmoid(z)`` at a positive is ``softplus(z) - z``, ``softplus(z)`` elsewhere; the gradient is ``sigmoid(z) - y``.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, acted: Tensor) -> Tensor:
        """Return the mean over all B C pairs."""
        total = nn.functional.softplus(logits).sum() - logits.reshape(-1)[acted].sum()
        gradient = torch.sigmoid(logits)
        gradient.view(-1)[acted] -= 1
        ctx.save_for_backward(gradient)
        return total / logits.numel()

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the logits (B, C)."""
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(above / gradient.numel()), None
