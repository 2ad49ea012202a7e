"""Run one job as its door does, and tell where its seconds went: ``day_jobs`` runs this in the place of ``jobs/NAME.py``.

``python -m benchmarks.speed.one_job REPORT SPAWNED SPARK NAME ARGUMENTS…``: SPAWNED is ``time.monotonic()`` of the process that
starts this one (the clock is the machine's), SPARK is ``small`` (what is small starts none) or ``always``.
"""

import sys
import time

BEGUN = time.monotonic()

import builtins  # noqa: E402
import json  # noqa: E402
import runpy  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

JOBS = Path(__file__).parents[2] / "jobs"
IMPORTS, SPARK = "imports_s", "spark_s"
SESSION = "propensity.engine.session"


class Clock:
    """Seconds that parts of a process's work take; a part within another one, in whichever thread, counts for the outer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.spent = {IMPORTS: 0.0, SPARK: 0.0}
        self._now, self._lock, self._depth = now, threading.Lock(), 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds of the body to a part."""
        with self._lock:
            outermost, self._depth = self._depth == 0, self._depth + 1
        begun = self._now()
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if outermost:
                    self.spent[name] += self._now() - begun


def watch_imports(clock: Clock, loaded: dict[str, Callable[[Any], None]]) -> None:
    """Count what importing takes, wherever it happens; call `loaded` with a module that has just been imported the first time."""
    original = builtins.__import__

    def timed(name: str, *arguments: Any, **more: Any) -> Any:
        if name in sys.modules:
            return original(name, *arguments, **more)
        with clock.part(SPARK if name == SESSION else IMPORTS):
            result = original(name, *arguments, **more)
        if name in loaded:
            loaded.pop(name)(sys.modules[name])
        return result

    builtins.__import__ = timed


def started(clock: Clock) -> Callable[[Any], None]:
    """Return what makes Spark's start count: all calls after the first are of no weight."""

    def watch(session: Any) -> None:
        start = session.spark_context

        def timed(*arguments: Any) -> Any:
            with clock.part(SPARK):
                return start(*arguments)

        session.spark_context = timed

    return watch


def never_small(module: Any) -> None:
    """Let a step of the engine go by Spark whatever its size."""
    if hasattr(module, "map_cheaply"):
        module.map_cheaply = lambda *arguments: module.map_buckets(*arguments[:-2])
    else:
        module.land.__defaults__ = (-1,)


def main() -> None:
    """Run the job, write the report, end with the job's status."""
    report, spawned, spark, name, *arguments = sys.argv[1:]
    clock, figures = Clock(), {"start_s": BEGUN - float(spawned)}
    loaded = {SESSION: started(clock)}
    if spark == "always":
        loaded |= {"propensity.engine.buckets": never_small, "propensity.engine.landing": never_small}
    watch_imports(clock, loaded)
    sys.argv = [str(JOBS / f"{name}.py"), *arguments]
    sys.path.insert(0, str(JOBS))
    door = _import("door", clock)
    run_job = door.run_job

    def timed(parser: Any, body: Callable[..., Any]) -> int:
        def work(*given: Any) -> Any:
            before, begun = sum(clock.spent.values()), time.monotonic()
            try:
                return body(*given)
            finally:
                figures["work_s"] = time.monotonic() - begun - (sum(clock.spent.values()) - before)

        return int(run_job(parser, work))

    door.run_job = timed
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        ended = time.monotonic()
        door_s = ended - BEGUN - sum(clock.spent.values()) - figures.get("work_s", 0.0)
        Path(report).write_text(json.dumps({**figures, **clock.spent, "door_s": door_s, "ended": ended}))


def _import(name: str, clock: Clock) -> Any:
    with clock.part(IMPORTS):
        return import_module(name)


if __name__ == "__main__":
    main()
