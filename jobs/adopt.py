"""Take over a model that was trained elsewhere: an ONNX graph with the lists of its columns and outputs becomes a bundle."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from door import parser, run_job
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Check the graph and save the bundle; evaluate.py, promote.py and score.py take its version as any other."""
    # Imported here: `--help` need not load onnx.
    from propensity.models.adoption import Foreign, adopt
    from propensity.models.onnx_model import Convention

    convention = Convention(arguments.input, arguments.output, arguments.missing)
    foreign = Foreign(arguments.onnx, arguments.features, arguments.categories, convention, arguments.rows)
    return asdict(adopt(lake, arguments.region, arguments.score_date, foreign, arguments.force))


def main() -> int:
    """Run the job."""
    result = parser(__doc__)
    result.add_argument("--onnx", required=True, type=Path, help="the graph")
    listed = "JSON or CSV list, in the graph's order: "
    result.add_argument("--features", required=True, type=Path, help=listed + "feature ids or event.field.channel=word")
    result.add_argument("--categories", required=True, type=Path, help=listed + "category ids or words of the label's field")
    result.add_argument("--input", required=True, choices=("dense", "sparse"), help="how the graph takes rows")
    result.add_argument("--output", required=True, choices=("logits", "probabilities"), help="what the graph answers")
    result.add_argument("--missing", default="zero", choices=("zero", "nan"), help="what a dense row holds where it has nothing")
    result.add_argument("--rows", type=Path, help="Parquet file with indices and values: rows to make golden ones of")
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
