"""What every job's door has in common: arguments, the open lake, one line for an error, a verdict for whoever called.

Exit status: 0 done; 2 refused, and trying again will not help (the line on stderr says what to do); 3 another writer was
first, or the machine lacked something, so trying again may help; 1 a bug, with its traceback.
"""

import argparse
import atexit
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from propensity.config import Config, check_regions, load_config, parse_date
from propensity.errors import ConflictError, MachineError, PropensityError
from propensity.storage import Lake

Body = Callable[[Lake, argparse.Namespace], Mapping[str, Any]]

EXIT_REFUSED, EXIT_RETRY = 2, 3

# Importing is most of a short job.  What is imported stays, and is searched for garbage all the same: 0.5 s of importing
# Great Expectations, and 0.6 when the process ends.
gc.set_threshold(50_000)
if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:  # a job, not a test of one
    atexit.register(gc.freeze)


def parser(description: str | None, *, region: bool = True, purpose: bool = False) -> argparse.ArgumentParser:
    """Return a parser with the arguments that jobs share: region, score date, purpose, force, verdict."""
    result = argparse.ArgumentParser(description=(description or "").splitlines()[0], allow_abbrev=False)
    if region:
        result.add_argument("--region", required=True, help="a region of the configuration")
    result.add_argument("--score-date", required=True, help="YYYY-MM-DD: nothing of this day or later is seen")
    if purpose:
        result.add_argument("--purpose", required=True, choices=("training", "scoring"), help="which dates are needed")
    add_common(result)
    return result


def add_common(result: argparse.ArgumentParser) -> None:
    """Add the arguments that every job has."""
    result.add_argument("--force", action="store_true", help="compute again what is there already")
    result.add_argument("--verdict", type=Path, help="write what was done to this file, as JSON")


def run_job(result: argparse.ArgumentParser, body: Body) -> int:
    """Parse the arguments, open the lake, call `body`, report; return the exit status."""
    arguments = result.parse_args()
    started = time.monotonic()
    try:
        config = load_config()
        _check(config, arguments)
        verdict = dict(body(Lake(config), arguments))
    except PropensityError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_RETRY if isinstance(error, ConflictError | MachineError) else EXIT_REFUSED
    verdict["seconds"] = round(time.monotonic() - started, 2)
    report(verdict, arguments.verdict)
    return 0


def _check(config: Config, arguments: argparse.Namespace) -> None:
    if "region" in arguments:
        check_regions(config, (arguments.region,))
    if "score_date" in arguments:
        arguments.score_date = parse_date(arguments.score_date)


def report(verdict: Mapping[str, Any], path: Path | None) -> None:
    """Print the verdict and, when asked, write it, whole or not at all."""
    print("nothing to do" if verdict.get("skipped") else "done", json.dumps(verdict, default=str), flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(json.dumps(verdict, default=str))
        temporary.replace(path)
