"""Score a region: every customer with features at the score date, by the champion that the run resolved at its start."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.engine.scoring import score_region
from propensity.engine.worker_model import Champion
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Score what is not scored and name the staged run."""
    folder = lake.config.home / "models" / arguments.region / arguments.version
    champion = Champion(arguments.version, arguments.digest, folder)
    staged, skipped = score_region(lake, arguments.region, arguments.score_date, champion, arguments.force)
    return {"skipped": skipped, "run_id": staged.run_id, "users": staged.rows, "version": champion.version}


def main() -> int:
    """Run the job."""
    arguments = parser(__doc__)
    arguments.add_argument("--version", required=True, help="the champion's version")
    arguments.add_argument("--digest", required=True, help="the champion's digest: a run never mixes two models")
    return run_job(arguments, body)


if __name__ == "__main__":
    sys.exit(main())
