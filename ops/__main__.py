"""``python -m ops demo | up | serve | down | airflow | java | browser``."""

import argparse
import os
import sys
from collections.abc import Callable

from rich.console import Console

from propensity.errors import PropensityError

WIDE = 120


def _demo(arguments: argparse.Namespace, console: Console) -> None:
    from ops.demo import demo

    demo(arguments.score_date or None, console)


def _up(_: argparse.Namespace, console: Console) -> None:
    from ops.up import up

    up(console)


def _serve(_: argparse.Namespace, console: Console) -> None:
    from ops.serve import serve

    serve(console)


def _down(_: argparse.Namespace, console: Console) -> None:
    from ops.postgres import Postgres
    from propensity.config import load_config

    config = load_config()
    Postgres(config.home, config.runtime.database.port).stop()
    console.print("The database is stopped.")


def _airflow(arguments: argparse.Namespace, _: Console) -> None:
    from ops.postgres import Postgres
    from ops.settings import DEFAULT_PORT, Stack, environment
    from ops.stack import chosen_port
    from propensity.config import load_config
    from propensity.errors import MachineError

    config = load_config()
    if Postgres(config.home, config.runtime.database.port).running_port() is None:
        raise MachineError("Airflow is not up, nor is its database", where=str(config.home), do="run make up in another terminal")
    stack = Stack(config, chosen_port("AIRFLOW_PORT", DEFAULT_PORT))
    command = [sys.executable, "-m", "airflow", *arguments.words]
    os.execve(sys.executable, command, environment(stack))  # noqa: S606  the point is to become that command


def _java(_: argparse.Namespace, console: Console) -> None:
    from ops.java import java_home

    java_home(console.print)


def _browser(_: argparse.Namespace, console: Console) -> None:
    from ops.browser import chromium

    chromium(console.print)


Command = Callable[[argparse.Namespace, Console], None]
COMMANDS: dict[str, tuple[Command, str]] = {
    "demo": (_demo, "the main job, start to end"),
    "up": (_up, "everything up, until Ctrl-C"),
    "serve": (_serve, "the online service, until Ctrl-C"),
    "down": (_down, "stop a database that a killed run left behind"),
    "airflow": (_airflow, "the airflow command, told where this project's Airflow is"),
    "java": (_java, "find or install the Java that Spark needs"),
    "browser": (_browser, "find or install the Chromium that the tests drive"),
}


def main() -> int:
    """Run the command; one line and status 2 for a refusal."""
    parser = argparse.ArgumentParser(prog="python -m ops", description="The whole project on this machine.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, says) in COMMANDS.items():
        command = commands.add_parser(name, help=says, allow_abbrev=False)
        if name == "airflow":
            command.add_argument("words", nargs=argparse.REMAINDER, help="what follows `airflow`")
        if name == "demo":
            command.add_argument("--score-date", help="YYYY-MM-DD; the last day of the schedule unless given")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    try:
        COMMANDS[arguments.command][0](arguments, console)
    except PropensityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
