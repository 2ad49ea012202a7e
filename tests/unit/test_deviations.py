"""The table of deviations says what numpy says of all of them at once."""

import numpy as np
import pytest
from benchmarks.deviations import Deviations
from hypothesis import given
from hypothesis import strategies as st

floats = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200)


@given(st.lists(st.tuples(floats, st.integers(0, 5)), min_size=1, max_size=5))
def test_pieces_give_the_whole(pieces: list[tuple[list[float], int]]) -> None:
    got, whole = Deviations(), []
    for values, seed in pieces:
        one = np.array(values, np.float32)
        other = np.random.default_rng(seed).permutation(one)
        part = Deviations()
        part.add(one, other)
        got.merge(part)
        whole.append(np.abs(one.astype(np.float64) - other))
    every = np.concatenate(whole)
    assert got.count == len(every)
    assert got.mean == pytest.approx(every.mean(), abs=1e-12)
    assert got.variance == pytest.approx(every.var(), abs=1e-9)
    assert got.largest == every.max()
    for share in (0.25, 0.5, 0.75, 0.99, 1.0):
        exact = np.quantile(every, share, method="inverted_cdf")
        assert exact * (1 - 1e-6) - 1e-41 <= got.quantile(share) <= max(exact * 1.0006, 1e-37)


def test_what_is_no_number_is_the_largest_deviation() -> None:
    got = Deviations()
    got.add(np.array([0.5, np.nan], np.float32), np.array([0.5, 0.5], np.float32))
    assert got.largest == np.inf
    assert got.quantile(0.99) == np.inf
