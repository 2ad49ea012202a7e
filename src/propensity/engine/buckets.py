"""Run a function over buckets, on Spark or, where that takes less time than Spark's start, here: every step is just that."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from propensity.config import Config
from propensity.errors import PropensityError

if TYPE_CHECKING:
    from pyspark import SparkContext

THREADS = 2
"""Of one process where no Spark is started."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")


def map_buckets(
    config: Config, function: Callable[[Item, Shared], Result], items: Sequence[Item], shared: Shared, doing: str
) -> list[Result]:
    """Return ``[function(item, shared) for item in items]``, computed by one Spark task an item.

    `function`, items, results and `shared` travel by pickle; `shared` goes to each worker once.  A PropensityError of a task is
    raised here, without retries; anything else is retried as Spark is set to.  Progress is printed: `doing` says of what.
    """
    if not items:
        return []
    from propensity.engine.session import spark_context  # a job that finds nothing to do never imports Spark

    context = spark_context(config)
    broadcast = context.broadcast(shared)

    def run(item: Item) -> Result | PropensityError:
        try:
            return function(item, broadcast.value)
        except PropensityError as error:
            return error  # the input is bad: another attempt would only say the same
        finally:
            keep_modules()

    with progress(context, doing):
        results = context.parallelize(list(items), len(items)).map(run).collect()
    return [raised(result) for result in results]


def map_here(function: Callable[[Item, Shared], Result], items: Sequence[Item], shared: Shared) -> list[Result]:
    """Return what :func:`map_buckets` does, computed by THREADS threads of this process: most work leaves Python's lock."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda item: function(item, shared), items))


_kept = 0


def keep_modules() -> None:
    """Take what modules are made of out of the garbage collector's sight: Spark has a worker collect after every task.

    With numba and pandas imported that took a worker 40 to 90 ms a task, more than a small bucket itself.
    """
    global _kept
    if len(sys.modules) != _kept:
        gc.collect()
        gc.freeze()
        _kept = len(sys.modules)


def raised(result: Result | PropensityError) -> Result:
    """Return a task's result, or raise the error that it came back with."""
    if isinstance(result, PropensityError):
        raise result
    return result


@contextmanager
def progress(context: "SparkContext", doing: str) -> Iterator[None]:
    """Print how many tasks of the running stage are done, every two seconds while the body runs."""
    finished = threading.Event()

    def watch() -> None:
        tracker = context.statusTracker()
        while not finished.wait(2):
            for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
                if stage is not None:
                    print(f"{doing}: {stage.numCompletedTasks} of {stage.numTasks}", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
