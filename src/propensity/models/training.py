"""The training loop: it owns epochs, batches and the optimiser, and knows nothing of tables or files."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import nn

from propensity.config import Models
from propensity.errors import MachineError
from propensity.features.csr import FloatArray
from propensity.models.data import Examples, batches
from propensity.models.encoding import Encoder, moments
from propensity.models.metrics import Judgement, judge
from propensity.models.network import PropensityNetwork, to_tensors

Device = Literal["cpu", "cuda", "auto"]
EVALUATION_BATCH = 1024
PROBABILITY_FLOOR = 1e-5
"""A category nobody acted on is rare, not impossible."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training rows came to."""

    number: int
    loss: float
    """Mean binary cross-entropy per (customer, category)."""
    validation: Judgement | None
    seconds: float

    def line(self) -> str:
        """Return the epoch as a line of progress."""
        judged = self.validation
        told = f"  validation AP {judged.micro_ap:.4f}  macro AUC {judged.macro_auc:.4f}" if judged else ""
        return f"epoch {self.number}  loss {self.loss:.5f}{told}  {self.seconds:.1f} s"


@dataclass
class Fit:
    """A trained network and how it came about."""

    network: PropensityNetwork
    epochs: list[Epoch] = field(default_factory=list)

    def best(self) -> int:
        """Return the epoch with the best validation AP, the earliest of equals; the last one without validation."""
        judged = [(np.nan_to_num(e.validation.micro_ap), -e.number) for e in self.epochs if e.validation]
        return -max(judged)[1] if judged else len(self.epochs)


def resolve_device(wanted: Device) -> torch.device:
    """Return the device to train on; raise MachineError when CUDA is asked for and is not there."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise MachineError("CUDA was asked for and this machine has none", where="device", do="use --device auto or cpu")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def popularity_logits(examples: Examples) -> FloatArray:
    """Return the log odds of each category among the rows (C,), kept away from 0 and 1."""
    share = np.clip(examples.positives() / max(len(examples), 1), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.log(share / (1 - share)).astype(np.float32)


def fit(
    settings: Models,
    encoder: Encoder,
    examples: Examples,
    validation: Examples | None,
    epochs: int,
    device: torch.device,
    progress: Callable[[str], None],
) -> Fit:
    """Train a fresh network for up to `epochs` epochs; with `validation`, stop when its AP has not risen for `patience`.

    On the CPU the same rows, settings and number of threads give the same bytes.
    """
    with _reproducible(settings, device):
        network = _fresh(settings, encoder, examples).to(device)
        result = Fit(network)
        averaged = _Average(network, settings.averaging)
        optimiser = _optimiser(network, settings)
        for number in range(1, epochs + 1):
            started = time.monotonic()
            order = np.random.default_rng([settings.seed, number]).permutation(len(examples))
            loss = _epoch(network, averaged, optimiser, batches(examples, settings.batch_size, order), device)
            judged = _judge(averaged.network, validation, settings, device) if validation else None
            result.epochs.append(Epoch(number, loss, judged, time.monotonic() - started))
            progress(result.epochs[-1].line())
            if validation and number - result.best() >= settings.patience:
                break
        result.network = averaged.network.cpu().eval()
        return result


def _fresh(settings: Models, encoder: Encoder, examples: Examples) -> PropensityNetwork:
    history = encoder.history
    prior = torch.from_numpy(popularity_logits(examples))
    network = PropensityNetwork(
        len(encoder.features), settings.hidden, history.width, history.activity_width, prior, settings.dropout
    )
    pairs = examples.encoded.pairs
    network.standardise(moments(pairs.values), moments(pairs.activity), history.none())
    return network


def _optimiser(network: PropensityNetwork, settings: Models) -> torch.optim.Optimizer:
    embedding = list(network.embedding.parameters())
    rest = [p for p in network.parameters() if p is not network.embedding.weight]
    groups = [{"params": embedding, "lr": settings.embedding_learning_rate}, {"params": rest, "lr": settings.learning_rate}]
    # Fused: one pass over the weights instead of eight, a third less time per epoch.
    return torch.optim.Adam(groups, fused=True)


def _epoch(
    network: PropensityNetwork,
    averaged: "_Average",
    optimiser: torch.optim.Optimizer,
    parts: Iterator[Examples],
    device: torch.device,
) -> float:
    network.train()
    total, rows = 0.0, 0
    for part in parts:
        targets = torch.from_numpy(part.targets()).to(device)
        loss = nn.functional.binary_cross_entropy_with_logits(network(to_tensors(part.encoded).to(device)), targets)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        averaged.update(network)
        total, rows = total + loss.item() * len(part), rows + len(part)
    return total / max(rows, 1)


class _Average:
    """A running average of the weights (Polyak and Juditsky, 1992), quick to forget at first, slow later."""

    def __init__(self, network: PropensityNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: PropensityNetwork) -> None:
        """Take one step's weights in."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)


def predict(network: PropensityNetwork, examples: Examples, device: torch.device) -> FloatArray:
    """Return the logits of all rows (N, C)."""
    network.eval()
    with torch.inference_mode():
        parts = [network(to_tensors(part.encoded).to(device)).cpu() for part in batches(examples, EVALUATION_BATCH)]
    return torch.cat(parts).numpy()


def _judge(network: PropensityNetwork, validation: Examples, settings: Models, device: torch.device) -> Judgement:
    scores = predict(network, validation, device)
    return judge(validation.targets(), scores, settings.promotion.min_positives, settings.promotion.expected_precision)


@contextmanager
def _reproducible(settings: Models, device: torch.device) -> Iterator[None]:
    """Seed torch for the time being, fix its threads, and leave both as they were."""
    threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings.seed)
        torch.set_num_threads(settings.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
