"""The gates of features, labels and scores on files as the tasks write them, clean and broken."""

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from propensity.contracts import FEATURES, LABELS, SCORES, TableContract
from propensity.errors import DataError, GateError
from propensity.features.csr import SparseBatch, to_arrow
from propensity.features.windows import training_cutoffs
from propensity.quality.gate import Subject, Verdict, check
from propensity.quality.rows import Row, feature_rows, label_rows, score_rows
from propensity.quality.staged import StagedScores, read_staged
from propensity.quality.statistics import feature_statistics, label_statistics, score_statistics
from propensity.storage import DataFile, Lake
from tests.support.scores import score_lake, score_table, stage

DATE = "2025-05-01"
USERS = 40
NUMBERS = itertools.count()


def put(lake: Lake, contract: TableContract, date: str, parts: list[tuple[pa.Table, dict]]) -> list[DataFile]:
    partition = {"region": "alps", "score_date": date}
    name = f"{next(NUMBERS)}-{date}"  # like the digests of the real names: never used again
    files = [lake.write(contract, partition, f"{n:05d}-{name}", table, stats) for n, (table, stats) in enumerate(parts)]
    lake.commit(contract, files, partition, {})
    return files


def users_of(bucket: int) -> pa.Array:
    return pa.array([f"alps-{n}" for n in range(USERS)][bucket::2])


def put_features(lake: Lake, date: str, **broken: object) -> None:
    parts = []
    for bucket in range(2):
        users = users_of(bucket)
        offsets = np.arange(len(users) + 1, dtype=np.int64) * 3
        indices = np.tile(np.array([1, 4, 9], np.int32), len(users))
        values = np.full(len(indices), 0.5, np.float32)
        if bucket == 0 and "indices" in broken:
            indices[:3] = broken["indices"]
        if bucket == 0 and "value" in broken:
            values[:2] = broken["value"]
        if bucket == 0 and broken.get("twice"):
            users = pa.concat_arrays([users[:-1], users[:1]])
        batch = SparseBatch(indices, values, offsets)
        table = pa.table([users, *to_arrow(batch)], schema=FEATURES.file_schema("string"))
        parts.append((table, feature_statistics(batch, users)))
    put(lake, FEATURES, date, parts)


def put_labels(lake: Lake, date: str, found: list[int] | None = None, drop: int = 0, known: int = 12) -> None:
    parts = []
    for bucket in range(2):
        users = users_of(bucket)
        users = users.slice(drop if bucket == 0 else 0)
        categories = pa.array([[1, 3] if found is None else found] * len(users), pa.list_(pa.int32()))
        table = pa.table([users, categories], schema=LABELS.file_schema("string"))
        parts.append((table, label_statistics(categories, users, range(known))))
    put(lake, LABELS, date, parts)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return score_lake(tmp_path)


def judge(lake: Lake, stage: str, found: tuple[list[Row], dict[str, list[str]]]) -> Verdict:
    return check(lake.config, Subject(stage, "alps", DATE), *found)


def failing(verdict: Verdict) -> list[tuple[str, int]]:
    return [(c.column, c.rows) for c in verdict.failures]


def test_clean_features_pass(lake):
    put_features(lake, DATE)
    assert judge(lake, "features", feature_rows(lake, "alps", [DATE])).demand().parts == 2


@pytest.mark.parametrize(
    ("broken", "column", "rows", "example"),
    [
        ({"value": np.nan}, "not_finite", 2, "user alps-0"),
        ({"value": np.inf}, "not_finite", 2, "user alps-0"),
        ({"indices": [4, 1, 9]}, "not_ascending", 1, "user alps-0"),
        ({"indices": [-7, 1, 9]}, "negative_ids", 1, "user alps-0"),
        ({"twice": True}, "duplicated_users", 1, "user alps-0 (2 times)"),
        ({"value": 1e6}, "largest", 1, "largest 1000000.0"),
        ({"value": -1e6}, "smallest", 1, "smallest -1000000.0"),
    ],
)
def test_broken_features_stop_with_a_customer_to_look_at(lake, broken, column, rows, example):
    put_features(lake, DATE, **broken)
    verdict = judge(lake, "features", feature_rows(lake, "alps", [DATE]))
    assert failing(verdict) == [(column, rows)]
    assert example in verdict.failures[0].examples[0]
    with pytest.raises(GateError, match=f"gate features, alps, {DATE}"):
        verdict.demand()


def test_a_date_without_files_or_without_customers_stops(lake):
    put_features(lake, DATE)
    with pytest.raises(DataError, match=r"dates without a file.*2025-04-01.*jobs/features.py"):
        feature_rows(lake, "alps", [DATE, "2025-04-01"])
    empty = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int64))
    nobody = users_of(0).slice(0, 0)
    table = pa.table([nobody, *to_arrow(empty)], schema=FEATURES.file_schema("string"))
    put(lake, FEATURES, DATE, [(table, feature_statistics(empty, nobody))])
    assert failing(judge(lake, "features", feature_rows(lake, "alps", [DATE]))) == [("total_users", 1)]


def test_labels_of_every_cutoff_pass_or_stop(lake):
    dates = [d.isoformat() for d in training_cutoffs(lake.config, dt.date.fromisoformat(DATE))]
    for date in dates:
        put_features(lake, date)
        put_labels(lake, date)
    assert judge(lake, "labels", label_rows(lake, "alps", dates)).passed
    put_labels(lake, dates[2], drop=1)
    assert failing(judge(lake, "labels", label_rows(lake, "alps", dates))) == [("total_users = feature_users", 2)]
    put_labels(lake, dates[2], found=[3, 1])
    assert failing(judge(lake, "labels", label_rows(lake, "alps", dates))) == [("not_ascending", USERS)]
    put_labels(lake, dates[2], found=[1, 99])
    assert failing(judge(lake, "labels", label_rows(lake, "alps", dates))) == [("unknown_category", USERS)]
    put_labels(lake, dates[2], found=[])
    assert failing(judge(lake, "labels", label_rows(lake, "alps", dates))) == [("total_positives", 2)]


def rows_of(lake: Lake, staged: StagedScores, run_id: str = "run1") -> tuple[list[Row], dict[str, list[str]]]:
    return score_rows(lake, staged.files, "alps", DATE, run_id)


def restage(lake: Lake, table: pa.Table) -> StagedScores:
    """Stage `table` as the first of two files; the second is clean."""
    clean = stage(lake, "run1", users=USERS, date=DATE)
    first = lake.write(SCORES, clean.partition, "00000-broken", table, score_statistics(table))
    return StagedScores("run1", "alps", DATE, "v1", (first, clean.files[1]))


def test_clean_scores_pass_and_are_found_again(lake):
    put_features(lake, DATE)
    staged = stage(lake, "run1", users=USERS, date=DATE)
    assert read_staged(lake.config, "run1", "alps", DATE) == staged
    assert judge(lake, "scores", rows_of(lake, staged)).demand().passed


def replaced(lake: Lake, column: str, values: list[object], version: str = "v1", run_id: str = "run1") -> pa.Table:
    """Return the first file's table with the first rows of a column replaced."""
    table = score_table(lake, users_of(0).to_pylist(), run_id, 0, version=version)
    if not column:
        return table
    whole = values + table[column].to_pylist()[len(values) :]
    return table.set_column(
        table.column_names.index(column), table.schema.field(column), pa.array(whole, table.schema.field(column).type)
    )


@pytest.mark.parametrize(
    ("column", "values", "failed"),
    [
        ("scores", [[1.5, 0.2, 0.1], [float("nan"), 0.2, 0.1]], [("not_probability", 2)]),
        ("scores", [[0.1, 0.5, 0.2]], [("not_descending", 1)]),
        ("categories", [[1, 1, 2]], [("repeated_category", 1)]),
        ("scores", [[0.5, 0.2]], [("uneven_rows", 1)]),
        ("user_id", ["alps-2"], [("duplicated_users", 1)]),
        ("scores", [[0.0, 0.0, 0.0]] * 20, []),
        ("score_source", ["prior"] * 20, []),
    ],
)
def test_broken_scores_stop(lake, column, values, failed):
    put_features(lake, DATE)
    assert failing(judge(lake, "scores", rows_of(lake, restage(lake, replaced(lake, column, values))))) == failed


def test_scores_of_too_few_customers_another_run_or_two_versions_stop(lake):
    put_features(lake, DATE)
    short = restage(lake, replaced(lake, "", []).slice(1))
    assert failing(judge(lake, "scores", rows_of(lake, short))) == [("total_users = feature_users", 2)]
    two = restage(lake, replaced(lake, "", [], version="v2"))
    assert failing(judge(lake, "scores", rows_of(lake, two))) == [("versions", 2)]
    mixed = restage(lake, replaced(lake, "", [], run_id="run2"))
    assert failing(judge(lake, "scores", rows_of(lake, mixed))) == [("run_ids", 2), ("other_run", 2)]
    other = stage(lake, "run9", users=USERS, date=DATE)
    assert failing(judge(lake, "scores", rows_of(lake, other))) == [("other_run", 2)]


def test_scores_of_a_model_that_learned_nothing_stop(lake):
    put_features(lake, DATE)
    for value in (0.0, 1.0):
        tables = [score_table(lake, users_of(b).to_pylist(), "run1", 0) for b in range(2)]
        flat = [t.set_column(2, "scores", pa.array([[value] * 3] * len(t), pa.list_(pa.float32()))) for t in tables]
        flat = [t.cast(SCORES.file_schema("string")) for t in flat]
        partition = {"region": "alps", "score_date": DATE}
        files = tuple(lake.write(SCORES, partition, f"{n}", t, score_statistics(t)) for n, t in enumerate(flat))
        staged = StagedScores("run1", "alps", DATE, "v1", files)
        assert failing(judge(lake, "scores", rows_of(lake, staged))) == [("top_score", 2)]


def test_a_footer_without_statistics_is_refused(lake):
    staged = stage(lake, "run1", users=USERS, date=DATE)
    bare = lake.write(SCORES, staged.partition, "bare", lake.read("scores", staged.files[0]), {})
    with pytest.raises(DataError, match=r"no statistics in the footer"):
        score_rows(lake, [bare], "alps", DATE, "run1")
