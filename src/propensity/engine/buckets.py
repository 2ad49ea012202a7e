"""Run a function over buckets, on Spark or, where that takes less time than Spark's start, here: every step is just that."""

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from propensity.config import Config
from propensity.errors import PropensityError

if TYPE_CHECKING:
    from pyspark import SparkContext

THREADS = 2
"""Of one process where no Spark is started."""
TOLD_SECONDS = 2.0
"""Between two lines of progress."""

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


def map_here(
    function: Callable[[Item, Shared], Result], items: Sequence[Item], shared: Shared, doing: str | None = None
) -> list[Result]:
    """Return what :func:`map_buckets` does, computed by THREADS threads of this process: most work leaves Python's lock.

    An error of a task is raised here, the first in the order of the items; tasks that had not begun by then never do.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = [pool.submit(function, item, shared) for item in items]
        with _told(doing, lambda: [(sum(task.done() for task in tasks), len(tasks))]):
            try:
                return [task.result() for task in tasks]
            finally:
                pool.shutdown(cancel_futures=True)


def map_cheaply(
    config: Config,
    function: Callable[[Item, Shared], Result],
    items: Sequence[Item],
    shared: Shared,
    doing: str,
    size: int,
    small: int,
) -> list[Result]:
    """Return the results of :func:`map_here` where `size` is up to `small`, else those of :func:`map_buckets`: the same ones.

    `size` is what there is to read, in bytes.  `small` is the step's own: what takes one process as long as Spark's start, 5 s.
    A PropensityError is raised either way; anything else Spark tries again, and here whoever runs the job.
    """
    if size <= small:
        return map_here(function, items, shared, doing)
    return map_buckets(config, function, items, shared, doing)


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
    tracker = context.statusTracker()

    def stages() -> Iterator[tuple[int, int]]:
        for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
            if stage is not None:
                yield stage.numCompletedTasks, stage.numTasks

    with _told(doing, stages):
        yield


@contextmanager
def _told(doing: str | None, counts: Callable[[], Iterable[tuple[int, int]]]) -> Iterator[None]:
    """Print (done, of how many) every TOLD_SECONDS while the body runs; nothing where `doing` is None."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(TOLD_SECONDS):
            for done, count in counts():
                print(f"{doing}: {done} of {count}", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    if doing is not None:
        watcher.start()
    try:
        yield
    finally:
        finished.set()
        if doing is not None:
            watcher.join()
