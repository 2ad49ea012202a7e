"""Name a region's champion: a scoring run asks once, at its start, and passes the answer on."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import add_common, run_job
from propensity.errors import NotPromotedError
from propensity.models.registry import champion
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Look the champion up; raise NotPromotedError when the region has none."""
    found = champion(lake, arguments.region)
    if found is None:
        raise NotPromotedError(
            "no model has been promoted", where=f"region {arguments.region}", do="run the training pipeline for this region first"
        )
    return {"skipped": False, "version": found.version, "digest": found.digest, "score_date": found.score_date.isoformat()}


def main() -> int:
    """Run the job."""
    result = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    result.add_argument("--region", required=True, help="a region of the configuration")
    add_common(result)
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
