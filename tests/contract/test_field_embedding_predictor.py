"""The field-embedding network keeps the contract of predictors, for one category and for many, and scores what torch computed."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.features.csr import SparseBatch
from propensity.features.windows import training_cutoffs
from propensity.models.calibrated import bare, uncalibrated
from propensity.models.feature_map import FeatureMap
from propensity.models.field_embedding import FIELDS, FieldEmbeddingPredictor, from_bundle
from propensity.models.field_embedding_network import trained
from propensity.models.recipe import train
from propensity.pipeline.bundle import load_bundle
from tests.contract.predictors import PredictorContract
from tests.support.families import family, tables_of
from tests.support.sparse import rows, to_batch
from tests.support.trained import SCORE_DATE


class TestManyCategories(PredictorContract):
    tolerance = 0.0
    single = False

    @pytest.fixture
    def folder(self) -> Path:
        return family("field_embedding", self.single).folder

    def test_it_scores_what_torch_computes(self, predictor: FieldEmbeddingPredictor, batch: SparseBatch) -> None:
        tables = tables_of("field_embedding", self.single)
        every = [part.features for part in tables.rows(training_cutoffs(tables.config, SCORE_DATE)[0])]
        bare = uncalibrated(predictor)
        for some in (batch, *every):
            wanted, got = trained(bare).raw(some), bare.raw(some)
            np.testing.assert_allclose(bare.predict_batch(some), trained(bare).predict_batch(some), rtol=0, atol=1e-6)
            np.testing.assert_allclose(got.logits, wanted.logits, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(got.known, wanted.known)

    def test_it_learned_something_and_kept_the_best_epoch(self, folder: Path) -> None:
        told = load_bundle(folder).manifest["training"]
        course = [epoch["macro_auc"] for epoch in told["choosing"]]
        assert told["epochs"] == 1 + int(np.argmax(course))
        assert max(course) > 0.6


class TestOneCategory(TestManyCategories):
    single = True

    def test_there_is_one(self, predictor: FieldEmbeddingPredictor) -> None:
        assert len(predictor.categories) == 1


def test_equal_inputs_give_equal_bytes() -> None:
    first = family("field_embedding", single=True)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    again = train(tables_of("field_embedding", single=True), SCORE_DATE, "cpu", lambda _: None)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before


def test_fields_are_the_named_raw_features() -> None:
    predictor = from_bundle(bare(load_bundle(family("field_embedding", single=False).folder)))
    assert "order.topic.recency" in predictor.fields
    assert predictor.fields == tuple(sorted(predictor.fields))
    slots = {name: set((predictor.features.ids[predictor.weights[FIELDS] == at] % 32).tolist())
             for at, name in enumerate(predictor.fields)}  # fmt: skip
    assert all(len(used) == 1 for used in slots.values()), "a field holds one channel"


def by_hand(row: dict[int, float], model: FieldEmbeddingPredictor) -> float:
    """Return the one logit of a row as the article has it: average by field, side by side, feed forward."""
    weights, place = model.weights, {int(i): at for at, i in enumerate(model.features.ids)}
    averages = []
    for field in range(len(model.fields)):
        mine = [(place[i], v) for i, v in row.items() if i in place and weights[FIELDS][place[i]] == field]
        parts = [v * weights["embedding.weight"][at].astype(float) for at, v in mine]
        averages.append(sum(parts) / len(parts) if parts else np.zeros(weights["embedding.weight"].shape[1]))
    hidden = np.maximum(weights["layers.0.weight"] @ np.concatenate(averages) + weights["layers.0.bias"], 0)
    return float(weights["layers.1.weight"][0] @ hidden + weights["layers.1.bias"][0])


def by_numbers() -> FieldEmbeddingPredictor:
    """Return a network of six features in two fields with weights drawn at random."""
    draw = np.random.default_rng(5).normal
    shapes = {"embedding.weight": (6, 3), "layers.0.weight": (4, 6), "layers.0.bias": (4,), "layers.1.weight": (1, 4)}
    weights = {name: draw(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights |= {"layers.1.bias": np.float32([0.3]), "prior": np.float32([-2.0]), FIELDS: np.array([0, 1, 0, 1, 0, 1], np.int32)}
    return FieldEmbeddingPredictor(FeatureMap(np.arange(0, 12, 2, dtype=np.int32)), np.array([7], np.int32), ("a", "b"), weights)


@given(rows(12, least=1))
def test_the_arithmetic_is_the_articles(some: list[dict[int, float]]) -> None:
    model = by_numbers()
    raw = model.raw(to_batch(some))
    for row, logit, known in zip(some, raw.logits[:, 0], raw.known, strict=True):
        assert known == any(i in range(0, 12, 2) for i in row)
        wanted = by_hand(row, model) if known else -2.0
        assert math.isclose(logit, wanted, rel_tol=1e-4, abs_tol=1e-4)


@given(st.sampled_from(["embedding.weight", "layers.0.weight", "layers.1.bias", "prior", FIELDS]))
def test_weights_of_another_shape_are_refused(name: str) -> None:
    model = by_numbers()
    broken = {**model.weights, name: model.weights[name][:-1]}
    with pytest.raises(ValueError, match="another shape"):
        FieldEmbeddingPredictor(model.features, model.categories, model.fields, broken)


def test_a_field_that_is_none_and_a_missing_part_are_refused() -> None:
    model = by_numbers()
    with pytest.raises(ValueError, match="field is none"):
        FieldEmbeddingPredictor(model.features, model.categories, ("a", "b"), {**model.weights, FIELDS: np.full(6, 2, np.int32)})
    bundle = load_bundle(family("field_embedding", single=True).folder)
    without = {k: v for k, v in bundle.tensors.items() if k != "layers.0.bias"}
    with pytest.raises(BundleError, match="fit together"):
        from_bundle(type(bundle)(**{**vars(bundle), "tensors": without}))
