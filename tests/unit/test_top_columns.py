"""Top-K: the highest first, and of equal ones the lower id."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from propensity.pipeline.top_k import sigmoid, top_columns

few = st.sampled_from([-2.5, -0.0, 0.0, 1e-30, -1e-30, 1.0, 7.5, 88.0, -88.0, float("inf"), float("-inf")])
LOGITS = hnp.arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 9)), elements=few | st.floats(-50, 50, width=32))


@given(LOGITS, st.integers(1, 12))
@example(np.array([[-0.0, 0.0, -0.0]], np.float32), 2)
def test_top_columns_is_the_head_of_a_stable_sort(logits: np.ndarray, k: int) -> None:
    wanted = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_columns(logits, min(k, logits.shape[1])), wanted)


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 400), st.integers(0, 2**32))
def test_so_it_is_for_wide_rows_with_few_and_with_many_ties(width: int, k: int, values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = (random.integers(0, values, (3, width)) - values // 2).astype(np.float32) / 8
    k = min(k, width)
    np.testing.assert_array_equal(top_columns(logits, k), np.argsort(-logits, axis=1, kind="stable")[:, :k])


def test_what_is_no_number_comes_first() -> None:
    logits = np.array([[1.0, np.inf, np.nan, -np.inf]], np.float32)
    assert top_columns(logits, 3).tolist() == [[2, 1, 0]]


@given(hnp.arrays(np.float32, 6, elements=st.floats(-200, 200, width=32)))
def test_sigmoid_is_between_0_and_1_and_never_falls(logits: np.ndarray) -> None:
    got = sigmoid(np.sort(logits))
    assert got.dtype == np.float32
    assert ((got >= 0) & (got <= 1)).all()
    assert (np.diff(got) >= 0).all()
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-np.sort(logits).astype(np.float64))), atol=1e-7)
