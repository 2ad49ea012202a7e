"""A customer's row is found by id, whatever type ids have."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.serving.errors import RequestError
from propensity.serving.requests import Item
from propensity.serving.rows import by_bucket, position
from propensity.serving.scoring import check_item
from propensity.storage import DataFile

ids = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=30)
texts = st.lists(st.text(max_size=4), unique=True, max_size=30)


@given(users=st.one_of(ids, texts), other=st.integers(0, 30))
def test_every_user_is_where_arrow_sorts_it_and_nobody_else_is(users, other):
    kind = pa.string() if users and isinstance(users[0], str) else pa.int64()
    array = pa.array(users, kind)
    ordered = array.take(pa.compute.array_sort_indices(array)) if users else array
    for user in users:
        assert ordered[position(ordered, user)].as_py() == user
    left = users[:other] + users[other + 1 :]
    if other < len(users):
        array = pa.array(left, kind)
        without = array.take(pa.compute.array_sort_indices(array)) if left else array
        assert position(without, users[other]) is None


@pytest.mark.parametrize(
    ("user", "kind", "fine"), [(7, "int64", True), ("7", "int64", False), ("7", "string", True), (7, "string", False)]
)
def test_ids_have_the_type_of_the_configuration(user, kind, fine):
    if fine:
        check_item(Item(user_id=user), kind)
    else:
        with pytest.raises(RequestError, match=f"user ids are {kind} here"):
            check_item(Item(user_id=user), kind)


def test_files_are_known_by_the_bucket_they_are_named_by():
    def file(name):
        return DataFile(f"region=a/score_date=2018-01-01/{name}.parquet", {}, 1, 1)

    named = by_bucket([file("00000-abc"), file("00012-0def"), file("something-else")])
    assert {bucket: found.path.rsplit("/", 1)[-1] for bucket, found in named.items()} == {
        0: "00000-abc.parquet",
        12: "00012-0def.parquet",
    }
