"""Measure how a run of scores differs from the window its model learned from, keep it as a table, and ask the gate."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.evaluation.drift_table import measure_run
from propensity.models.versions import bundle_folder
from propensity.quality.gate import Subject, check
from propensity.quality.rows import drift_rows
from propensity.quality.staged import read_staged
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Measure and commit; then, where a suite is set, refuse a day that lies too far off."""
    config, region, day = lake.config, arguments.region, arguments.score_date.isoformat()
    staged = read_staged(config, arguments.run_id, region, day)
    folder = bundle_folder(config, region, arguments.version)
    changed, compared = measure_run(lake, staged, folder, arguments.digest)
    if not compared:
        print("the bundle has no reference: nothing is compared with a training window; train again for one", flush=True)
    rows, examples = drift_rows(lake, region, day, staged.run_id)
    verdict = check(config, Subject("drift", region, day), rows, examples).demand() if config.quality.drift else None
    return {
        "skipped": not changed and (verdict is None or verdict.cached),
        "compared": compared,
        "checks": len(verdict.checks) if verdict else 0,
        "unknown_share": rows[0]["unknown_share"],
        "score_psi": rows[0]["score_psi"],
        "docs": str(verdict.docs) if verdict else None,
    }


def main() -> int:
    """Run the job."""
    arguments = parser(__doc__)
    arguments.add_argument("--run-id", required=True, help="the run of scores to measure, as jobs/score.py printed it")
    arguments.add_argument("--version", required=True, help="the champion's version")
    arguments.add_argument("--digest", required=True, help="the champion's digest, as jobs/score.py was given it")
    return run_job(arguments, body)


if __name__ == "__main__":
    sys.exit(main())
