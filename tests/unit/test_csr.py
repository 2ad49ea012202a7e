"""Sparse batches: what goes through Arrow, slicing and concatenation comes out the same, and broken ones are refused."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import DataError
from propensity.features.csr import SparseBatch, concat, from_arrow, to_arrow

batches = st.lists(st.sets(st.integers(0, 2**31 - 1), max_size=6), max_size=8).map(
    lambda rows: SparseBatch(
        np.array([i for row in rows for i in sorted(row)], np.int32),
        np.array([float(i % 7) - 3 for row in rows for i in sorted(row)], np.float32),
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
    )
)


def lists(batch: SparseBatch) -> list[list[tuple[int, float]]]:
    return [
        list(zip(row.indices.tolist(), row.values.tolist(), strict=True))
        for row in (batch.rows(n, n + 1) for n in range(len(batch)))
    ]


@given(batches)
def test_through_arrow_and_back(batch):
    assert lists(from_arrow(*to_arrow(batch.check()))) == lists(batch)


@given(batches, st.data())
def test_slices_of_arrow_columns_do_not_start_at_zero(batch, data):
    start = data.draw(st.integers(0, len(batch)))
    stop = data.draw(st.integers(start, len(batch)))
    indices, values = to_arrow(batch)
    sliced = from_arrow(indices.slice(start, stop - start), values.slice(start, stop - start)).check()
    assert lists(sliced) == lists(batch)[start:stop] == lists(batch.rows(start, stop))


@given(st.lists(batches, max_size=4))
def test_the_concatenation_is_the_rows_one_after_the_other(parts):
    assert lists(concat(parts).check()) == [row for part in parts for row in lists(part)]


@given(batches, st.randoms())
def test_take_is_what_indexing_a_list_is(batch, random):
    order = [random.randrange(len(batch)) for _ in range(len(batch))]
    assert lists(batch.take(np.array(order, np.int64))) == [lists(batch)[n] for n in order]


@pytest.mark.parametrize(
    ("indices", "values", "offsets", "says"),
    [
        ([3, 2], [1.0, 1.0], [0, 2], "do not ascend"),
        ([2, 2], [1.0, 1.0], [0, 2], "do not ascend"),
        ([2], [float("nan")], [0, 1], "not finite"),
        ([-1], [1.0], [0, 1], "negative"),
        ([1, 2], [1.0], [0, 2], "2 indices but 1 values"),
        ([1, 2], [1.0, 2.0], [0, 1], "do not run from 0"),
        ([1, 2], [1.0, 2.0], [0, 2, 1, 2], "descend"),
    ],
)
def test_broken_batches_are_refused(indices, values, offsets, says):
    batch = SparseBatch(np.array(indices, np.int32), np.array(values, np.float32), np.array(offsets, np.int64))
    with pytest.raises(DataError, match=says):
        batch.check()


def test_ids_may_fall_from_one_row_to_the_next():
    SparseBatch(np.array([5, 1, 0], np.int32), np.ones(3, np.float32), np.array([0, 1, 1, 2, 3])).check()


def test_arrow_types():
    indices, values = to_arrow(SparseBatch(np.array([5], np.int32), np.ones(1, np.float32), np.array([0, 1])))
    assert indices.type == pa.list_(pa.int32())
    assert values.type == pa.list_(pa.float32())
