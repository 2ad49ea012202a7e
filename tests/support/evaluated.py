"""The evaluation of the small shared model: what model cards are rendered from."""

import copy
from functools import cache
from typing import Any

from propensity.evaluation.held_out import evaluate, held_out
from propensity.models.data import TrainingTables
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import load_bundle
from tests.support.trained import REGION, SCORE_DATE, shared


@cache
def _evaluated() -> tuple[dict[str, Any], dict[str, Any]]:
    lake, made = shared()
    bundle = load_bundle(made.folder)
    tables = TrainingTables(lake, REGION)
    evaluation = evaluate(tables, held_out(tables, SCORE_DATE), bundle, load_pipeline(made.folder).predictor)
    return dict(bundle.manifest), evaluation


def evaluated() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and evaluation of the shared version; a test may change them."""
    return copy.deepcopy(_evaluated())
