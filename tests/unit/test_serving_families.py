"""Another family of models, or another transformer, changes nothing in the online service."""

import shutil
from typing import Any

import numpy as np
import pytest
from tests.support.families import family
from tests.support.online import NEWEST, copied_lake, crown, online, pipeline_of, record_of
from tests.support.trained import REGION, shared

from propensity.contracts import FEATURES
from propensity.pipeline.bundle import Golden, load_bundle, save_bundle
from propensity.pipeline.numeric import Clip
from propensity.storage import Lake

VERSIONS = [("field_embedding", True), ("field_embedding", False), ("xgboost", True), ("xgboost", False)]


def some_user(lake: Lake) -> Any:
    file = next(iter(lake.files(FEATURES, region=REGION, score_date=NEWEST.isoformat())))
    return lake.read(FEATURES.name, file)["user_id"][0].as_py()


def served(lake: Lake, version: str, digest: str) -> Any:
    crown(lake, version, digest)
    return online(lake)


@pytest.mark.parametrize(("kind", "single"), VERSIONS)
def test_every_family_is_asked_the_same_way(tmp_path, kind, single):
    made = family(kind, single)
    lake = copied_lake(tmp_path)
    shutil.copytree(made.folder, lake.config.home / "models" / REGION / made.version, dirs_exist_ok=True)
    service = served(lake, made.version, made.digest)
    pipeline = pipeline_of(lake, made.version)
    record = record_of(pipeline)
    told = service.post("score", {"features": record, "top_k": 3}).json()
    ids, probabilities = pipeline.top_k((record,), min(3, len(pipeline.categories)))
    assert [c["id"] for c in told["categories"]] == ids[0].tolist()
    assert [np.float32(c["probability"]) for c in told["categories"]] == probabilities[0].tolist()
    by_id = service.post("score", {"user_id": some_user(lake)}).json()
    assert (by_id["version"], by_id["source"]) == (made.version, "model")
    category = told["categories"][0]
    why = service.post("explain", {"features": record, "category": category["name"], "n": 2}).json()
    assert why["probability"] == category["probability"]
    assert why["base"] + sum(c["contribution"] for c in why["contributions"]) + why["rest"] == pytest.approx(
        why["logit"], abs=1e-6
    )


def test_another_transformer_is_part_of_the_bundle(tmp_path):
    lake, made = copied_lake(tmp_path), shared()[1]
    bundle, before = load_bundle(made.folder), pipeline_of(lake, made.version)
    golden = Golden(bundle.golden.batch, bundle.golden.expected)
    folder = lake.config.home / "models" / REGION / "clipped"
    digest = save_bundle(
        folder, {**bundle.manifest, "version": "clipped"}, [*before.steps, Clip(0.0, 0.5)], before.predictor, golden
    )
    service = served(lake, "clipped", digest)
    record = record_of(before)
    told = service.post("score", {"features": record, "top_k": 3}).json()
    after = pipeline_of(lake, "clipped")
    assert (after.prepare_one(record).values <= 0.5).all()
    assert [np.float32(c["probability"]) for c in told["categories"]] == after.top_k((record,), 3)[1][0].tolist()
    assert after.predict(record).tolist() != before.predict(record).tolist()
