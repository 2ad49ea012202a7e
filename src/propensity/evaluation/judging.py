"""Evaluate a version; promote it or not: what the jobs call."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np

from propensity.errors import DataError
from propensity.evaluation.card import CARD, render_card
from propensity.evaluation.changes import changes_against
from propensity.evaluation.manifest_checks import check_manifest
from propensity.evaluation.promotion import Challenge, Decision, decide
from propensity.evaluation.records import read_evaluation, write_evaluation, write_text
from propensity.evaluation.trial import Duel
from propensity.evaluation.verdict import read_verdict, write_verdict
from propensity.features import tokens
from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.registry import Champion, crown, history
from propensity.models.versions import bundle_folder, data_digest
from propensity.pipeline.bundle import Bundle, load_bundle
from propensity.storage import Lake


def evaluate_version(lake: Lake, region: str, score_date: dt.date, version: str) -> dict[str, Any]:
    """Judge a version on the held-out window of `score_date`; write evaluation.json and the model card beside the bundle."""
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
    """Decide on a version, write its verdict and crown it when it earned it; return the decision and the bundle's digest.

    Raise BundleError when the bundle is damaged, DataError when it was not evaluated, ConflictError when another
    promotion of the region came first.
    """
    config = lake.config
    bundle = load_bundle(bundle_folder(config, region, version))
    cutoffs = training_cutoffs(config, score_date)
    evaluation = read_evaluation(bundle.path, config.models.promotion, cutoffs[0])
    if evaluation is None:
        raise DataError(
            "this version was not evaluated on this day's window", where=str(bundle.path), do="run jobs/evaluate.py first"
        )
    past = history(lake, region)
    tables = TrainingTables(lake, region)
    facts = check_manifest(config, region, score_date, bundle.manifest, data_digest(tables.digests(cutoffs)))
    challenge = Challenge(evaluation, score_date, past, facts)
    fought: list[Duel] = []

    def fight(current: Champion | None) -> Duel:
        fought.append(duel(tables, score_date, bundle, current))
        return fought[-1]

    decision = decide(config.models.promotion, challenge, fight)
    if decision.verdict:
        write_verdict(bundle.path, decision.verdict)
        title = config.regions.regions[region].title or region
        changes = _changes(tables, challenge.champion, fought)
        write_text(bundle.path / CARD, render_card(bundle.manifest, evaluation, title, read_verdict(bundle.path), changes))
    if decision.crown:
        crown(lake, region, challenge.champion, version, bundle.digest, score_date, decision.reason)
    return decision, bundle.digest


def _changes(tables: TrainingTables, current: Champion | None, fought: Sequence[Duel]) -> dict[str, Any] | None:
    """Return what the model card tells of the champion; None where it was not scored or the challenger's are no numbers."""
    last = fought[-1] if fought else None
    if current is None or last is None or last.theirs is None or not np.isfinite(last.ours).all():
        return None
    old = load_bundle(bundle_folder(tables.config, tables.region, current.version), current.digest).manifest
    return changes_against(last.targets, last.ours, last.theirs, last.names, old, tables.config.models.promotion)


def duel(tables: TrainingTables, score_date: dt.date, bundle: Bundle, current: Champion | None) -> Duel:
    """Score the held-out window of `score_date` by a challenger's bundle and by the champion, if there is one.

    Raise BundleError when a bundle is damaged, or the champion's scores are no numbers.
    """
    from propensity.evaluation.held_out import demand_numbers, held_out
    from propensity.evaluation.slices import acted_before
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    window = held_out(tables, score_date)
    ours, _ = window.scores(load_pipeline(bundle.path, bundle.digest).predictor)
    theirs = None
    if current:
        folder = bundle_folder(tables.config, tables.region, current.version)
        pipeline = load_pipeline(folder, current.digest)
        check_channels(tables.config, pipeline.vectoriser, str(folder))
        theirs, _ = window.scores(pipeline.predictor)
        demand_numbers(theirs, str(folder))
    words = tokens.names(tokens.load(tables.lake), *tables.config.label_key)
    names = [words[int(token)] for token in window.categories.ids]
    return Duel(window.targets, ours, theirs, acted_before(window.features, window.categories), names)
