"""Judge a version against the baselines on the held-out window; write the figures and the model card beside it."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.errors import BundleError
from propensity.evaluation.records import read_evaluation
from propensity.features.windows import training_cutoffs
from propensity.models.versions import bundle_folder
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Evaluate unless this very bundle has been."""
    folder = bundle_folder(lake.config, arguments.region, arguments.version)
    if not folder.is_dir():
        raise BundleError("no such version", where=str(folder), do="train it first, or name a version that was")
    kept = read_evaluation(folder, lake.config.models.promotion, training_cutoffs(lake.config, arguments.score_date)[0])
    if kept is not None and not arguments.force:
        return _verdict(True, kept)
    # Imported here: a run with nothing to do need not load torch.
    from propensity.evaluation.judging import evaluate_version

    return _verdict(False, evaluate_version(lake, arguments.region, arguments.score_date, arguments.version))


def _verdict(skipped: bool, evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = ("version", "digest", "cutoff", "customers", "table")
    return {"skipped": skipped, **{key: evaluation[key] for key in kept}}


def main() -> int:
    """Run the job."""
    result = parser(__doc__)
    result.add_argument("--version", required=True, help="a version that train.py made")
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
