"""Airflow on this machine: API server, scheduler, DAG processor, and a triggerer where a person looks on."""

import contextlib
import hashlib
import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.api import Api
from ops.process import Child, check_port, start, stop
from ops.settings import ROOT, Stack
from propensity.errors import MachineError

START_SECONDS = 120.0
POOLS = ROOT / "plugins" / "propensity_airflow" / "pools.json"
COMMANDS = {
    "api-server": ["api-server"],
    # Logs are read from the disk they lie on; a log server would need one more port.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


@contextlib.contextmanager
def airflow(stack: Stack, environment: Mapping[str, str], *, triggerer: bool = False) -> Iterator[Api]:
    """Run Airflow's services; yield a client of its API once they work; stop them all at the end.

    Raise MachineError, in one line, when the port is taken or a service does not come up.
    """
    check_port(stack.port, "Airflow", "stop that program, or choose another port with AIRFLOW_PORT=8081 (0: any free one)")
    prepare(stack, environment)
    names = [name for name in COMMANDS if triggerer or name != "triggerer"]
    children: list[Child] = []
    try:
        for name in names:
            log = stack.airflow_home / "services" / f"{name}.log"
            children.append(start(name, ["-m", "airflow", *COMMANDS[name]], environment, log, ROOT))
        api = Api(stack.address)
        _wait(api, children)
        yield api
    finally:
        stop(children)


def prepare(stack: Stack, environment: Mapping[str, str]) -> None:
    """Make Airflow's tables and pools, unless that was done by these versions already, in this very database cluster."""
    stamp = stack.airflow_home / "prepared"
    cluster = (stack.config.home / "postgres" / "password").read_text()
    parts = importlib.metadata.version("apache-airflow-core"), POOLS.read_text(), cluster
    wanted = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stack.airflow_home.mkdir(parents=True, exist_ok=True)
    for command in (["db", "migrate"], ["pools", "import", str(POOLS)]):
        _run(command, environment, stack.airflow_home / "services" / "prepare.log")
    stamp.write_text(wanted)


def _run(command: list[str], environment: Mapping[str, str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        program = [sys.executable, "-m", "airflow", *command]
        done = subprocess.run(program, env=dict(environment), cwd=ROOT, stdout=output, stderr=output, check=False)
    if done.returncode:
        words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise MachineError(f"airflow {' '.join(command[:2])} failed: {words[-1] if words else ''}", do=f"read {log}")


def _wait(api: Api, children: list[Child]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for child in children:
            if not child.running():
                raise MachineError(f"Airflow's {child.name} ended: {child.last_words()}", do=f"read {child.log}")
        if api.healthy():
            return
        time.sleep(0.2)
    folder = children[0].log.parent
    raise MachineError(f"Airflow did not come up within {START_SECONDS:.0f} seconds", do=f"read the files in {folder}")


def pools() -> dict[str, int]:
    """Return the slots of each pool."""
    return {name: int(pool["slots"]) for name, pool in json.loads(POOLS.read_text()).items()}
