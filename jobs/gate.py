"""Judge what was counted of a stage by its suite, write the data docs, and commit the landing when the events gate opens."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.config import Config
from propensity.engine.landing import commit
from propensity.errors import ConfigError, DataError
from propensity.events.landing import manifest_path
from propensity.features.windows import needed_dates, training_cutoffs
from propensity.quality.gate import STAGES, Subject, check
from propensity.quality.rows import Examples, Row, drift_rows, event_rows, feature_rows, label_rows, score_rows
from propensity.quality.staged import read_staged
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Collect, judge, act on the verdict."""
    if arguments.stage == "events" and not arguments.landing:
        return {"skipped": True, "passed": True, "checks": 0, "docs": None}  # nothing has landed, so nothing waits
    subject = Subject(arguments.stage, arguments.region, arguments.score_date.isoformat(), arguments.purpose)
    rows, examples = collect(lake, subject, arguments)
    verdict = check(lake.config, subject, rows, examples).demand()
    changed = arguments.stage == "events" and commit(lake, arguments.landing, arguments.region)
    return {
        "skipped": verdict.cached and not changed,
        "passed": True,
        "checks": len(verdict.checks),
        "docs": str(verdict.docs),
    }


def collect(lake: Lake, subject: Subject, arguments: argparse.Namespace) -> tuple[list[Row], Examples]:
    """Return what was counted for this gate."""
    day, region = arguments.score_date, subject.region
    if subject.stage == "events":
        return event_rows(read_landing(lake.config, arguments.landing, region))
    if subject.stage == "features":
        return feature_rows(lake, region, [d.isoformat() for d in needed_dates(lake.config, day, subject.purpose)])
    if subject.stage == "labels":
        return label_rows(lake, region, [d.isoformat() for d in training_cutoffs(lake.config, day)])
    if not arguments.run_id:
        raise ConfigError(f"the {subject.stage} gate needs --run-id", do="pass on the run_id that jobs/score.py printed")
    if subject.stage == "drift":
        rows, examples = drift_rows(lake, region, day.isoformat(), arguments.run_id)
        if not rows:
            raise DataError("the drift of this run was not measured", where=arguments.run_id, do="run jobs/drift.py first")
        return rows, examples
    staged = read_staged(lake.config, arguments.run_id, region, day.isoformat())
    return score_rows(lake, staged.files, region, staged.score_date, staged.run_id)


def read_landing(config: Config, landing: str, region: str) -> Mapping[str, Any]:
    """Return a landing's manifest; raise DataError when there is none."""
    path = manifest_path(config, landing, region)
    if not landing.isalnum() or not path.is_file():
        raise DataError("no such landing", where=str(path), do="run jobs/land.py first and pass on its landing")
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> int:
    """Run the job."""
    arguments = parser(__doc__, purpose=True)
    arguments.add_argument("--stage", required=True, choices=STAGES, help="what is judged")
    arguments.add_argument("--landing", help="the landing to judge and to commit (events)")
    arguments.add_argument("--run-id", help="the run of scores to judge (scores, drift)")
    return run_job(arguments, body)


if __name__ == "__main__":
    sys.exit(main())
