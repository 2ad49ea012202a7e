"""What every step of a pipeline must do, whatever it is for: subclass it with a `case` fixture."""

import copy
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.errors import DataError
from propensity.features.csr import SparseBatch, concat
from propensity.pipeline.bundle import Golden, load_bundle, save_bundle
from propensity.pipeline.pipeline import Step
from propensity.pipeline.steps import steps_of
from tests.contract.predictors import FAR, INHERITED
from tests.support.sparse import to_batch, to_rows
from tests.support.steps import RecordCase, Same, SparseCase

Case = RecordCase | SparseCase
some = settings(suppress_health_check=[*INHERITED, HealthCheck.too_slow], max_examples=30)


def each(many: Any) -> list[Any]:
    """Return records one by one, sparse rows as batches of one."""
    return [many.rows(i, i + 1) for i in range(len(many))] if isinstance(many, SparseBatch) else list(many)


def part(many: Any, start: int, stop: int) -> Any:
    return many.rows(start, stop) if isinstance(many, SparseBatch) else many[start:stop]


def joined(parts: Sequence[Any]) -> Any:
    if any(isinstance(p, SparseBatch) for p in parts):
        return concat(parts)
    return [record for p in parts for record in p]


def same(got: Any, wanted: Any) -> None:
    """Raise unless both are equal to the bit; of sparse rows, the empty ones of no batch have no type."""
    assert type(got) is type(wanted)
    if not isinstance(got, SparseBatch):
        assert got == wanted
        return
    for name in ("indices", "values", "offsets"):
        a, b = getattr(got, name), getattr(wanted, name)
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype or len(a) == 0


def through_a_bundle(step: Step, folder: Path) -> Step:
    """Return the step that a bundle gives back."""
    golden = Golden(to_batch([{1: 1.0}]), np.full((1, 3), 0.5, np.float32))
    digest = save_bundle(folder / "bundle", {"version": "v"}, [step], Same(), golden)
    (restored,) = steps_of(load_bundle(folder / "bundle", digest))
    return restored


def learned(step: Step) -> tuple[str, dict[str, tuple[str, bytes]]]:
    arrays = {name: (str(array.dtype), array.tobytes()) for name, array in step.tensors().items()}
    return json.dumps(step.describe(), sort_keys=True), arrays


class TransformerContract:
    """One suite for all steps."""

    @pytest.fixture
    def case(self) -> Case:
        """The step and what it may be given."""
        raise NotImplementedError

    @pytest.fixture
    def step(self, case: Case) -> Step:
        return case.make()

    @some
    @given(data=st.data())
    def test_one_is_the_batch_to_the_bit(self, case: Case, step: Step, data: st.DataObject) -> None:
        many = data.draw(case.many())
        whole = step.transform_batch(many)
        assert len(whole) == len(many)
        for one, wanted in zip(each(many), each(whole), strict=True):
            same(step.transform_one(one), wanted)

    @some
    @given(data=st.data())
    def test_any_split_of_a_batch_gives_the_same(self, case: Case, step: Step, data: st.DataObject) -> None:
        many = data.draw(case.many())
        cuts = sorted(data.draw(st.lists(st.integers(0, len(many)), max_size=4)))
        parts = [step.transform_batch(part(many, a, b)) for a, b in pairwise([0, *cuts, len(many)])]
        same(joined(parts), step.transform_batch(many))

    @some
    @given(data=st.data())
    def test_a_bundle_gives_back_the_step(self, case: Case, step: Step, tmp_path: Path, data: st.DataObject) -> None:
        many = data.draw(case.many())
        restored = through_a_bundle(step, tmp_path)
        assert type(restored) is type(step)
        assert learned(restored) == learned(step)
        same(restored.transform_batch(many), step.transform_batch(many))
        same(restored.transform_batch(case.training), step.transform_batch(case.training))

    @some
    @given(data=st.data())
    def test_what_is_given_stays_as_it_is(self, case: Case, step: Step, data: st.DataObject) -> None:
        many = data.draw(case.many())
        before = copy.deepcopy(many)
        if isinstance(many, SparseBatch):
            for array in (many.indices, many.values, many.offsets):
                array.flags.writeable = False
        step.transform_batch(many)
        for one in each(many):
            step.transform_one(one)
        same(many, before)

    def test_no_rows_give_no_rows(self, case: Case, step: Step) -> None:
        assert len(step.transform_batch(part(case.training, 0, 0))) == 0

    def test_the_description_is_json(self, step: Step) -> None:
        described = step.describe()
        assert json.loads(json.dumps(described, allow_nan=False)) == described
        assert "kind" not in described, "the bundle adds it"

    def test_fitting_again_learns_the_same(self, case: Case, step: Step) -> None:
        first = learned(case.make())
        again = step.fit(case.training)
        assert again is step
        assert learned(again) == first


class RecordStepContract(TransformerContract):
    """What steps that take records must do besides."""

    @some
    @given(data=st.data())
    def test_the_order_of_a_records_keys_does_not_matter(self, case: RecordCase, step: Step, data: st.DataObject) -> None:
        for record in data.draw(case.many()):
            shuffled = dict(data.draw(st.permutations(list(record.items()))))
            same(step.transform_one(shuffled), step.transform_one(record))

    def test_null_and_missing_stay_missing(self, case: RecordCase, step: Step) -> None:
        for name in case.columns:
            for given_record in ({}, {name: None}):
                result = step.transform_one(given_record)
                missing = len(result.indices) == 0 if isinstance(result, SparseBatch) else result.get(name) is None
                assert missing, name

    @some
    @given(data=st.data())
    def test_features_of_others_shift_nothing(self, case: RecordCase, step: Step, data: st.DataObject) -> None:
        foreign = {"nobody's": data.draw(st.sampled_from([3.0, "tea", ["tea"], {"tea": 1.0}, object(), b"?"]))}
        for record in data.draw(case.many()):
            result, alone = step.transform_one({**foreign, **record}), step.transform_one(record)
            same(result, alone if isinstance(alone, SparseBatch) else {**foreign, **alone})

    def test_a_wrong_value_is_refused_in_one_line_that_names_the_feature(self, case: RecordCase, step: Step) -> None:
        name = next(iter(case.columns))
        assert case.wrong
        for value in case.wrong:
            for call in (step.transform_one, lambda record: step.transform_batch([{}, record])):
                with pytest.raises(DataError) as refused:
                    call({name: value})
                assert f"feature {name} " in str(refused.value)
                assert "\n" not in str(refused.value)
                assert refused.value.do


class SparseStepContract(TransformerContract):
    """What steps that take sparse rows must do besides."""

    @some
    @given(data=st.data())
    def test_rows_stay_rows_and_get_no_new_entries(self, case: SparseCase, step: Step, data: st.DataObject) -> None:
        many = data.draw(case.many())
        result = step.transform_batch(many).check()
        assert result.values.dtype == many.values.dtype
        for before, after in zip(to_rows(many), to_rows(result), strict=True):
            assert set(after) <= set(before)

    @some
    @given(data=st.data())
    def test_an_unknown_id_shifts_nothing(self, case: SparseCase, step: Step, data: st.DataObject) -> None:
        rows = to_rows(data.draw(case.many()))
        alone = to_rows(step.transform_batch(to_batch(rows)))
        company = to_rows(step.transform_batch(to_batch([{**row, FAR: 3.0} for row in rows])))
        assert [{i: v for i, v in row.items() if i != FAR} for row in company] == alone
