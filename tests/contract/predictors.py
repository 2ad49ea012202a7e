"""What every predictor must do, whatever is inside: subclass it with a `pipeline` and a `folder` fixture."""

from pathlib import Path

import numpy as np
import pytest

from propensity.features.csr import SparseBatch, concat
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import load_bundle, replay_golden
from propensity.pipeline.predictor import Pipeline

UNKNOWN_ID = 2**31 - 2
TOLERANCE = 1e-5


def empty(rows: int) -> SparseBatch:
    return SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(rows + 1, np.int64))


class PredictorContract:
    """One suite for all families of models."""

    @pytest.fixture
    def folder(self) -> Path:
        """Where a bundle of the predictor lies."""
        raise NotImplementedError

    @pytest.fixture
    def pipeline(self, folder: Path) -> Pipeline:
        return load_pipeline(folder)

    @pytest.fixture
    def batch(self, folder: Path) -> SparseBatch:
        return load_bundle(folder).golden.batch

    def test_categories_ascend(self, pipeline: Pipeline) -> None:
        assert (np.diff(pipeline.categories) > 0).all()

    def test_loading_twice_gives_equal_scores(self, pipeline: Pipeline, folder: Path, batch: SparseBatch) -> None:
        np.testing.assert_array_equal(load_pipeline(folder).predict_batch(batch), pipeline.predict_batch(batch))

    def test_probabilities_are_between_0_and_1_and_differ(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        scores = pipeline.predict_batch(batch)
        assert scores.shape == (len(batch), len(pipeline.categories))
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        assert len(np.unique(scores)) > len(pipeline.categories)

    def test_one_row_is_the_batch(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        whole = pipeline.predict_batch(batch)
        single = np.concatenate([pipeline.predict_batch(batch.rows(i, i + 1)) for i in range(len(batch))])
        np.testing.assert_allclose(single, whole, atol=TOLERANCE)

    def test_the_order_of_the_rows_does_not_matter(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        order = np.random.default_rng(0).permutation(len(batch))
        got = pipeline.predict_batch(batch.take(order))
        np.testing.assert_allclose(got, pipeline.predict_batch(batch)[order], atol=TOLERANCE)

    def test_an_unknown_feature_is_dropped_and_shifts_nothing(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        row = batch.rows(len(batch) - 1, len(batch))
        with_unknown = SparseBatch(
            np.append(row.indices, np.int32(UNKNOWN_ID)), np.append(row.values, np.float32(3)), row.offsets + np.array([0, 1])
        )
        np.testing.assert_array_equal(pipeline.predict_batch(with_unknown), pipeline.predict_batch(row))

    def test_a_row_without_known_features_gets_the_prior(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        unknown = SparseBatch(np.array([UNKNOWN_ID], np.int32), np.array([1], np.float32), np.array([0, 1]))
        raw = pipeline.predict_raw(concat([empty(1), unknown, batch]))
        assert raw.known.tolist() == [False, False, *[True] * len(batch)]
        np.testing.assert_array_equal(raw.logits[0], raw.logits[1])
        assert pipeline.score(empty(2), 3).sources() == ["prior", "prior"]

    def test_no_rows_give_no_scores(self, pipeline: Pipeline) -> None:
        assert pipeline.predict_batch(empty(0)).shape == (0, len(pipeline.categories))
        assert pipeline.top_k(empty(0), 3)[0].shape == (0, 3)

    def test_top_k_is_the_head_of_the_whole_order(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        ids, probabilities = pipeline.top_k(batch, 5)
        all_ids, all_probabilities = pipeline.top_k(batch)
        np.testing.assert_array_equal(ids, all_ids[:, :5])
        np.testing.assert_array_equal(probabilities, all_probabilities[:, :5])
        assert (np.diff(all_probabilities, axis=1) <= 0).all()
        assert ids.dtype == np.int32
        at = np.searchsorted(pipeline.categories, all_ids)
        np.testing.assert_array_equal(np.take_along_axis(pipeline.predict_batch(batch), at, 1), all_probabilities)

    def test_golden_rows_replay(self, pipeline: Pipeline, folder: Path) -> None:
        assert replay_golden(load_bundle(folder), pipeline) <= TOLERANCE

    def test_read_only_buffers_are_no_trouble(self, pipeline: Pipeline, batch: SparseBatch) -> None:
        frozen = SparseBatch(batch.indices.copy(), batch.values.copy(), batch.offsets.copy())
        for array in (frozen.indices, frozen.values, frozen.offsets):
            array.flags.writeable = False
        np.testing.assert_array_equal(pipeline.predict_batch(frozen), pipeline.predict_batch(batch))
