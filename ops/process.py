"""Child processes, each in a process group of its own, that end with us."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from propensity.errors import MachineError

GRACE_SECONDS = 6.0


@dataclass
class Child:
    """A service that runs in the background, its output in a file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def running(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def last_words(self, lines: int = 1) -> str:
        """Return the end of its output that is not empty."""
        with contextlib.suppress(OSError):
            text = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            return "\n".join(text[-lines:])
        return ""


def start(name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, root: Path) -> Child:
    """Start ``python ARGUMENTS`` in the background; it is killed if this process dies without a word."""
    log.parent.mkdir(parents=True, exist_ok=True)
    leash = [sys.executable, "-m", "propensity_airflow.leash", str(os.getpid()), sys.executable, *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            leash, cwd=root, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    return Child(name, process, log)


def stop(children: Sequence[Child]) -> None:
    """End the groups of `children`: ask all of them, wait a little, then insist."""
    for child in children:
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.05, deadline - time.monotonic()))
    for child in children:
        _signal(child, signal.SIGKILL)  # also what a group's leader has left behind
        child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def free_port() -> int:
    """Return a port of the loopback address that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int, what: str, do: str) -> None:
    """Raise MachineError when somebody else holds `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise MachineError(f"port {port} is in use by another program", where=what, do=do) from None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, so that ``finally`` blocks stop what was started."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
