"""Feature ids and dense rows; CSR batches through the map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import rows, to_batch, to_rows

from propensity.errors import DataError
from propensity.models import feature_map
from propensity.models.feature_map import FeatureMap, IdMap, count_features

HIGHEST = 60
ids = st.sets(st.integers(0, HIGHEST)).map(lambda s: np.array(sorted(s), np.int32))


@given(ids, st.lists(st.integers(-5, HIGHEST + 50)), st.booleans())
def test_a_position_is_that_of_the_id_or_none(known: np.ndarray, wanted: list[int], bisect: bool) -> None:
    id_map = IdMap(known)
    if bisect:
        id_map.table = None
    got = id_map.positions(np.array(wanted, np.int32)).tolist()
    assert got == [list(known).index(w) if w in known else -1 for w in wanted]


@given(ids, rows(HIGHEST + 20))
def test_known_features_keep_value_and_row_and_the_rest_is_counted(known: np.ndarray, plain: list[dict[int, float]]) -> None:
    batch = to_batch(plain)
    dense, dropped = FeatureMap(known).dense_rows(batch)
    back = [{int(known[row]): value for row, value in entries.items()} for entries in to_rows(dense.check())]
    assert back == [{i: v for i, v in entries.items() if i in known} for entries in to_rows(batch)]
    assert dropped == len(batch.indices) - len(dense.indices)


@given(rows(HIGHEST), rows(HIGHEST), st.integers(1, 4))
def test_the_map_holds_what_enough_rows_have(first: list[dict[int, float]], second: list[dict[int, float]], least: int) -> None:
    frequent = np.flatnonzero(count_features([to_batch(first), to_batch(second)]) >= least)
    both = first + second
    assert frequent.tolist() == [i for i in range(HIGHEST + 1) if sum(i in row for row in both) >= least]
    assert count_features([to_batch(both)]).sum() == sum(map(len, both))


def test_ids_above_the_tables_limit_are_found_by_bisection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_map, "TABLE_LIMIT", 10)
    assert IdMap(np.array([3, 20], np.int32)).table is None


@pytest.mark.parametrize("wrong", [[3, 2], [1, 1], [-1, 4]])
def test_unsorted_repeated_or_negative_ids_are_refused(wrong: list[int]) -> None:
    with pytest.raises(DataError, match="ascend"):
        IdMap(np.array(wrong, np.int32))
