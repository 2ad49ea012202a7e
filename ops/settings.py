"""The one place where the environment of Airflow's services and of the jobs is made."""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from propensity.config import Config
from propensity.errors import MachineError

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_PORT = 8080
METADATA = "airflow"
"""Name of the database that Airflow keeps its own records in."""


@dataclass(frozen=True)
class Stack:
    """One installation on this machine: a configuration, its home, Airflow's port."""

    config: Config
    port: int

    @property
    def airflow_home(self) -> Path:
        """Return the folder of Airflow's database, logs and keys."""
        return self.config.home / "airflow"

    @property
    def address(self) -> str:
        """Return the address of the web UI and the REST API."""
        return f"http://127.0.0.1:{self.port}"


def environment(stack: Stack, java_home: str | None = None) -> dict[str, str]:
    """Return the environment of the services: this process's, plus where everything is.

    Settings that differ between machines are here; the others are in ``airflow.cfg``.
    """
    home = stack.airflow_home
    result = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    result |= {
        "PROPENSITY_CONF": str(stack.config.folder),
        "PROPENSITY_HOME": str(stack.config.home.parent),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "plugins"), str(ROOT)]),
        # `airflow` and everything that a service starts must be this environment's.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(ROOT / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__PARALLELISM": str(max(4, 2 * (os.cpu_count() or 1))),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{stack.address}/execution/",
        **_metadata(stack.config.home),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(stack.port),
        "AIRFLOW__API__BASE_URL": stack.address,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **_keys(home),
    }
    if java_home:
        result["JAVA_HOME"] = java_home
    return result


def _metadata(home: Path) -> Mapping[str, str]:
    """Return where Airflow keeps its own records: a database beside the scores', in the embedded server.

    SQLite would need no server, but a backfill created while the scheduler works fails on it with "database is locked".
    """
    path = home / "postgres" / "address"
    if not path.is_file():
        return {}  # nothing runs yet, and nothing that needs it is started before
    server = path.read_text().strip().rpartition("/")[0].removeprefix("postgresql://")
    address = f"postgresql+psycopg://{server}/{METADATA}"
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": address}


def _keys(home: Path) -> Mapping[str, str]:
    """Return the keys that sign sessions and task tokens: random, made once, readable by the owner only."""
    names = ("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY")
    return dict(zip(names, (secret(home / "keys" / n) for n in ("session", "token", "fernet")), strict=True))


def secret(path: Path) -> str:
    """Return the secret in `path` (base64, 32 bytes); make it, with mode 0600, where there is none."""
    if path.is_file():
        return path.read_text().strip()
    value = secrets.token_urlsafe(32) + "="
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
    except OSError as error:
        do = "free disk space, or make the folder yours"
        raise MachineError(f"could not write: {error}", where=str(path), do=do) from None
    return value
