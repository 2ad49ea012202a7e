"""What scoring through Spark holds in memory: by part, for four times the customers, and over many runs of one session.

Sizes are proportional set sizes, so that a page which several processes share counts once.  How many copies of the weights there
are is what all Python workers gain when a small network gives way to that of the reference shape, in multiples of its weights.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reference import FEATURES
from benchmarks.speed.cluster_driver import Driver
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.memory_pss import Held, held_by, watched
from benchmarks.speed.reference_lake import REGION, Shape, reference_lake
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import WEIGHTS
from propensity.storage import Lake

PRECISIONS = ("float32", "bfloat16")
BUCKET, TIMES = 4_096, 4
SMALL_FEATURES = FEATURES // 100
FLAT, COPIES, GROWTH_MB, LIVE_MB = 1.1, 1.2, 24.0, 24.0
"""Most that four times the customers may take, to once; copies of the weights on a host; growth of Python from the middle of the
loop to its end, and of what the JVM holds on to: Spark remembers a session's last 1,000 jobs."""
LOOP = {False: (300, 25.0), True: (40, 6.0)}
"""Runs of the loop and its seconds, whichever ends first, by whether less is wanted."""
LOOKS = 40
"""At memory, evenly over the loop."""


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return peaks by precision and customers, copies of the weights, and the loop's course."""
    home, before = home.resolve(), load()
    buckets = 2 if fast else 5  # at least one for each task, so that every worker has loaded the model
    shape = Shape(BUCKET * buckets, buckets=buckets, history=True)
    larger = replace(shape, users=shape.users * TIMES, buckets=buckets * TIMES)
    small = replace(shape, features=SMALL_FEATURES, categories=200)
    weights = _weights_mb(reference_lake(home, shape)[0])
    peaks, loop = {}, {}
    for precision in PRECISIONS[:1] if fast else PRECISIONS:
        with Driver(home, "local[2]") as driver:
            peaks[precision] = _peaks(driver, precision, (small, shape, larger), weights)
            if precision == PRECISIONS[0]:
                loop = _loop(driver, precision, replace(small, users=2_000, buckets=4), *LOOP[fast])
    flat = all(one["ratio"] <= FLAT for one in peaks.values())
    met = {"flat": flat, "loop": loop["steady"], "one copy": all(one["copies"] <= COPIES for one in peaks.values())}
    return {"weights_mb": weights, "users": [shape.users, larger.users], "peaks": peaks, "loop": loop, "met": met,
            "load": [before, load()]}  # fmt: skip


def _weights_mb(lake: Lake) -> float:
    return (bundle_folder(lake.config, REGION, "reference") / WEIGHTS).stat().st_size / 2**20


def _peaks(driver: Driver, precision: str, shapes: tuple[Shape, Shape, Shape], weights: float) -> dict[str, Any]:
    """Return the peaks of one session: with a small network, with the reference's, with four times the customers."""

    def peak(of: Shape) -> tuple[Held, Held]:
        """Return the peak of a second run, when everything is loaded, and what is held after it."""
        driver.score(of, "warm-up", precision=precision)
        with watched(driver.process.pid) as found:
            driver.score(of, "measured", precision=precision)
        print(f"{precision}: {of.users:,} customers, {of.features:,} features: {found[0].total:,.0f} MB", flush=True)
        return found[0], held_by(driver.process.pid)

    (_, bare), (once, loaded), (more, _) = map(peak, shapes)
    held = [asdict(one) | {"total": one.total} for one in (once, more)]
    return {"peaks": held, "ratio": more.total / once.total, "copies": (loaded.workers - bare.workers) / weights}


def _loop(driver: Driver, precision: str, shape: Shape, runs: int, seconds: float) -> dict[str, Any]:
    """Score a small region over and over in one session; return what was held along the way and its growth a run."""
    for _ in range(5):
        driver.score(shape, "warm-up", precision=precision)
    live = [driver.ask(do="heap")["live_mb"]]
    looks: list[tuple[int, float, float]] = []
    begun, done = time.monotonic(), 0
    while done < runs and time.monotonic() - begun < seconds:
        driver.score(shape, "loop", precision=precision)
        done += 1
        if len(looks) < done * LOOKS // runs:
            held = held_by(driver.process.pid)
            looks.append((done, held.python, held.jvm))
    live.append(driver.ask(do="heap")["live_mb"])
    return judged(looks, live) | {"runs": done, "seconds": time.monotonic() - begun}


def judged(looks: Sequence[tuple[int, float, float]], live: Sequence[float]) -> dict[str, Any]:
    """Return (run, Python MB, JVM MB) at the loop's start, middle and end, how both grew, and whether the bars hold."""
    at, python, jvm = np.array(looks, float).T
    late = slice(len(at) // 2, None)
    slopes = {name: float(np.polyfit(at[late], sizes[late], 1)[0]) for name, sizes in (("python", python), ("jvm", jvm))}
    course = [[float(one) for one in (at[n], python[n], jvm[n])] for n in (0, len(at) // 2, -1)]
    grown, kept = float(python[-1] - python[late][0]), live[-1] - live[0]
    return {"course": course, "a_run_mb": slopes, "grown_mb": grown, "live_mb": list(live),
            "steady": grown <= GROWTH_MB and kept <= LIVE_MB}  # fmt: skip


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    lines = []
    for precision, found in result["peaks"].items():
        for users, one in zip(result["users"], found["peaks"], strict=True):
            parts = [f"{one[name]:,.0f}" for name in ("jvm", "driver", "workers", "largest_worker", "total")]
            lines.append([precision, f"{users:,}", *parts, f"{found['copies']:.1f}"])
    title = [
        "precision",
        "customers",
        "JVM, MB",
        "driver's Python",
        "all workers",
        "largest worker",
        "total",
        "copies of the weights",
    ]
    ratios = ", ".join(f"{name} × {found['ratio']:.2f}" for name, found in result["peaks"].items())
    return [
        "Whether memory depends on how many customers are scored, and whether a session grows.",
        "",
        *rows_of(title, lines),
        "",
        f"Four times the customers, in buckets of {BUCKET:,}: {ratios} (bar {FLAT}, met: {_word(result['met']['flat'])}).  "
        f"Weights are {result['weights_mb']:,.0f} MB in float32; one copy a host (bar {COPIES}): "
        f"{_word(result['met']['one copy'])}.  A host needs {_bounds(result['peaks'])}.",
        *_of_loop(result["loop"]),
        f"Peaks of the second run in a session of two tasks; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]


def _bounds(peaks: Mapping[str, Any]) -> str:
    """Return what a host needs for its tasks, by precision, from the highest of what was seen."""
    told = []
    for precision, found in peaks.items():
        fixed = max(one["jvm"] + one["driver"] for one in found["peaks"])
        each = max(one["largest_worker"] for one in found["peaks"])
        told.append(f"in {precision} {fixed:,.0f} MB and {each:,.0f} MB a task")
    return ", ".join(told)


def _of_loop(loop: Mapping[str, Any]) -> list[str]:
    lines = [[f"{run:.0f}", f"{python:,.0f}", f"{jvm:,.0f}"] for run, python, jvm in loop["course"]]
    slopes = loop["a_run_mb"]
    return [
        "",
        *rows_of(["after run", "Python, MB", "JVM, MB"], lines),
        "",
        f"{loop['runs']} runs of a small region in one session, {loop['seconds']:.0f} s.  In the second half Python grew "
        f"{loop['grown_mb']:+.1f} MB (bar {GROWTH_MB:+.0f}), fitted {slopes['python'] * 1e3:+.0f} kB a run, the JVM "
        f"{slopes['jvm'] * 1e3:+.0f} kB a run within its heap; what the JVM holds on to after a collection went from "
        f"{loop['live_mb'][0]:.1f} to {loop['live_mb'][-1]:.1f} MB (bar {LIVE_MB:+.0f}).  Bars met: {_word(loop['steady'])}.",
    ]


def _word(said: bool) -> str:
    return "yes" if said else "NO"
