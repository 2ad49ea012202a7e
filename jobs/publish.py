"""Publish a run's scores: ask the gate, commit the staged files to the lake, load them into the database, swap them in."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from door import parser, run_job
from propensity.delivery.database import database_url, shown
from propensity.delivery.load import SMALL, Load
from propensity.delivery.publish import Copy, publish
from propensity.engine.buckets import map_cheaply
from propensity.quality.gate import Subject, check
from propensity.quality.rows import drift_rows, score_rows
from propensity.quality.staged import read_staged
from propensity.storage import DataFile, Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Publish what this run staged, or find it published."""
    config, region = lake.config, arguments.region
    staged = read_staged(config, arguments.run_id, region, arguments.score_date.isoformat())
    rows, examples = score_rows(lake, staged.files, region, staged.score_date, staged.run_id)
    check(config, Subject("scores", region, staged.score_date, "scoring"), rows, examples).demand()  # whatever the caller's order
    drifted, examples = drift_rows(lake, region, staged.score_date, staged.run_id)
    if drifted and config.quality.drift:
        check(config, Subject("drift", region, staged.score_date), drifted, examples).demand()
    url = database_url(config)

    def run_tasks(copy: Copy, files: Sequence[DataFile], shared: tuple[Lake, Load]) -> list[int]:
        size = sum(file.size for file in files)
        return map_cheaply(config, copy, files, shared, f"{region}: files copied", size, SMALL)

    done = publish(lake, staged, url, run_tasks, arguments.force)
    return {
        "skipped": done.skipped,
        "rows": done.rows,
        "run_id": done.run_id,
        "version": done.model_version,
        "database": shown(url),
    }


def main() -> int:
    """Run the job."""
    arguments = parser(__doc__)
    arguments.add_argument("--run-id", required=True, help="the run of scores to publish, as jobs/score.py printed it")
    return run_job(arguments, body)


if __name__ == "__main__":
    sys.exit(main())
