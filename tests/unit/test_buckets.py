"""The hash that every table is laid out by must never change and must spread."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from propensity.features.buckets import buckets_of


def test_golden_values_that_must_stay_for_ever():
    assert buckets_of(pa.array([0, 1, 2, 2500, -1], pa.int64()), 1000).tolist() == [535, 465, 110, 72, 936]
    assert buckets_of(pa.array(["", "a", "b", "alps-000001", "ä"]), 1000).tolist() == [535, 343, 514, 885, 653]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=30), st.integers(0, 29), st.integers(1, 64))
def test_a_slice_and_a_single_id_hash_like_the_column(texts, start, buckets):
    column = pa.array(texts)
    whole = buckets_of(column, buckets)
    assert buckets_of(column.slice(start), buckets).tolist() == whole[start:].tolist()
    assert [buckets_of(pa.array([t]), buckets)[0] for t in texts] == whole.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30), st.integers(1, 64))
def test_every_id_has_a_bucket(ids, buckets):
    found = buckets_of(pa.array(ids, pa.int64()), buckets)
    assert found.min() >= 0
    assert found.max() < buckets


def test_consecutive_ids_spread_evenly():
    for column in (pa.array(range(80_000)), pa.array([f"user-{n}" for n in range(80_000)])):
        sizes = np.bincount(buckets_of(column, 8), minlength=8)
        assert sizes.min() > 9_500
        assert sizes.max() < 10_500
