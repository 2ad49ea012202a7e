"""In how many bits a run scores: what is set, where it keeps to its bounds on the trained model and the day's own customers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from propensity.config.scoring import Precision, Scoring
from propensity.contracts import FEATURES
from propensity.engine.buckets import map_cheaply
from propensity.engine.worker_model import Champion, model_of
from propensity.errors import BundleError
from propensity.storage import DataFile, Lake

if TYPE_CHECKING:
    from propensity.features.csr import FloatArray, SparseBatch

EVERY: tuple[Precision, ...] = ("float32", "float16", "bfloat16")
ROUNDS, BATCH = 3, 256
FILES = 2
"""Whose first customers are the sample: two tasks take half the time of one, before any customer is scored."""


@dataclass(frozen=True)
class Sample:
    """What every task of a measurement knows."""

    lake: Lake
    champion: Champion
    precisions: Sequence[Precision]
    customers: int
    """Of each file."""


@dataclass(frozen=True)
class Measured:
    """One precision on a sample of customers, one thread."""

    precision: Precision
    customers: int
    seconds: float
    """For all of them, the quickest of ROUNDS in turns; 0 where nothing is to be chosen."""
    largest: float
    """Deviation of a probability from float32's."""
    p99: float
    """Of several files, the largest of any file's."""
    same_top: float
    """Share of a customer's delivered categories that both name."""

    def keeps(self, bounds: Scoring) -> bool:
        """Say whether the bounds hold."""
        return self.largest <= bounds.max_deviation and self.same_top >= bounds.min_same_top

    def line(self, bounds: Scoring) -> str:
        """Return it as a line of progress."""
        took = f"{self.seconds:.3f} s, " if self.seconds else ""
        deviates = f"deviates by {self.largest:.1e} at most, {self.p99:.1e} at p99, same top {self.same_top:.4f}"
        return f"{self.precision}: {took}{deviates}{'' if self.keeps(bounds) else ', out of bounds'}"


def resolve_precision(lake: Lake, champion: Champion, features: Sequence[DataFile], size: int, small: int) -> Precision:
    """Return the precision that a run scores with; a reduced one was measured on customers of the largest FILES files.

    It is measured where the run scores: in this process where `size` is up to `small`, else by workers of Spark's.
    Raise BundleError when the one that is set does not keep to its bounds, or the family of models has none.
    """
    bounds = lake.config.models.scoring
    wanted = bounds.precision
    files = sorted((file for file in features if file.rows), key=lambda file: -file.rows)[:FILES]
    if not files or (wanted == "float32" and bounds.device == "cpu"):
        return "float32"
    candidates = EVERY if wanted == "auto" else tuple(dict.fromkeys(("float32", wanted)))
    sample = Sample(lake, champion, candidates, -(-bounds.sample // len(files)))
    parts = map_cheaply(lake.config, measure, files, sample, "measuring precisions", size, small)
    found = [_together(one) for one in zip(*parts, strict=True)]
    for one in found:
        print(one.line(bounds), flush=True)
    if wanted != "auto":
        _refuse(found[-1], bounds, champion)
        return wanted
    best: Measured = min((one for one in found if one.keeps(bounds)), key=lambda one: one.seconds)
    return best.precision


def _together(parts: Sequence[Measured]) -> Measured:
    customers = sum(one.customers for one in parts)
    return Measured(
        parts[0].precision,
        customers,
        sum(one.seconds for one in parts),
        max(one.largest for one in parts),
        max(one.p99 for one in parts),
        sum(one.same_top * one.customers for one in parts) / customers,
    )


def _refuse(found: Measured, bounds: Scoring, champion: Champion) -> None:
    if not found.keeps(bounds):
        what = f"{found.precision} does not keep to models.scoring.max_deviation and min_same_top: {found.line(bounds)}"
        raise BundleError(what, where=str(champion.folder), do="set models.scoring.precision to float32 or auto, device to cpu")


def measure(file: DataFile, sample: Sample) -> list[Measured]:
    """Measure precisions on the first customers of a file, in a worker; a family without reduced ones has float32 alone."""
    from propensity.features.csr import from_arrow
    from propensity.models.calibrated import uncalibrated
    from propensity.models.propensity import PropensityPredictor

    lake, champion, wanted = sample.lake, sample.champion, sample.precisions
    table = lake.first_rows(FEATURES.name, file, sample.customers).combine_chunks()
    batches = [from_arrow(b["indices"], b["values"]) for b in table.to_batches(max_chunksize=BATCH)]
    exact = model_of(champion, lake.config, "float32", "cpu")
    if lake.config.models.scoring.precision == "auto" and not isinstance(uncalibrated(exact), PropensityPredictor):
        wanted = ("float32",)
    models: dict[Precision, Any] = {name: model_of(champion, lake.config, name) for name in wanted}
    timed = batches if lake.config.models.scoring.precision == "auto" else []
    seconds = _seconds(models, timed, lake.config.models.top_k)
    logits = {name: np.concatenate([model.raw(batch).logits for batch in batches]) for name, model in models.items()}
    reference = logits["float32"]
    if models["float32"] is not exact:
        reference = np.concatenate([exact.raw(batch).logits for batch in batches])
    return [_compared(lake, name, reference, logits[name], seconds[name]) for name in wanted]


def _seconds(models: dict[Precision, Any], batches: Sequence["SparseBatch"], k: int | None) -> dict[Precision, float]:
    best = dict.fromkeys(models, float("inf") if batches else 0.0)
    for _ in range(ROUNDS + 1):  # what the first round costs more, compiling, drops out as the slowest
        for name, model in models.items():
            started = time.perf_counter()
            for batch in batches:
                model.score(batch, k)
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def _compared(lake: Lake, name: Precision, exact: "FloatArray", logits: "FloatArray", seconds: float) -> Measured:
    from propensity.models.deviation import deviation

    count, width = exact.shape
    if logits is exact:
        return Measured(name, count, seconds, largest=0.0, p99=0.0, same_top=1.0)
    found = deviation(exact, logits, min(lake.config.models.top_k or width, width))
    return Measured(name, count, seconds, found.largest, found.p99, found.same_top)
