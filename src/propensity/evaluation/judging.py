"""Evaluate a version; promote it or not: what the jobs call."""

import datetime as dt
from typing import Any

from propensity.errors import DataError
from propensity.evaluation.card import CARD, render_card
from propensity.evaluation.promotion import Decision, decide
from propensity.evaluation.records import Figures, read_evaluation, write_evaluation, write_text
from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.registry import Champion, champion, crown
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake


def evaluate_version(lake: Lake, region: str, score_date: dt.date, version: str) -> dict[str, Any]:
    """Judge a version on the held-out window of `score_date`; write evaluation.json and the model card beside the bundle."""
    # Imported here: promotion without a champion to compare needs neither numba nor scikit-learn.
    from propensity.evaluation.held_out import evaluate, held_out
    from propensity.models.loading import load_pipeline

    folder = bundle_folder(lake.config, region, version)
    bundle = load_bundle(folder)
    model = load_pipeline(folder, bundle.digest).predictor
    tables = TrainingTables(lake, region)
    evaluation = evaluate(tables, held_out(tables, score_date), bundle, model)
    write_text(folder / CARD, render_card(bundle.manifest, evaluation, lake.config.regions.regions[region].title or region))
    write_evaluation(folder, evaluation)
    return evaluation


def promote(lake: Lake, region: str, score_date: dt.date, version: str) -> tuple[Decision, str]:
    """Decide on a version and crown it when it earned it; return the decision and the bundle's digest.

    Raise BundleError when the bundle is damaged, DataError when it was not evaluated, ConflictError when another
    promotion of the region came first.
    """
    config = lake.config
    bundle = load_bundle(bundle_folder(config, region, version))
    evaluation = read_evaluation(bundle.path, config.models.promotion, training_cutoffs(config, score_date)[0])
    if evaluation is None:
        raise DataError(
            "this version was not evaluated on this day's window", where=str(bundle.path), do="run jobs/evaluate.py first"
        )
    current = champion(lake, region)
    decision = decide(
        config.models.promotion, evaluation, score_date, current, lambda: _judge_champion(lake, region, score_date, current)
    )
    if decision.crown:
        crown(lake, region, current, version, bundle.digest, score_date, decision.reason)
    return decision, bundle.digest


def _judge_champion(lake: Lake, region: str, score_date: dt.date, current: Champion | None) -> Figures:
    """Return the champion's figures on the window of `score_date`."""
    from propensity.evaluation.held_out import held_out, judge_model
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    if current is None:
        raise DataError("the region has no champion", where=f"region {region}")
    folder = bundle_folder(lake.config, region, current.version)
    pipeline = load_pipeline(folder, current.digest)
    check_channels(lake.config, pipeline.vectoriser, str(folder))
    return judge_model(held_out(TrainingTables(lake, region), score_date), pipeline.predictor, lake.config.models.promotion)
