"""Threads × tasks: how a machine's cores are best divided, for the kernel alone in bare processes at the reference shape.

Four processes have loaded the model in both precisions; a combination uses the first of them, which take files from one queue,
and sets how many threads each has.  Our float32 loops are of one thread by nature; the matrix products of bfloat16 take what they
get.
"""

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from benchmarks.speed.scoring_tasks import prepare, score_file
from propensity.config.scoring import Precision
from propensity.contracts import FEATURES
from propensity.engine.worker_model import Champion
from propensity.storage import DataFile, Lake

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
TASKS, THREADS = (1, 2, 4), (1, 2)
USERS = {False: 32_000, True: 8_000}
"""By whether less is wanted."""
BUCKETS = 16
BAR = 0.95
"""Least that a task a core, one thread each, does, to the best of all."""


def start(lake: Lake, champion: Champion) -> None:
    """Load the model in both precisions in a process."""
    for precision in PRECISIONS:
        prepare(lake, champion, precision)


def score(file: DataFile, lake: Lake, champion: Champion, precision: Precision, threads: int) -> int:
    """Score one file in such a process with so many threads; return its customers."""
    import torch

    prepare(lake, champion, precision)  # both models are there: this only says which
    torch.set_num_threads(threads)
    return score_file(file)


def seconds_of(pools: Sequence[ProcessPoolExecutor], files: Sequence[DataFile], *how: Any) -> float:
    """Return the seconds in which these processes score all files, each taking the next when it is done."""
    queue: SimpleQueue[DataFile] = SimpleQueue()
    for file in files:
        queue.put(file)

    def work(pool: ProcessPoolExecutor) -> None:
        while True:
            try:
                file = queue.get_nowait()
            except Empty:
                return
            pool.submit(score, file, *how).result()

    begun = time.perf_counter()
    with ThreadPoolExecutor(len(pools)) as threads:
        list(threads.map(work, pools))
    return time.perf_counter() - begun


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return customers a second by precision, tasks and threads."""
    home, before, rounds = home.resolve(), load(), 1 if fast else 3
    lake, champion = reference_lake(home, Shape(USERS[fast], buckets=BUCKETS))
    files = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    combinations = [(precision, tasks, threads) for precision in PRECISIONS for tasks in TASKS for threads in THREADS]
    taken: dict[tuple[str, int, int], list[float]] = {one: [] for one in combinations}
    with ExitStack() as stack:
        spawn = get_context("spawn")
        pools = [stack.enter_context(ProcessPoolExecutor(1, spawn, start, (lake, champion))) for _ in range(max(TASKS))]
        for precision in PRECISIONS:  # what compiles and loads, before the clock runs
            seconds_of(pools, files, lake, champion, precision, 1)
        for number in range(rounds):
            for precision, tasks, threads in combinations:
                seconds = seconds_of(pools[:tasks], files, lake, champion, precision, threads)
                taken[precision, tasks, threads].append(seconds)
            print(f"round {number + 1} of {rounds}: load {load():.1f}", flush=True)
    rates = [[*one, USERS[fast] / statistics.median(seconds)] for one, seconds in taken.items()]
    return judged(rates, os.cpu_count() or 1) | {"users": USERS[fast], "rounds": rounds, "load": [before, load()]}


def judged(rates: Sequence[Sequence[Any]], cores: int) -> dict[str, Any]:
    """Return the rates and, by precision, what a task a core with one thread does to the best: the bar."""
    shares = {}
    for precision in PRECISIONS:
        mine = {(tasks, threads): rate for name, tasks, threads, rate in rates if name == precision}
        chosen = mine[max(tasks for tasks in TASKS if tasks <= cores), 1]
        shares[precision] = chosen / max(mine.values())
    return {"rates": [list(one) for one in rates], "shares": shares, "cores": cores, "met": min(shares.values()) >= BAR}


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    rates = {(precision, tasks, threads): rate for precision, tasks, threads, rate in result["rates"]}
    lines = [
        [
            precision,
            f"{threads} thread{'s' if threads > 1 else ''} a task",
            *(f"{rates[precision, n, threads]:,.0f}" for n in TASKS),
        ]
        for precision in PRECISIONS
        for threads in THREADS
    ]
    shares = ", ".join(f"{precision} {share:.2f}" for precision, share in result["shares"].items())
    return [
        "How many customers a second each division of the machine's cores scores.",
        "",
        *rows_of(["customers a second", "", *(f"{n} task{'s' if n > 1 else ''}" for n in TASKS)], lines),
        "",
        f"A task a core with one thread, to the best of its precision: {shares} (bar {BAR}, met: "
        f"{'yes' if result['met'] else 'NO'}).",
        f"{result['users']:,} customers, {result['cores']} cores; median of {result['rounds']} rounds in turns; "
        f"load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]
