"""Make a challenger the region's champion if it earned it; a refusal is an answer, with its reason, not an error."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.evaluation.judging import promote
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Decide, and crown when the decision says so."""
    decision, digest = promote(lake, arguments.region, arguments.score_date, arguments.version)
    told = {"promoted": decision.promoted, "reason": decision.reason, "version": arguments.version, "digest": digest}
    return {"skipped": decision.promoted and not decision.crown, **told}


def main() -> int:
    """Run the job."""
    result = parser(__doc__)
    result.add_argument("--version", required=True, help="a version that evaluate.py judged")
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
