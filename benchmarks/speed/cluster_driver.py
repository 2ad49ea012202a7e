"""A Spark driver in a process of its own that scores when it is told: a line of JSON asks, a line of JSON answers.

So several sessions, each with its own master, stay up side by side and take their turns, and whoever measures them is none of
them.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.running import ROOT
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.config.sections import Spark
from propensity.contracts import SCORES
from propensity.engine.worker_model import Champion
from propensity.storage import Lake

MARK = "answer "
"""Begins a line that answers; the engine's lines of progress stand between."""
PATIENCE = 30
"""Seconds that a driver has to end."""


class Driver:
    """A driver's process, as seen by whoever asks it."""

    def __init__(self, home: Path, master: str, options: Mapping[str, str] | None = None) -> None:
        """Start the process; its Spark starts with the first run that it is asked for."""
        settings = json.dumps({"home": str(home.resolve()), "master": master, "options": dict(options or {})})
        command = [sys.executable, "-m", "benchmarks.speed.cluster_driver", settings]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def open(self, shape: Shape, precision: str = "float32") -> None:
        """Write the lake's configuration and read it; drivers that share a lake do so one after the other, before they score."""
        self.ask(do="open", shape=asdict(shape), precision=precision)

    def score(
        self, shape: Shape, name: str, region: str = REGION, precision: str = "float32", commit: bool = True
    ) -> dict[str, Any]:
        """Score a region of the lake of that shape, as a run called `name`; return its seconds and a digest of its files.

        Drivers that score the same region at the same time must not `commit`.
        """
        return self.ask(do="score", shape=asdict(shape), name=name, region=region, precision=precision, commit=commit)

    def ask(self, **what: Any) -> dict[str, Any]:
        """Return the answer; raise SystemExit when the driver ended instead."""
        source, sink = self.process.stdout, self.process.stdin
        if source is None or sink is None:
            raise ValueError("the process has no pipes")
        sink.write(json.dumps(what) + "\n")
        sink.flush()
        for line in source:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        raise SystemExit(f"error: the driver ended with {self.process.wait()} when asked for {what}; nothing is reported")

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End the driver and its Spark: at the end of its input it stops by itself."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its JVM ends with the pipe between them
            self.process.wait()


class Scorer:
    """The driver's own side: lakes by their shape, one Spark session for all of them."""

    def __init__(self, home: Path, spark: Spark) -> None:
        self.home, self.spark = home, spark
        self.lakes: dict[tuple[str, str], tuple[Lake, Champion]] = {}
        self.context: Any = None

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        if asked["do"] == "open":
            self.lake(asked)
            return {}
        return self.score(asked) if asked["do"] == "score" else self.heap()

    def lake(self, asked: Mapping[str, Any]) -> tuple[Lake, Champion]:
        """Return the lake of a shape, to be scored through this driver's master, and its champion."""
        shape, precision = Shape(**asked["shape"]), asked["precision"]
        key = shape.name(), precision
        if key not in self.lakes:
            lake, champion = reference_lake(self.home, shape, precision)
            runtime = lake.config.runtime.model_copy(update={"spark": self.spark})
            self.lakes[key] = Lake(lake.config.model_copy(update={"runtime": runtime})), champion
        return self.lakes[key]

    def score(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Score and commit a region through Spark, however small it is."""
        from propensity.engine.scoring import score_region
        from propensity.engine.session import spark_context

        lake, champion = self.lake(asked)
        self.context = spark_context(lake.config)
        self.context.setJobGroup(asked["name"], asked["name"])
        begun = time.perf_counter()
        staged, _ = score_region(lake, asked["region"], DAY, champion, force=True, small=0)
        if asked["commit"]:
            lake.commit(SCORES, staged.files, staged.partition, {})
        seconds = time.perf_counter() - begun
        bytes_of = (Path(lake.path(SCORES.name, file.path)).read_bytes() for file in staged.files)
        digest = hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in bytes_of)).hexdigest()
        return {"seconds": seconds, "rows": staged.rows, "digest": digest}

    def heap(self) -> dict[str, float]:
        """Return what the driver's JVM holds on to, in MB: used after a collection, and the whole heap it has taken."""
        jvm = self.context._jvm
        runtime = jvm.Runtime.getRuntime()
        jvm.System.gc()
        return {"live_mb": (runtime.totalMemory() - runtime.freeMemory()) / 2**20, "heap_mb": runtime.totalMemory() / 2**20}

    def stop(self) -> None:
        """Stop Spark, so that its event log is whole."""
        if self.context is not None:
            self.context.stop()


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", type=json.loads, help="JSON: home, master, options")
    settings = parser.parse_args().settings
    scorer = Scorer(Path(settings["home"]), Spark(master=settings["master"], options=settings["options"]))
    for line in sys.stdin:
        print("\n" + MARK + json.dumps(scorer.answer(json.loads(line))), flush=True)
    scorer.stop()


if __name__ == "__main__":
    main()
