"""Everything up, for looking around, until it is interrupted."""

import time

from rich.console import Console

from ops.stack import DAGS, running
from propensity.config import load_config


def up(console: Console) -> None:
    """Start everything and wait for Ctrl-C."""
    config = load_config()
    with running(config, lambda text: console.print(text, highlight=False), triggerer=True) as stack:
        for dag in DAGS:
            stack.api.unpause(dag)
        console.print(f"Airflow    {stack.stack.address}   (everyone on this machine is an administrator)", highlight=False)
        console.print(f"Database   {stack.database.rpartition('@')[2]}   with password: {config.home / 'postgres' / 'address'}")
        console.print(f"Home       {config.home}")
        console.print("Ctrl-C stops everything.")
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            console.print("Stopping")
