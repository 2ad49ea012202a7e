"""What every model must do, whatever is inside and however many categories it has: subclass it with a `folder` fixture."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.features.csr import SparseBatch, concat, to_arrow
from propensity.models.calibrated import uncalibrated
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import GOLDEN_TOLERANCE, load_bundle, replay_golden, save_bundle
from propensity.pipeline.predictor import SparsePredictor, sigmoid

UNKNOWN_ID = 2**31 - 2
FAR = 2**30
"""From here up no model knows an id."""
INHERITED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


def empty(rows: int) -> SparseBatch:
    return SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(rows + 1, np.int64))


def with_entry(row: SparseBatch, feature: int, value: float) -> SparseBatch:
    """Return a batch of one with one more entry, or another value for one it has."""
    entries = {**dict(zip(row.indices.tolist(), row.values.tolist(), strict=True)), feature: value}
    ids = sorted(entries)
    values = np.array([entries[i] for i in ids], np.float32)
    return SparseBatch(np.array(ids, np.int32), values, np.array([0, len(ids)], np.int64)).check()


def singles(batch: SparseBatch) -> list[SparseBatch]:
    return [batch.rows(i, i + 1) for i in range(len(batch))]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class PredictorContract:
    """One suite for all families of models."""

    tolerance: ClassVar[float] = 1e-6
    """How far the same row's probability may lie from itself in other company: 0 for a model whose sums have one order."""

    @pytest.fixture
    def folder(self) -> Path:
        """Where a bundle of the model lies; its golden rows are what it is tried on: at least three, known to the model."""
        raise NotImplementedError

    @pytest.fixture
    def predictor(self, folder: Path) -> SparsePredictor:
        return load_pipeline(folder).predictor

    @pytest.fixture
    def batch(self, folder: Path) -> SparseBatch:
        batch = load_bundle(folder).golden.batch
        assert len(batch) >= 3, "a contract needs rows to be tried on"
        return batch

    def same(self, got: np.ndarray, wanted: np.ndarray) -> None:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=self.tolerance)

    def test_categories_are_ids_that_ascend(self, predictor: SparsePredictor) -> None:
        assert len(predictor.categories) > 0
        assert predictor.categories.dtype == np.int32
        assert (np.diff(predictor.categories) > 0).all()

    def test_it_says_how_large_it_is(self, predictor: SparsePredictor) -> None:
        shape = predictor.describe()["shape"]
        assert shape["features"] > 0
        assert shape["categories"] == len(predictor.categories)

    def test_loading_twice_gives_equal_scores(self, predictor: SparsePredictor, folder: Path, batch: SparseBatch) -> None:
        again = load_pipeline(folder).predictor
        np.testing.assert_array_equal(again.predict_batch(batch), predictor.predict_batch(batch))

    def test_saving_what_was_loaded_gives_the_same_bytes(self, folder: Path, tmp_path: Path) -> None:
        bundle, pipeline = load_bundle(folder), load_pipeline(folder)
        digest = save_bundle(tmp_path / "again", bundle.manifest, pipeline.steps, pipeline.predictor, bundle.golden)
        assert digest == bundle.digest
        again = contents(tmp_path / "again")  # the folder itself may also hold an evaluation
        assert again == {name: (folder / name).read_bytes() for name in again}

    def test_golden_rows_replay(self, predictor: SparsePredictor, folder: Path) -> None:
        assert replay_golden(load_bundle(folder), predictor) <= GOLDEN_TOLERANCE

    def test_probabilities_are_between_0_and_1_and_differ(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        scores = predictor.predict_batch(batch)
        assert scores.shape == (len(batch), len(predictor.categories))
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        assert len(np.unique(scores, axis=0)) > 1, "every customer has the same scores"
        assert len(np.unique(scores[0])) > 1 or scores.shape[1] == 1, "every category has the same score"

    def test_a_probability_is_the_sigmoid_of_its_logit(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        raw = predictor.raw(batch)
        assert (raw.logits.dtype, raw.source.dtype) == (np.float32, np.uint8)
        np.testing.assert_array_equal(sigmoid(raw.logits), predictor.predict_batch(batch))

    def test_one_row_is_the_batch(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        whole = predictor.predict_batch(batch)
        self.same(np.concatenate([predictor.predict_batch(row) for row in singles(batch)]), whole)
        self.same(np.stack([predictor.predict(row) for row in singles(batch)]), whole)
        self.same(sigmoid(np.stack([predictor.predict_raw(row) for row in singles(batch)])), whole)

    @settings(suppress_health_check=INHERITED, max_examples=25)
    @given(data=st.data())
    def test_any_split_of_a_batch_gives_the_same_scores(
        self, predictor: SparsePredictor, batch: SparseBatch, data: st.DataObject
    ) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(batch)), max_size=6)))
        bounds = zip([0, *cuts], [*cuts, len(batch)], strict=True)
        parts = [predictor.predict_batch(batch.rows(a, b)) for a, b in bounds]
        self.same(np.concatenate(parts), predictor.predict_batch(batch))

    def test_the_order_and_company_of_the_rows_do_not_matter(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        whole = predictor.predict_batch(batch)
        order = np.random.default_rng(0).permutation(len(batch))
        self.same(predictor.predict_batch(batch.take(order)), whole[order])
        many = np.random.default_rng(1).integers(0, len(batch), 700)
        self.same(predictor.predict_batch(batch.take(many)), whole[many])

    def test_an_unknown_feature_is_dropped_and_shifts_nothing(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        for row in singles(batch):
            np.testing.assert_array_equal(predictor.raw(with_entry(row, UNKNOWN_ID, 3.0)).logits, predictor.raw(row).logits)

    def test_a_row_of_a_hundred_thousand_features_is_one_more_row(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        row = batch.rows(len(batch) - 1, len(batch))
        ids = np.concatenate([row.indices, np.arange(FAR, FAR + 100_000, dtype=np.int32)])
        values = np.concatenate([row.values, np.full(100_000, 7, np.float32)])
        huge = SparseBatch(ids, values, np.array([0, len(ids)], np.int64)).check()
        self.same(predictor.predict_batch(huge), predictor.predict_batch(row))
        among = predictor.predict_batch(concat([batch, huge, batch]))
        self.same(among[len(batch)], predictor.predict(row))

    def test_an_explicit_zero_is_the_same_alone_and_in_company(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        full = [row for row in singles(batch) if len(row.indices)]
        zeroed = [with_entry(row, int(row.indices[0]), 0.0) for row in full]
        absent = [SparseBatch(row.indices[1:], row.values[1:], row.offsets - np.array([0, 1])) for row in full]
        rows = [*zeroed, *absent]
        whole = predictor.raw(concat(rows))
        alone = [predictor.raw(row) for row in rows]
        self.same(sigmoid(np.concatenate([raw.logits for raw in alone])), sigmoid(whole.logits))
        np.testing.assert_array_equal(np.concatenate([raw.source for raw in alone]), whole.source)
        assert np.isfinite(whole.logits).all()

    def test_a_row_without_known_features_gets_the_prior(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        unknown = with_entry(empty(1), UNKNOWN_ID, 1.0)
        raw = predictor.raw(concat([empty(1), unknown, batch]))
        assert raw.known.tolist() == [False, False, *[True] * len(batch)]
        np.testing.assert_array_equal(raw.logits[0], raw.logits[1])
        assert np.isfinite(raw.logits[0]).all()
        assert predictor.score(empty(2), 3).sources() == ["prior", "prior"]
        assert set(predictor.score(batch).sources()) <= {"profile", "model"}

    def test_the_prior_is_the_one_the_family_s_own_model_has(self, predictor: SparsePredictor) -> None:
        np.testing.assert_array_equal(predictor.raw(empty(3)).logits, uncalibrated(predictor).raw(empty(3)).logits)

    def test_thresholds_are_probabilities_of_its_categories(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        promised = predictor.thresholds
        if promised is None:
            return
        assert promised.values.shape == (len(promised.precisions), len(predictor.categories))
        assert ((promised.values > 0) & ((promised.values <= 1) | np.isinf(promised.values))).all()
        picked = predictor.predict_batch(batch)[:, None, :] >= promised.values
        assert (picked[:, 1:] <= picked[:, :-1]).all(), "a higher promise picks nobody else"

    def test_no_rows_give_no_scores(self, predictor: SparsePredictor) -> None:
        width = len(predictor.categories)
        assert predictor.predict_batch(empty(0)).shape == (0, width)
        assert predictor.top_k(empty(0), 3)[0].shape == (0, min(3, width))

    def test_top_k_is_the_head_of_the_whole_order(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        ids, probabilities = predictor.top_k(batch, 5)
        all_ids, all_probabilities = predictor.top_k(batch)
        np.testing.assert_array_equal(ids, all_ids[:, :5])
        np.testing.assert_array_equal(probabilities, all_probabilities[:, :5])
        assert (np.diff(all_probabilities, axis=1) <= 0).all()
        assert ids.dtype == np.int32
        at = np.searchsorted(predictor.categories, all_ids)
        np.testing.assert_array_equal(np.take_along_axis(predictor.predict_batch(batch), at, 1), all_probabilities)

    def test_what_is_scored_stays_as_it_is_and_may_be_read_only(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        frozen = SparseBatch(batch.indices.copy(), batch.values.copy(), batch.offsets.copy())
        for array in (frozen.indices, frozen.values, frozen.offsets):
            array.flags.writeable = False
        np.testing.assert_array_equal(predictor.predict_batch(frozen), predictor.predict_batch(batch))
        np.testing.assert_array_equal(frozen.values, batch.values)

    def test_sliced_arrow_columns_are_the_rows_they_show(self, predictor: SparsePredictor, batch: SparseBatch) -> None:
        indices, values = to_arrow(batch)
        table = pa.RecordBatch.from_pydict({"user_id": pa.array(range(len(batch))), "indices": indices, "values": values})
        got = predictor.predict_batch(predictor.rows_of(table.slice(1, len(batch) - 2)))
        self.same(got, predictor.predict_batch(batch.rows(1, len(batch) - 1)))
        assert predictor.predict_batch(predictor.rows_of(table.slice(1, 0))).shape == (0, len(predictor.categories))
