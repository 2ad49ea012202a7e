"""Build features: sparse rows of every customer for the dates that training or scoring needs."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.contracts import FEATURES
from propensity.engine.features import make_features
from propensity.features.windows import needed_dates
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Build what is missing and say what is there."""
    dates = needed_dates(lake.config, arguments.score_date, arguments.purpose)
    built = make_features(lake, arguments.region, dates, arguments.force)
    newest = lake.files(FEATURES, region=arguments.region, score_date=dates[0].isoformat())
    return {"skipped": built is None, "dates": len(dates), "users": sum(f.rows for f in newest)}


def main() -> int:
    """Run the job."""
    return run_job(parser(__doc__, purpose=True), body)


if __name__ == "__main__":
    sys.exit(main())
