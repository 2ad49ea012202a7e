"""Build labels: what each customer went on to buy in the days after each training cutoff."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.contracts import LABELS
from propensity.engine.features import make_labels
from propensity.features.windows import training_cutoffs
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Build what is missing and say what is there."""
    dates = training_cutoffs(lake.config, arguments.score_date)
    built = make_labels(lake, arguments.region, dates, arguments.force)
    rows = sum(f.rows for d in dates for f in lake.files(LABELS, region=arguments.region, score_date=d.isoformat()))
    return {"skipped": built is None, "dates": len(dates), "users": rows}


def main() -> int:
    """Run the job."""
    return run_job(parser(__doc__), body)


if __name__ == "__main__":
    sys.exit(main())
