"""Contributions add up to the logit, whatever the model; a word that changes nothing contributes nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import to_batch

from propensity.pipeline import explain as module
from propensity.pipeline.explain import FeatureNames, explain
from propensity.pipeline.predictor import Raw, SparsePredictor, source_of
from propensity.pipeline.vectoriser import Block, Name, Vectoriser

WIDTH = 64


class Wavy(SparsePredictor):
    """A model whose features depend on each other, in float32."""

    kind = "wavy"

    def __init__(self, seed: int, categories: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.inner = rng.normal(size=(WIDTH, 5)).astype(np.float32)
        self.outer = rng.normal(size=(5, categories)).astype(np.float32)
        self.rows = 0

    @property
    def categories(self):
        return np.arange(self.outer.shape[1], dtype=np.int32)

    def raw(self, many):
        self.rows += len(many)
        logits = np.empty((len(many), len(self.categories)), np.float32)
        for b in range(len(many)):
            row = many.rows(b, b + 1)
            total = np.zeros(5, np.float32)
            for i, v in zip(row.indices, row.values, strict=True):
                total += self.inner[i] * v
            logits[b] = np.tanh(total) @ self.outer - np.float32(1)
        return Raw(logits, source_of(np.diff(many.offsets) > 0))

    def describe(self):
        return {}

    def tensors(self):
        return {}


rows = st.dictionaries(st.integers(0, WIDTH - 1), st.floats(-4, 4, width=32), max_size=12)


@given(row=rows, seed=st.integers(0, 5), column=st.integers(0, 1), most=st.integers(1, 6), groups=st.integers(1, 9))
def test_base_and_contributions_are_the_logit_to_the_bit(row, seed, column, most, groups):
    predictor, batch = Wavy(seed), to_batch([row])
    found = explain(predictor, batch, column, batch.indices.astype(np.int64) // groups, most)
    assert found.logit == predictor.raw(batch).logits[0, column]
    assert found.base == predictor.raw(to_batch([{}])).logits[0, column]
    assert found.replayed().tobytes() == found.logit.tobytes()
    words = len({i // groups for i in row})
    assert len(found.parts) == min(words, most + 1)
    assert sum(part.group is None for part in found.parts) == (words > most)


class Linear(Wavy):
    """A model whose contributions are known."""

    def raw(self, many):
        logits = np.array([[many.rows(b, b + 1).values.sum() - 1] for b in range(len(many))], np.float32).reshape(-1, 1)
        return Raw(logits, source_of(np.diff(many.offsets) > 0))


def test_a_linear_model_gives_each_word_the_sum_of_its_features_largest_first():
    batch = to_batch([{0: 1.0, 1: 2.0, 9: -5.0, 20: 0.0, 33: 0.25}])
    found = explain(Linear(0, 1), batch, 0, np.array([0, 0, 1, 2, 3]))
    assert [(p.group, p.contribution) for p in found.parts] == [(1, -5.0), (0, 3.0), (3, 0.25), (2, 0.0)]
    assert (found.logit, found.base) == (np.float32(-2.75), np.float32(-1))


def test_beyond_the_limit_the_smallest_words_go_together_and_cost_nothing_more():
    row = {i: float(i + 1) for i in range(50)}
    predictor = Wavy(1)
    found = explain(predictor, to_batch([row]), 0, np.arange(50), most=10)
    assert sorted(p.group for p in found.parts if p.group is not None) == list(range(40, 50))
    assert found.parts[-1].group is None
    assert predictor.rows == 1 + 10 + 10 + 1
    assert found.replayed() == found.logit


def test_a_very_long_row_has_fewer_words_taken_out_one_by_one(monkeypatch):
    monkeypatch.setattr(module, "ENTRIES", 200)
    found = explain(Wavy(2), to_batch([dict.fromkeys(range(40), 1.0)]), 0, np.arange(40))
    assert len(found.parts) == 200 // 40 + 1


def test_nobody_has_nothing_to_explain():
    found = explain(Wavy(3), to_batch([{}]), 0, np.zeros(0, np.int64))
    assert (found.parts, found.logit) == ((), found.base)
    assert math.isfinite(found.base)


@pytest.fixture
def names():
    blocks = {"topic": Block(("a", "b"), np.array([64, 32], np.int32)), "brand": Block(("x",), np.array([7], np.int32))}
    places = {"topic.count": Name("topic", 0), "topic.days": Name("topic", 3), "brand": Name("brand"), "": Name("none")}
    return FeatureNames(Vectoriser(places, {**blocks, "none": Block((), np.zeros(0, np.int32))}))


def test_features_of_one_word_are_one_group_with_its_name(names):
    ids = np.array([7, 32, 35, 64, 67, 68, 96, 97], np.int32)
    groups = names.groups(ids)
    assert groups[1] == groups[2] != groups[3] == groups[4]
    assert [names.word(g) for g in groups[:5].tolist()] == [("brand", "x"), *[("topic", "b")] * 2, *[("topic", "a")] * 2]
    assert groups[6] == groups[7] < 0, "unknown features belong together by their token"
    assert names.word(int(groups[6])) == ("?", "")
    assert names.names(ids) == ["brand", "topic.count", "topic.days", "topic.count", "topic.days", "?", "?", "?"]


def test_a_vectoriser_without_features_knows_none():
    empty = FeatureNames(Vectoriser({}, {}))
    assert empty.names(np.array([3], np.int32)) == ["?"]
    assert (empty.groups(np.array([3], np.int32)) < 0).all()
