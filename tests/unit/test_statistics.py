"""What tasks count: nothing of clean data, every planted fault of broken data, and parts that add up to the whole."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.contracts import SCORES
from propensity.features.csr import SparseBatch, concat
from propensity.quality.statistics import feature_statistics, label_statistics, score_statistics

FAULTS = ("empty_rows", "not_finite", "not_ascending", "negative_ids", "duplicated_users")
rows = st.lists(st.dictionaries(st.integers(0, 50), st.floats(-9, 9, width=32), max_size=6), max_size=12)


def batch_of(rows: list[dict[int, float]]) -> SparseBatch:
    lengths = [len(row) for row in rows]
    return SparseBatch(
        np.array([i for row in rows for i in sorted(row)], np.int32),
        np.array([row[i] for row in rows for i in sorted(row)], np.float32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def users_of(count: int, first: int = 0) -> pa.Array:
    return pa.array([f"u{n}" for n in range(first, first + count)])


@given(rows)
def test_clean_features_have_no_fault_but_empty_rows(found):
    counted = feature_statistics(batch_of(found), users_of(len(found)))
    assert counted["users"] == len(found)
    assert counted["nonzeros"] == sum(map(len, found))
    assert counted["empty_rows"] == sum(not row for row in found)
    assert all(counted[fault] == 0 for fault in FAULTS[1:])
    assert counted["longest_row"] == max(map(len, found), default=0)
    json.dumps(counted, allow_nan=False)


@given(rows, st.integers(0, 12))
def test_the_statistics_of_parts_add_up(found, at):
    at = min(at, len(found))
    parts = [
        feature_statistics(batch_of(found[:at]), users_of(at)),
        feature_statistics(batch_of(found[at:]), users_of(len(found) - at, at)),
    ]
    whole = feature_statistics(concat([batch_of(found[:at]), batch_of(found[at:])]), users_of(len(found)))
    for key in ("users", "nonzeros", *FAULTS):
        assert sum(part[key] for part in parts) == whole[key]


def test_every_fault_of_features_is_counted_and_named():
    broken = SparseBatch(
        np.array([1, 2, 5, 5, 7, 3, -4, 8], np.int32),
        np.array([1, np.nan, 1, 1, np.inf, 1, 1, 2], np.float32),
        np.array([0, 2, 4, 6, 6, 8], np.int64),
    )
    counted = feature_statistics(broken, pa.array(["a", "b", "c", "d", "a"]))
    assert {fault: counted[fault] for fault in FAULTS} == {
        "empty_rows": 1,
        "not_finite": 2,
        "not_ascending": 2,
        "negative_ids": 1,
        "duplicated_users": 1,
    }
    assert counted["examples"] == {
        "empty_rows": ["user d"],
        "not_finite": ["user a", "user c"],
        "not_ascending": ["user b", "user c"],
        "negative_ids": ["user a"],
        "duplicated_users": ["user a (2 times)"],
    }
    assert (counted["smallest"], counted["largest"]) == (1.0, 2.0)
    json.dumps(counted, allow_nan=False)


lists = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), max_size=10)


@given(lists, st.integers(0, 9), st.integers(0, 10))
def test_labels_are_counted_from_whole_and_sliced_columns_alike(found, known, start):
    column = pa.array(found, pa.list_(pa.int32()))
    counted = label_statistics(column.slice(start), users_of(len(found[start:])), range(known))
    flat = [c for row in found[start:] for c in row]
    assert counted["positives"] == len(flat)
    assert counted["users_without"] == sum(not row for row in found[start:])
    assert counted["unknown_category"] == sum(c >= known for c in flat)
    assert counted["not_ascending"] == counted["duplicated_users"] == 0


def test_every_fault_of_labels_is_counted_and_named():
    counted = label_statistics(pa.array([[3, 1], [2, 2], []], pa.list_(pa.int32())), pa.array([7, 7, 8]), {1, 2})
    assert (counted["not_ascending"], counted["unknown_category"], counted["duplicated_users"]) == (2, 1, 1)
    assert counted["examples"] == {
        "not_ascending": ["user 7"],
        "unknown_category": ["3"],
        "duplicated_users": ["user 7 (2 times)"],
    }


def scores(*rows: tuple[list[int], list[float]], users: list[str] | None = None) -> pa.Table:
    count = len(rows)
    columns = [
        users or [f"u{n}" for n in range(count)],
        [r[0] for r in rows],
        [r[1] for r in rows],
        ["model"] * count,
        ["v1"] * count,
        ["r1"] * count,
    ]
    schema = SCORES.file_schema("string")
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@given(st.lists(st.lists(st.floats(0, 1, width=32), max_size=6), max_size=10))
def test_clean_scores_have_no_fault(found):
    table = scores(*[(list(range(len(row))), sorted(row, reverse=True)) for row in found])
    counted = score_statistics(table)
    faults = ("duplicated_users", "not_probability", "not_descending", "repeated_category", "uneven_rows")
    assert all(counted[fault] == 0 for fault in faults)
    assert counted["empty_rows"] == sum(not row for row in found)
    assert counted["sum_top_score"] == pytest.approx(sum(max(row) for row in found if row), abs=1e-5)


@pytest.mark.parametrize(
    ("fault", "row"),
    [
        ("not_probability", ([1, 2], [1.5, 0.1])),
        ("not_probability", ([1, 2], [0.5, -0.1])),
        ("not_probability", ([1], [float("nan")])),
        ("not_descending", ([1, 2], [0.1, 0.2])),
        ("repeated_category", ([4, 2, 4], [0.3, 0.2, 0.1])),
        ("empty_rows", ([], [])),
        ("uneven_rows", ([1, 2], [0.3])),
    ],
)
def test_every_fault_of_scores_is_counted_and_named(fault, row):
    counted = score_statistics(scores(([1, 2], [0.9, 0.1]), row, ([3], [0.5])))
    assert counted[fault] == 1
    assert counted["examples"][fault][0].startswith("user u1")
    json.dumps(counted, allow_nan=False)


def test_a_rise_between_two_customers_is_none():
    assert score_statistics(scores(([1], [0.1]), ([1], [0.9])))["not_descending"] == 0


def test_runs_versions_and_duplicates_are_seen():
    table = scores(([1], [0.1]), ([1], [0.9]), users=["a", "a"])
    table = table.set_column(5, "run_id", pa.array(["r1", "r2"]))
    counted = score_statistics(table)
    assert (counted["run_ids"], counted["model_versions"], counted["duplicated_users"]) == (["r1", "r2"], ["v1"], 1)


def test_an_empty_file_of_scores_counts_nothing():
    counted = score_statistics(SCORES.file_schema("string").empty_table())
    assert (counted["users"], counted["pairs"], counted["mean_top_score"], counted["run_ids"]) == (0, 0, 0.0, [])
