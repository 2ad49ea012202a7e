"""Run contenders in turns, each in a process of its own: seconds of the work, seconds of the start, peak memory."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]


def in_turns(
    module: str,
    names: Sequence[str],
    arguments: Sequence[str],
    rounds: int,
    check: Callable[[], object] = dict,
    fewer: Mapping[str, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run ``python -m module NAME arguments`` for every name, `rounds` times in turns; return the figures by name.

    Such a process ends with a line that :func:`report` printed.  Seconds are medians over the rounds; memory is the highest.
    `check` is called after the first round, and raises when the contenders' outputs do not agree.  `fewer` has the names of
    those who take so long that they run in that many of the first rounds only.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in [n for n in names if number < (fewer or {}).get(n, rounds)]:
            runs[name].append(_alone([sys.executable, "-m", module, name, *arguments]))
            figures = ", ".join(f"{key} {value:.2f}" for key, value in runs[name][-1].items())
            print(f"round {number + 1} of {rounds}: {name}: {figures}; load {load():.1f}", flush=True)
        if number == 0:
            check()
    return {name: _summary(found) for name, found in runs.items()}


def _summary(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "peak_mb"}
    return {**middle, "all_s": [run["run_s"] for run in runs], "peak_mb": max(run["peak_mb"] for run in runs)}


def times(base: Sequence[float], other: Sequence[float]) -> float:
    """Return how many times `base`'s seconds `other` took: the median of the rounds that both ran.

    Within a round the machine's own speed changes less than between rounds, so it is not the ratio of two medians.
    """
    return statistics.median(b / a for a, b in zip(base, other, strict=False))


def _alone(command: Sequence[str]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    peak, watcher = [0], threading.Event()
    thread = threading.Thread(target=_watch, args=(process.pid, watcher, peak), daemon=True)
    thread.start()
    output, _ = process.communicate()
    watcher.set()
    thread.join()
    if process.returncode:
        raise SystemExit(f"error: {' '.join(command)} ended with {process.returncode}; nothing is reported")
    figures: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return {**figures, "peak_mb": peak[0] / 2**20}


def _watch(pid: int, stop: threading.Event, peak: list[int]) -> None:
    """Keep the highest memory of a process and its children: proportional set size, so that shared pages count once."""
    while not stop.wait(0.25):
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            peak[0] = max(peak[0], sum(process.memory_full_info().pss for process in family))
        except psutil.Error:
            continue  # one of them has just ended


def report(start: Callable[[], Callable[[], object]]) -> None:
    """Start something, time the work that it returns, print both as the line that :func:`in_turns` reads."""
    begun = time.perf_counter()
    work = start()
    started, before = time.perf_counter(), _processor_seconds()
    work()
    figures = {"start_s": started - begun, "run_s": time.perf_counter() - started, "cpu_s": _processor_seconds() - before}
    print("\n" + json.dumps(figures), flush=True)


def _processor_seconds() -> float:
    """Return the processor time that this process and all below it have taken: what other work on the machine changes least."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in family)


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def rows_of(title: Iterable[str], lines: Iterable[Iterable[object]]) -> list[str]:
    """Return a Markdown table."""
    head = list(title)
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(map(str, line))} |" for line in lines)]
