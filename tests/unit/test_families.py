"""What the families of models have in common: the settings that shape a version, the customers they see, the jobs they pass."""

from argparse import Namespace
from typing import Any

import numpy as np
import pytest
from jobs import evaluate, train
from tests.support.families import family, tables_of
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import Config, FieldEmbedding, XGBoost
from propensity.config.models import Models
from propensity.features import tokens
from propensity.features.windows import training_cutoffs
from propensity.models.data import Rows, TrainingTables
from propensity.models.feature_map import IdMap
from propensity.models.loading import load_pipeline
from propensity.models.metrics import judge, recall_at_precision, threshold_at
from propensity.models.ragged import owners
from propensity.models.raw_features import raw_names
from propensity.models.versions import settings_digest
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake

KINDS = ("propensity_network", "field_embedding", "xgboost")


def changed(config: Config, **models: Any) -> Config:
    return config.model_copy(update={"models": config.models.model_copy(update=models)})


def test_only_the_chosen_familys_settings_shape_a_version() -> None:
    config = shared()[0].config
    before = settings_digest(config)
    assert settings_digest(changed(config, xgboost=XGBoost(depth=9), field_embedding=FieldEmbedding(dimension=3))) == before
    digests = {before, settings_digest(changed(config, propensity_network=config.models.propensity_network.model_copy(
        update={"hidden": 99})))}  # fmt: skip
    for kind in KINDS[1:]:
        chosen = changed(config, kind=kind)
        digests |= {settings_digest(chosen), settings_digest(changed(chosen, xgboost=XGBoost(depth=9)))}
    assert len(digests) == 2 + 1 + 2  # another depth makes another XGBoost and no other field-embedding network


def test_every_kind_has_a_section_and_the_others_play_no_part() -> None:
    for kind in KINDS:
        models = Models(kind=kind)  # type: ignore[arg-type]
        assert models.others() == set(KINDS) - {kind}
        assert getattr(models, kind) is not None


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_jobs_know_no_difference(kind: str) -> None:
    made, tables = family(kind, single=True), tables_of(kind, single=True)
    lake = Lake(tables.config)
    given = Namespace(region=REGION, score_date=SCORE_DATE, force=False, verdict=None, device="auto")
    verdict = train.body(lake, given)
    assert (verdict["skipped"], verdict["version"], verdict["digest"]) == (True, made.version, made.digest)
    told = evaluate.body(lake, Namespace(**{**vars(given), "version": made.version}))
    assert told["digest"] == made.digest
    assert 0 < told["table"]["model"]["macro_auc"] <= 1
    card = (made.folder / "model_card.html").read_text()
    assert f"{kind}: categories 1, " in card


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("single", [True, False])
def test_what_is_kept_is_the_best_of_the_course(kind: str, single: bool) -> None:
    made, tables = family(kind, single), tables_of(kind, single)
    cutoff = training_cutoffs(tables.config, SCORE_DATE)[1]
    predictor = load_pipeline(made.folder).predictor
    categories = IdMap(predictor.categories)
    parts = list(tables.rows(cutoff))
    scores = np.concatenate([predictor.raw(part.features).logits for part in parts])
    targets = np.concatenate([_targets(part, categories) for part in parts])
    best = judge(targets, scores, tables.config.models.promotion.min_positives).macro_auc
    course = [epoch["macro_auc"] for epoch in load_bundle(made.folder).manifest["training"]["choosing"]]
    assert best == pytest.approx(max(course), abs=1e-3)
    assert made.epochs == 1 + int(np.argmax(course))


def _targets(rows: Rows, categories: IdMap) -> np.ndarray:
    at = categories.positions(rows.label_tokens)
    dense = np.zeros((len(rows), len(categories)), np.float32)
    dense[owners(rows.label_offsets)[at >= 0], at[at >= 0]] = 1
    return dense


def test_everybody_counts_where_categories_have_no_recency() -> None:
    lake = shared()[0]
    features = lake.config.features
    own = [f.model_copy(update={"recency": False}) if f.field == "topic" else f for f in features.fields]
    others = [f.model_copy(update={"recency": True}) if f.field == "brand" else f for f in own]
    cutoff = training_cutoffs(lake.config, SCORE_DATE)[0]
    for fields in (own, others):
        tables = TrainingTables(lake, REGION)
        changes = {"fields": tuple(fields), "active_days": 1}
        asked = lake.config.model_copy(update={"features": features.model_copy(update=changes)})
        tables = TrainingTables(Lake(asked), REGION)
        everybody = sum(len(tables._join(*files)) for files in zip(*(_files(tables, cutoff)), strict=True))
        assert sum(len(rows) for rows in tables.rows(cutoff)) == everybody > 0


def _files(tables: TrainingTables, cutoff: Any) -> tuple[Any, Any]:
    return tables._features[cutoff.isoformat()], tables._labels[cutoff.isoformat()]


def test_raw_names_are_those_of_the_features() -> None:
    lake, made = shared()
    config, vocabulary = lake.config, tokens.load(lake)
    ids = load_bundle(made.folder).tensors["feature_ids"]
    names, of = raw_names(config, vocabulary, ids)
    channels = config.features.channel_names()
    events = vocabulary.table.to_pylist()
    for feature, at in zip(ids.tolist(), of.tolist(), strict=True):
        token, slot = divmod(feature, 32)
        assert names[at] == f"{events[token]['event_type']}.{events[token]['field']}.{channels[slot]}"
    assert set(of.tolist()) == set(range(len(names)))


def test_the_threshold_reaches_the_recall_at_that_precision() -> None:
    draw = np.random.default_rng(0)
    targets = (draw.random(400) < 0.2).astype(np.float32)
    scores = (targets + draw.normal(size=400)).astype(np.float32)
    for level in (0.1, 0.3, 0.5):
        picked = scores >= threshold_at(targets, scores, level)
        assert targets[picked].mean() >= level
        assert targets[picked].sum() / targets.sum() == pytest.approx(recall_at_precision(targets, scores, level))
    assert threshold_at(targets, scores, 1.1) == np.inf
    assert threshold_at(np.zeros(3, np.float32), scores[:3], 0.5) == np.inf
