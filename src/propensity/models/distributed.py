"""Several processes that train one network together, each with its share of every batch.

Whoever starts them (torchrun, Spark's TorchDistributor) sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

import json
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from propensity.errors import DataError

Value = TypeVar("Value")
Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Team:
    """The processes that train together, as one of them sees them."""

    rank: int = 0
    """0 judges, decides and saves."""
    size: int = 1
    device: str = "cpu"

    def share(self, batch: Array) -> Array:
        """Return this process's part of something (N, ...) that all of them know."""
        return cast(Array, batch[self.rank :: self.size])

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network such that gradients are the mean over all processes, and weights start as those of the first."""
        # A batch without any pair of customer and category leaves the history path's weights without a gradient.
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def sum(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum over all processes."""
        if self.size == 1:
            return numbers
        total = torch.from_numpy(numbers.astype(np.float64)).to(self.device)
        dist.all_reduce(total)
        return total.cpu().numpy()

    def even(self, batches: Iterator[tuple[Value, int]]) -> Iterator[tuple[Value, int, float]]:
        """Yield batches and their rows, with what each weighs when gradients are averaged over processes.

        A process that has no batch left repeats its last one, at no weight, until all are through.
        """
        if self.size == 1:
            yield from ((batch, rows, 1.0) for batch, rows in batches)
            return
        last = None
        while True:
            batch, rows = next(batches, (last, 0))
            everybody = float(self.sum(np.array([rows]))[0])
            if everybody == 0:
                return
            if batch is None:
                raise DataError("a process has no rows to learn from", where=f"process {self.rank}", do="use fewer processes")
            last = batch
            yield batch, rows, self.size * rows / everybody

    def first(self, work: Callable[[], Value]) -> Value:
        """Return what the first process makes: the others wait, and none of them decides by a rounding of its own."""
        if self.size == 1:
            return work()
        told = [None if self.rank else work()]
        dist.broadcast_object_list(told, src=0, device=torch.device(self.device))
        return cast(Value, told[0])

    def gather(self, part: Tensor) -> Tensor:
        """Return every process's rows (N, ...), one process after the other; N may differ."""
        if self.size == 1:
            return part
        lengths = [torch.zeros(1, dtype=torch.int64, device=part.device) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(part)], device=part.device))
        longest = int(torch.cat(lengths).max())
        padded = part.new_zeros((longest, *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([rows[: int(length)] for rows, length in zip(parts, lengths, strict=True)])


ALONE = Team()


def launched() -> bool:
    """Say whether this process is one of several that were started together."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Give the team that this process was started in, to the end of the block; alone when it was started by itself."""
    if not launched():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), dist.get_world_size(), device.type)
    finally:
        dist.destroy_process_group()


def launch(script: str, arguments: Sequence[str], processes: int) -> Mapping[str, Any]:
    """Run a job in several processes of this machine, as torchrun does; return the verdict of the first one.

    Exit with the status of the process that failed first: it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        verdict = Path(folder) / "verdict.json"
        where: Any = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
        config = LaunchConfig(1, 1, processes, run_id=uuid.uuid4().hex, max_restarts=0, monitor_interval=0.1, **where)
        try:
            elastic_launch(config, sys.executable)("-u", script, *arguments, "--verdict", str(verdict))
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            sys.exit(max(failure.exitcode, 1))
        told: dict[str, Any] = json.loads(verdict.read_text())
    return {key: value for key, value in told.items() if key != "seconds"}
