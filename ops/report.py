"""What came out of a run, as a person reads it."""

from typing import Any

from rich.console import Console

from ops.stack import Running


def report(running: Running, console: Console, day: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    console.print(day)
