"""Scoring over a real Spark standalone cluster on this machine: one worker of one core, then two, beside local mode.

Two clusters stay up, one of one worker and one of two, each with a master of its own; a driver for each and one in local mode
take turns over the same lake, through the project's own setting ``runtime.spark.master``.  The daemons know nothing of the
project: no PYTHONPATH, no settings.  Who ran the tasks is read from Spark's event logs, and the files must be the same, byte for
byte.
"""

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.reference import FEATURES
from benchmarks.speed.cluster_daemons import Standalone
from benchmarks.speed.cluster_driver import Driver
from benchmarks.speed.cluster_events import Session, options, session
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import Shape, reference_lake

LOCAL, ONE, TWO = "local mode, 2 tasks", "standalone, 1 worker", "standalone, 2 workers"
WORKERS = {ONE: 1, TWO: 2}
EXECUTOR = {"spark.executor.memory": "512m"}
"""The JVM's, which only carries bytes; Python's is beside it."""
USERS = {False: 80_000, True: 24_000}
"""By whether less is wanted."""
BAR, LOCAL_BAR = 0.8, 0.9
"""Least that two workers do, to twice one worker; to local mode."""


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return users a second by contender, who ran the tasks, whether all wrote the same bytes; everything started has ended."""
    home, before, rounds = home.resolve(), load(), 1 if fast else 2
    shape = Shape(USERS[fast], buckets=12, history=True, features=FEATURES // 8 if fast else FEATURES)
    reference_lake(home, shape)
    logs = {name: home / "events" / name.replace(",", "").replace(" ", "-") for name in (LOCAL, *WORKERS)}
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        clusters = pool.map(stack.enter_context, [Standalone(home / logs[name].name, count) for name, count in WORKERS.items()])
        masters = dict(zip(WORKERS, (cluster.url for cluster in clusters), strict=True))
        drivers = {
            name: stack.enter_context(Driver(home, masters.get(name, "local[2]"), {**options(log), **EXECUTOR}))
            for name, log in logs.items()
        }
        for driver in drivers.values():
            driver.open(shape)
        warm = pool.map(lambda driver: driver.score(shape, "warm-up", commit=False), drivers.values())
        runs = {name: [run] for name, run in zip(drivers, warm, strict=True)}
        for number in range(rounds):
            for name, driver in drivers.items():
                runs[name].append(driver.score(shape, f"round-{number + 1}"))
                print(f"round {number + 1} of {rounds}: {name}: {runs[name][-1]['seconds']:.2f} s; load {load():.1f}", flush=True)
    found = {name: _figures(runs[name], session(logs[name])) for name in runs}
    return _compared(found) | {"users": shape.users, "rounds": rounds, "load": [before, load()]}


def _figures(runs: Sequence[Mapping[str, Any]], log: Session) -> dict[str, Any]:
    """Return a contender's figures, its first run, a warm-up, left out of the time but not of the bytes."""
    tasks = [task for number in range(1, len(runs)) for task in log.of(f"round-{number}")]
    seconds = statistics.median(run["seconds"] for run in runs[1:])
    executors = sorted({task.executor for task in tasks})
    return {
        "users_s": runs[0]["rows"] / seconds,
        "all_s": [run["seconds"] for run in runs[1:]],
        "executors": executors,
        "tasks": {name: sum(task.executor == name for task in tasks) for name in executors},
        "digests": sorted({run["digest"] for run in runs}),
    }


def _compared(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the contenders with their ratios and whether the bars are met."""
    efficiency = found[TWO]["users_s"] / (2 * found[ONE]["users_s"])
    to_local = found[TWO]["users_s"] / found[LOCAL]["users_s"]
    same = len({digest for one in found.values() for digest in one["digests"]}) == 1
    proven = "driver" not in found[TWO]["executors"] and [len(found[name]["executors"]) for name in (ONE, TWO)] == [1, 2]
    met = efficiency >= BAR and to_local >= LOCAL_BAR and same and proven
    return {"contenders": found, "efficiency": efficiency, "to_local": to_local, "same_bytes": same, "proven": proven, "met": met}


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    found = result["contenders"]
    lines = []
    for name, one in found.items():
        ran = ", ".join(f"{executor}: {count}" for executor, count in one["tasks"].items())
        lines.append([name, f"{one['users_s']:,.0f}", f"{one['users_s'] / found[ONE]['users_s']:.2f}", ran])
    return [
        "What a second worker of a standalone cluster adds to the first, and whether a byte differs.",
        "",
        *rows_of(["", "customers a second", "to one worker", "tasks by executor"], lines),
        "",
        f"Two workers have {result['efficiency']:.2f} of twice one worker's speed (bar {BAR}) and {result['to_local']:.2f} of "
        f"local mode's (bar {LOCAL_BAR}); executors of their own: {_word(result['proven'])}; same bytes in every file: "
        f"{_word(result['same_bytes'])}; all bars met: {_word(result['met'])}.",
        f"{result['users']:,} customers, float32, commit included; on a machine of two cores, which two workers, driver and "
        f"daemons share; median of {result['rounds']} rounds in turns; load average {result['load'][0]:.1f} to "
        f"{result['load'][1]:.1f}.",
    ]


def _word(said: bool) -> str:
    return "yes" if said else "NO"
