"""How training steps are taken: what the loop needs of it, and the plain way, in which every weight learns in every step."""

import copy
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from propensity.models.data import Examples
from propensity.models.distributed import ALONE, Team

Network = TypeVar("Network", bound=nn.Module)
Trained = TypeVar("Trained", bound=nn.Module, covariant=True)


class Steps(Protocol[Trained]):
    """Takes training steps on a network and keeps the running average of its weights."""

    module: nn.Module
    """What is trained, to be told when it is."""

    def prepare(self, part: Examples) -> Any:
        """Return a batch as :meth:`step` takes it; called in a thread of its own while the step before is taken."""

    def step(self, prepared: Any, weight: float) -> Tensor:
        """Learn from a batch and return its mean loss, a scalar on the device.

        `weight` is what the batch counts for when gradients are averaged over processes: 1 without any others, 0 when
        only the others have customers left.
        """

    def averaged(self) -> Trained:
        """Return the network with the running average of the weights; further steps may change it."""


class WholeSteps(Generic[Network]):
    """Steps of an optimiser that changes every weight."""

    def __init__(
        self,
        network: Network,
        optimiser: torch.optim.Optimizer,
        averaging: float,
        inputs: Callable[[Examples], Any],
        team: Team = ALONE,
    ) -> None:
        self._network, self._optimiser, self._inputs = network, optimiser, inputs
        # The weights' own device: it has a number, which another thread's "cuda" would not mean.
        self._device = next(network.parameters()).device
        self.module = team.wrap(network)
        self._average = Average(network, averaging)

    def prepare(self, part: Examples) -> tuple[Any, Tensor]:
        """Return the inputs and the targets (B, C) on the device."""
        return self._inputs(part).to(self._device), torch.from_numpy(part.targets()).to(self._device)

    def step(self, prepared: tuple[Any, Tensor], weight: float) -> Tensor:
        """Take one step of the optimiser."""
        inputs, targets = prepared
        loss = nn.functional.binary_cross_entropy_with_logits(self.module(inputs), targets)
        self._optimiser.zero_grad()
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._average.update(self._network)
        return loss.detach()

    def averaged(self) -> Network:
        """Return the network with the running average of the weights."""
        return self._average.network


class Average(Generic[Network]):
    """A running average of the weights (Polyak and Juditsky, 1992), quick to forget at first, slow later."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step's weights in."""
        self.steps += 1
        decay = decay_at(self.steps, self.decay)
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)


def decay_at(step: int, decay: float) -> float:
    """Return what the average up to `step` - 1 counts for in the average up to `step`."""
    return min(decay, step / (step + 10))
