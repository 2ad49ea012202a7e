"""A standalone Spark cluster on this machine: a master and workers of one core each, started and ended by their own ids."""

import os
import re
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO

import psutil
import pyspark

from propensity.errors import MachineError

PACKAGE = Path(pyspark.__file__).parent
"""Where Spark lies: the Python package brings all of it."""
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
HOST = "127.0.0.1"
UP = {MASTER: re.compile(r"elected leader"), WORKER: re.compile(r"Successfully registered with master")}
"""What a daemon's log says once it can be used."""
PORT = re.compile(r"'sparkMaster' on port (\d+)|'sparkMaster' successfully started on port (\d+)")
PATIENCE = 60
"""Seconds that a daemon has to start, and to end."""
MEMORY = "1g"
"""That a worker may give to executors' JVMs."""


class Standalone:
    """A cluster, up while the body of its ``with`` runs; whatever is left of it afterwards is killed."""

    def __init__(self, home: Path, workers: int) -> None:
        """Take a folder for logs and the workers' files."""
        self.home, self.workers = home.resolve(), workers
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def __enter__(self) -> "Standalone":
        try:
            found = PORT.search(self._wait(MASTER, *self._start(MASTER, "master", "--port", "0")))
            if found is None:
                raise MachineError("the master does not tell its port", where=str(self.home), do="read its log")
            self.url = f"spark://{HOST}:{found[1] or found[2]}"
            work = ["--port", "0", "--cores", "1", "--memory", MEMORY, "--work-dir", str(self.home / "work"), self.url]
            for started in [self._start(WORKER, f"worker-{number}", *work) for number in range(self.workers)]:
                self._wait(WORKER, *started)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.end()

    def _start(self, what: str, name: str, *arguments: str) -> tuple[Path, subprocess.Popen[bytes]]:
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / f"{name}.log"
        # Nothing of this project's environment reaches the daemons: what executors need travels with the session.
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "JAVA_HOME", "LANG") if key in os.environ}
        environment = {
            **inherited, "SPARK_HOME": str(PACKAGE), "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dspark.master.rest.enabled=false",
        }  # fmt: skip
        command = [str(PACKAGE / "bin" / "spark-class"), what, "--host", HOST, "--webui-port", "0", *arguments]
        with log.open("wb") as sink:
            self.processes.append(_spawn(command, environment, sink, self.home))
        return log, self.processes[-1]

    def _wait(self, what: str, log: Path, process: subprocess.Popen[bytes]) -> str:
        """Return the log once it says that the daemon is up."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            said = log.read_text(errors="replace")
            if UP[what].search(said):
                return said
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise MachineError(f"{what} did not start", where=str(log), examples=said.splitlines()[-3:], do="read its log")

    def end(self) -> None:
        """End the daemons, workers first, and everything below them, by their ids."""
        family = [child for process in self.processes for child in _family(process.pid)]
        for process in reversed(self.processes):
            process.terminate()
        _, left = psutil.wait_procs(family, timeout=10)
        for one in left:
            one.kill()
        for process in self.processes:
            process.wait(PATIENCE)
        self.processes.clear()


def _spawn(command: list[str], environment: dict[str, str], sink: IO[bytes], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
