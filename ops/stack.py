"""Everything that runs on this machine, started and stopped together: Java found, Postgres, Airflow."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ops.api import Api
from ops.java import java_home
from ops.postgres import Postgres, postgres
from ops.process import free_port, interruptible
from ops.services import airflow
from ops.settings import DEFAULT_PORT, Stack, environment
from propensity.config import Config
from propensity.errors import ConfigError, MachineError

NEEDED_BYTES = 1 << 30
DAGS = ["propensity_train", "propensity_score"]


@dataclass(frozen=True)
class Running:
    """What runs."""

    stack: Stack
    api: Api
    environment: dict[str, str]
    database: str
    """The address of the database, with its password."""


@contextlib.contextmanager
def running(config: Config, say: Callable[[str], None], *, triggerer: bool = False, port: int | None = None) -> Iterator[Running]:
    """Start everything, yield when the DAGs are known, stop at the end what was started here.

    Ports: AIRFLOW_PORT (or `port`) and POSTGRES_PORT; 0 takes a free one.  Raise MachineError, in one line, for what is missing.
    """
    check_disk(config)
    java = java_home(say)
    stack = Stack(config, chosen_port("AIRFLOW_PORT", DEFAULT_PORT) if port is None else port or free_port())
    with interruptible(), contextlib.ExitStack() as held:
        server = held.enter_context(embedded(config))  # for Airflow's own records in any case
        database = os.environ.get("PROPENSITY_DATABASE_URL") or config.runtime.database.url or server.address
        settings = {**environment(stack, java), "PROPENSITY_DATABASE_URL": database}
        say(f"Starting Airflow on {stack.address}")
        api = held.enter_context(airflow(stack, settings, triggerer=triggerer))
        api.wait_for_dags(DAGS)
        yield Running(stack, api, settings, database)


@contextlib.contextmanager
def embedded(config: Config) -> Iterator[Postgres]:
    """Run the embedded Postgres of a configuration."""
    with postgres(config.home, chosen_port("POSTGRES_PORT", config.runtime.database.port)) as server:
        yield server


def chosen_port(variable: str, default: int) -> int:
    """Return the port that an environment variable names, `default` without one, a free one for 0."""
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdecimal()) or not (int(text) == 0 or 1024 <= int(text) <= 65535):
        do = "write a number from 1024 to 65535, or 0 for any free port"
        raise ConfigError(f"{text!r} is not a port", where=variable, do=do)
    return int(text) or free_port()


def check_disk(config: Config) -> None:
    """Make the project's home; raise MachineError when it cannot be made or its disk is all but full."""
    home = config.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        do = "set PROPENSITY_HOME to another folder"
        raise MachineError(f"could not make the project's home: {error}", where=str(home), do=do) from None
    if free < NEEDED_BYTES:
        do = "free disk space, or set PROPENSITY_HOME to a folder on another disk"
        raise MachineError(f"{free / 1e6:,.0f} MB are free, {NEEDED_BYTES / 1e6:,.0f} MB are needed", where=str(home), do=do)
