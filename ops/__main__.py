"""``python -m ops demo | up``."""

import argparse
import sys

from rich.console import Console

from ops.demo import demo
from ops.up import up
from propensity.errors import PropensityError


def main() -> int:
    """Run the command; one line and status 2 for a refusal."""
    parser = argparse.ArgumentParser(prog="python -m ops", description="The whole project on this machine.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo", help="the main job, start to end")
    shown.add_argument("--score-date", help="YYYY-MM-DD; the last day of the schedule unless given")
    commands.add_parser("up", help="everything up, until Ctrl-C")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.command == "demo":
            demo(arguments.score_date or None, console)
        else:
            up(console)
    except PropensityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
