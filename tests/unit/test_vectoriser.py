"""Names and words become feature ids: what is known is found, what is not is dropped, and nothing is shifted."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import DataError
from propensity.pipeline.vectoriser import Block, Name, Vectoriser

WORDS = st.text(max_size=4)
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "c", "unknown"]), st.dictionaries(WORDS, NUMBERS, max_size=8), max_size=4)


def ids(*values: int) -> Any:
    return np.array(values, np.int32)


@given(st.lists(WORDS, unique=True, max_size=30), st.integers(0, 2**31 - 2000), RECORDS)
def test_it_finds_what_a_dictionary_finds(words: list[str], first: int, record: dict[str, dict[str, float]]) -> None:
    block = Block(tuple(words), np.arange(first, first + len(words), dtype=np.int32))
    other = Block(("", "z"), ids(first + 1500, first + 1501))
    vectoriser = Vectoriser({"a": Name("x"), "b": Name("x", 40), "c": Name("y")}, {"x": block, "y": other})
    row = vectoriser.transform_one(record)
    expected = {}
    for name, where in vectoriser.names.items():
        found = dict(zip(vectoriser.blocks[where.block].words, vectoriser.blocks[where.block].ids.tolist(), strict=True))
        expected.update({found[w] + where.step: v for w, v in record.get(name, {}).items() if w in found})
    assert dict(zip(row.indices.tolist(), row.values.tolist(), strict=True)) == expected
    assert (np.diff(row.indices) > 0).all()
    assert row.offsets.tolist() == [0, len(expected)]


def test_every_kind_of_value_is_a_feature() -> None:
    vectoriser = Vectoriser.fitted([{"n": 2, "s": "red", "l": ["x", "y", "x"], "m": {"k": 3.5}, "none": None}])
    row = vectoriser.transform_one({"n": 2, "s": "red", "l": ["x", "y", "x"], "m": {"k": 3.5, "new": 1}, "new": 1})
    told = dict(zip(vectoriser.name_of(row.indices), row.values.tolist(), strict=True))
    assert told == {("n", ""): 2, ("s", "red"): 1, ("l", "x"): 2, ("l", "y"): 1, ("m", "k"): 3.5}
    assert len(vectoriser.transform_one({"s": "blue", "n": None, "l": [], "m": {}}).indices) == 0


HUGE = 10**400
BAD = [
    True, float("nan"), float("inf"), HUGE, [1], ["x", None], object(),
    *({"k": v} for v in ("1.5", None, float("nan"), [1], {}, HUGE)),
]  # fmt: skip


@pytest.mark.parametrize("value", BAD, ids=lambda v: repr(v)[:12])
def test_what_is_no_feature_is_refused_by_name(value: Any) -> None:
    vectoriser = Vectoriser({"fine": Name("b"), "bad": Name("b", 1)}, {"b": Block(("", "k", "x"), ids(0, 10, 20))})
    with pytest.raises(DataError, match="feature bad cannot be") as caught:
        vectoriser.transform_one({"fine": 1, "bad": value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert len(vectoriser.transform_one({"fine": 1, "unknown": value}).indices) == 1


@pytest.mark.parametrize(
    ("names", "blocks", "match"),
    [
        ({"a": Name("gone")}, {}, "not there"),
        ({"a": Name("b"), "c": Name("b")}, {"b": Block(("x",), ids(1))}, "share an id"),
        ({"a": Name("b"), "c": Name("b", 1)}, {"b": Block(("x", "y"), ids(1, 2))}, "share an id"),
        ({"a": Name("b")}, {"b": Block(("x", "x"), ids(1, 2))}, "twice"),
        ({"a": Name("b", 2)}, {"b": Block(("x",), ids(2**31 - 2))}, "does not fit"),
        ({"a": Name("b")}, {"b": Block(("x",), ids(-1))}, "does not fit"),
    ],
)
def test_what_would_shift_ids_is_refused(names: Any, blocks: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        Vectoriser(names, blocks)


def test_two_blocks_may_hold_the_same_word() -> None:
    vectoriser = Vectoriser({"a": Name("x"), "b": Name("y")}, {"x": Block(("w",), ids(1)), "y": Block(("w",), ids(2))})
    assert vectoriser.transform_one(json.loads('{"a": {"w": 5}, "b": {"w": 6}}')).values.tolist() == [5, 6]
