"""Training and scoring on a GPU: samples and customers a second, beside the CPU and what the device does with nothing around it.

``make bench-gpu`` runs it; where torch finds no CUDA device it says so in one line and measures nothing.  Everything is at the
reference shape and with random weights, in turns; before anything is timed, probabilities and losses are compared with the CPU's.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts as parts
from benchmarks.running import ROOT
from benchmarks.speed.contest import load, rows_of
from propensity.models.reduced import ReducedPredictor

BOUNDS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 5e-2}
"""Most that a probability may deviate from the exact one; what is further off is a mistake, not rounding."""
LOSS = 0.02
"""Most that a loss on the device may differ from the CPU's, relatively."""
TRAINED = ("float32", "bfloat16")
"""Settings of training; on CUDA bfloat16 means TF32."""
CPU = "cpu"


def training(size: parts.Size, device: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return samples a second of each contender; raise SystemExit when the device learns something else than the CPU."""
    rows, found, losses = parts.training_rows(size), dict[str, list[float]](), dict[str, float]()
    limits = {f"{device}, gather and products alone, {name}": parts.TrainingLimit(size, device, kind, rows)
              for name, kind in parts.TYPES.items()}  # fmt: skip
    for number in range(rounds + 1):
        for where in dict.fromkeys((CPU, device)):
            for precision in TRAINED:
                name = f"{where}, {precision}"
                spent, losses[name] = parts.epoch(size, where, precision, rows)
                found.setdefault(name, []).append(spent)
        for name, limit in limits.items():
            found.setdefault(name, []).append(parts.seconds(device, limit.run))
        print(f"training, round {number} of {rounds}" + (", to warm up" if number == 0 else ""), flush=True)
    for precision in TRAINED:
        wanted, got = losses[f"{CPU}, float32"], losses[f"{device}, {precision}"]
        if abs(got - wanted) > LOSS * wanted:
            raise SystemExit(f"error: loss {got:.5f} on {device} in {precision}, {wanted:.5f} on the CPU; nothing is reported")
    return {name: {"a_second": len(rows) / statistics.median(all_[1:]), "loss": losses.get(name, 0.0)}
            for name, all_ in found.items()}  # fmt: skip


def scoring(size: parts.Size, device: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return customers a second of each contender; raise SystemExit when the device says something else than the CPU."""
    contest, work, apart = parts.Scoring(size), dict[str, tuple[str, Callable[[], object]]](), dict[str, float]()
    work[f"{CPU}, exact"] = CPU, contest.whole(contest.exact)
    for where in dict.fromkeys((CPU, device)):
        for precision in parts.TYPES:
            predictor, name = ReducedPredictor(contest.exact, precision, where), f"{where}, {precision}"
            apart[name] = contest.apart(predictor)
            if not apart[name] <= BOUNDS[precision]:
                raise SystemExit(f"error: {name} deviates by {apart[name]:.1e}; nothing is reported")
            work[name] = where, contest.whole(predictor)
            if where == device:
                work[f"{name}, products there and back"] = where, contest.products(predictor)
                work[f"{name}, gather and products alone"] = where, contest.limit(predictor, where)
    found: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, (where, run) in work.items():
            found[name].append(parts.seconds(where, run))
        print(f"scoring, round {number} of {rounds}" + (", to warm up" if number == 0 else ""), flush=True)
    users = size.batches * parts.BATCH
    return {
        name: {"a_second": users / statistics.median(all_[1:]), "apart": apart.get(name, 0.0)} for name, all_ in found.items()
    }


def measure(device: str, fast: bool, size: parts.Size | None = None) -> dict[str, Any]:
    """Return the figures of a device beside the CPU's."""
    before, rounds = load(), 1 if fast else 3
    size = size or parts.Size(batches=8 if fast else 64)
    result = {"device": name_of(device), "threads": torch.get_num_threads(), "rounds": rounds, "batch": parts.BATCH}
    return {
        **result,
        "training": training(size, device, rounds),
        "scoring": scoring(size, device, rounds),
        "load": [before, load()],
    }


def name_of(device: str) -> str:
    """Return what the device is called."""
    if device != "cuda":
        return device
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    lines: list[str] = []
    for what, unit, note in (("training", "samples", "loss"), ("scoring", "customers", "apart")):
        found = result[what]
        base = next(iter(found.values()))["a_second"]
        body = [
            [name, f"{f['a_second']:,.0f}", f"{f['a_second'] / base:.1f}", f"{f[note]:.2g}" if f.get(note) else ""]
            for name, f in found.items()
        ]
        last = "loss" if note == "loss" else "largest deviation"
        lines += [*rows_of([what, f"{unit} a second", f"× {next(iter(found))}", last], body), ""]
    how = f"{result['threads']} CPU threads, batches of {result['batch']:,}, median of {result['rounds']}"
    return [*lines, f"{result['device']}; {how}; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}."]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure where there is a GPU."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "bench" / "gpu", help="where the result goes")
    parser.add_argument("--fast", action="store_true", help="fewer batches, one round")
    arguments = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("skipped: torch finds no CUDA device on this machine, so nothing was measured")
        return 0
    result = measure("cuda", arguments.fast)
    arguments.home.mkdir(parents=True, exist_ok=True)
    (arguments.home / "result.json").write_text(json.dumps(result, indent=1))
    print("\n".join(table(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
