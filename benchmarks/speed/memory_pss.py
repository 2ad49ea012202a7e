"""What a driver's processes hold, by their part: its Python, its JVM, the Python workers below; from the kernel's own counts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

SECONDS = 0.2
"""Between two looks."""


@dataclass
class Held:
    """Megabytes by part, shared pages divided among those that share them (proportional set size)."""

    driver: float = 0.0
    jvm: float = 0.0
    workers: float = 0.0
    """All of them, with the daemon that they are forked from."""
    largest_worker: float = 0.0

    @property
    def python(self) -> float:
        """Return what is not the JVM's."""
        return self.driver + self.workers

    @property
    def total(self) -> float:
        """Return all."""
        return self.python + self.jvm

    def raised(self, other: "Held") -> "Held":
        """Return the higher of both, part by part."""
        return Held(*(max(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)))


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in MB, 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    [line] = [line for line in text.splitlines() if line.startswith("Pss:")]
    return int(line.split()[1]) / 1024


def held_by(pid: int) -> Held:
    """Return what a driver's process and all below it hold now."""
    held = Held(driver=pss_mb(pid))
    for process in psutil.Process(pid).children(recursive=True):
        try:
            name = process.name()
        except psutil.NoSuchProcess:
            continue
        size = pss_mb(process.pid)
        if name == "java":
            held.jvm += size
        else:
            held.workers += size
            held.largest_worker = max(held.largest_worker, size)
    return held


@contextmanager
def watched(pid: int) -> Iterator[list[Held]]:
    """Yield a list of one that has the highest of every part seen while the body runs, also at its end."""
    stop, peak = threading.Event(), [held_by(pid)]

    def watch() -> None:
        while not stop.wait(SECONDS):
            peak[0] = peak[0].raised(held_by(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak[0] = peak[0].raised(held_by(pid))
