"""The training loop of networks: it owns epochs and batches, and knows nothing of tables, files or what is inside."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from propensity.config import Models
from propensity.errors import MachineError
from propensity.features.csr import FloatArray
from propensity.models.data import Examples, batches
from propensity.models.distributed import ALONE, Team
from propensity.models.metrics import Judgement, judge
from propensity.models.prefetch import ahead
from propensity.models.steps import Steps, WholeSteps
from propensity.models.supply import InMemory, Supply

Device = Literal["cpu", "cuda", "auto"]
Precision = Literal["float32", "bfloat16"]
EVALUATION_BATCH = 1024

Network = TypeVar("Network", bound=nn.Module)


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
class Fit(Generic[Network]):
    """A trained network and how it came about."""

    network: Network
    epochs: list[Epoch] = field(default_factory=list)
    measure: str = "micro_ap"
    """The figure of a Judgement that epochs are compared by."""

    def best(self) -> int:
        """Return the epoch with the best validation figure, the earliest of equals; the last one without validation."""
        judged = [(np.nan_to_num(getattr(e.validation, self.measure)), -e.number) for e in self.epochs if e.validation]
        return -max(judged)[1] if judged else len(self.epochs)

    def course(self) -> list[dict[str, Any]]:
        """Return the epochs for a manifest, without times: equal inputs give equal bytes."""
        return [{"epoch": e.number, "loss": e.loss, **(e.validation.as_dict() if e.validation else {})} for e in self.epochs]


@dataclass(frozen=True)
class Loop:
    """How a network is trained, whatever it is."""

    models: Models
    """Seed and what validation is judged with."""
    batch_size: int
    averaging: float
    """Decay of the running average of the weights, which is what is evaluated and kept."""
    patience: int
    measure: str
    inputs: Callable[[Examples], Any]
    """Some customers as the network takes them, on the CPU; it has ``to(device)``."""
    device: torch.device
    progress: Callable[[str], None]
    keep_best: bool = False
    """Whether the weights of the best epoch are kept rather than those of the last."""
    precision: Precision = "float32"
    """Of matrix products in training steps; what is judged is computed in float32."""
    team: Team = ALONE

    def run(
        self, network: Network, optimiser: torch.optim.Optimizer, examples: Examples, validation: Examples | None, epochs: int
    ) -> Fit[Network]:
        """Train on examples in memory by an optimiser that changes every weight; see :meth:`learn`."""
        steps = WholeSteps(network, optimiser, self.averaging, self.inputs, self.team)
        return self.learn(steps, InMemory(examples, self.team), validation, epochs)

    def learn(self, steps: Steps[Network], supply: Supply, validation: Examples | None, epochs: int) -> Fit[Network]:
        """Train for up to `epochs` epochs; with `validation`, stop when its figure has not risen for `patience`.

        On the CPU the same rows, settings, number of threads and number of processes give the same bytes.
        """
        result = Fit(steps.averaged(), measure=self.measure)
        kept = result.network
        for number in range(1, epochs + 1):
            started = time.monotonic()
            loss = self._epoch(steps, supply.batches(number, self.batch_size, self.models.seed))
            averaged = steps.averaged()
            judged = self._judge(averaged, validation) if validation else None
            result.epochs.append(Epoch(number, loss, judged, time.monotonic() - started))
            self.progress(result.epochs[-1].line())
            if self.keep_best and result.best() == number:
                kept = copy.deepcopy(averaged)
            if validation and number - result.best() >= self.patience:
                break
        result.network = kept.cpu().eval()
        return result

    def _epoch(self, steps: Steps[Network], parts: Iterator[Examples]) -> float:
        """Return the mean loss of an epoch's rows, of all processes."""
        steps.module.train()
        total, rows = torch.zeros((), dtype=torch.float64, device=self.device), 0
        ready = ahead((steps.prepare(part), len(part)) for part in parts)
        with closing(ready), products(self.precision):
            for prepared, count, weight in self.team.even(ready):
                total += steps.step(prepared, weight).double() * count
                rows += count
        summed, counted = self.team.sum(np.array([total.item(), rows]))
        return float(summed / max(counted, 1))

    def _judge(self, network: nn.Module, validation: Examples) -> Judgement:
        return self.team.first(lambda: self._judged(network, validation))

    def _judged(self, network: nn.Module, validation: Examples) -> Judgement:
        promotion, scores = self.models.promotion, predict(network, self.inputs, validation)
        return judge(validation.targets(), scores, promotion.min_positives, promotion.expected_precision)


def predict(network: nn.Module, inputs: Callable[[Examples], Any], examples: Examples) -> FloatArray:
    """Return the logits of all rows (N, C), computed where the network lies."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        return torch.cat([network(inputs(part).to(device)).cpu() for part in batches(examples, EVALUATION_BATCH)]).numpy()


def resolve_device(wanted: Device) -> torch.device:
    """Return the device to train on; raise MachineError when CUDA is asked for and is not there."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise MachineError("CUDA was asked for and this machine has none", where="device", do="use --device auto or cpu")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


@contextmanager
def reproducible(models: Models, device: torch.device) -> Iterator[None]:
    """Seed torch for the time being, fix its threads, and leave both as they were; numbers too small for float32 become zero."""
    threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(models.seed)
        torch.set_num_threads(models.threads)
        # Moments of rare features decay below 1e-38 after some epochs, where a processor takes three times as long.
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(threads)


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Let float32 matrix products round their inputs to bfloat16 (to TF32 on CUDA) and add up in float32, if so wanted."""
    cpu: Any = torch.backends.mkldnn
    cuda: Any = torch.backends.cuda
    before = cpu.matmul.fp32_precision, cuda.matmul.fp32_precision
    if precision == "bfloat16":
        cpu.matmul.fp32_precision, cuda.matmul.fp32_precision = "bf16", "tf32"
    try:
        yield
    finally:
        cpu.matmul.fp32_precision, cuda.matmul.fp32_precision = before
