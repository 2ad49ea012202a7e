"""Land events: stage every day that a run needs and that has not landed yet, all regions at once, one shuffle."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.events.landing import days_needed, plan_landing
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Plan, land, and name the landing whose manifest the events gate reads."""
    days = days_needed(lake.config, arguments.score_date, arguments.purpose)
    landing = plan_landing(lake, days, arguments.force)
    if landing is None:
        return {"skipped": True, "landing": None, "days": 0, "rows": 0}
    from propensity.engine.landing import land  # Spark is imported only when there is work

    print(f"landing {len(landing.days)} days from {len(landing.files)} files", flush=True)
    return {"skipped": False, "landing": landing.id, "days": len(landing.days), "rows": land(lake, landing)}


def main() -> int:
    """Run the job."""
    return run_job(parser(__doc__, region=False, purpose=True), body)


if __name__ == "__main__":
    sys.exit(main())
