"""The plan on paper: its arithmetic, what it counts, what it asks for; and the tables that the whole command writes."""

import json

import pyarrow as pa
import pytest
from benchmarks.speed import __main__ as whole
from benchmarks.speed import equality, plan
from benchmarks.speed.plan import CountedFiles, Stage
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from pyarrow import fs

from propensity.contracts import FEATURES, SCORES
from propensity.engine.scoring import score_region

TINY = Shape(40, buckets=2, history=True, features=600, hidden=8, categories=60, non_zeros=12)


def test_minutes_and_dollars_of_a_stage():
    stage = Stage("score", core_seconds=7_200, puts=1_000, gets=10_000)
    assert stage.minutes(60) == 2
    assert stage.dollars() == pytest.approx(2 * plan.CORE_HOUR + 0.005 + 0.004)


def test_regions_share_all_customers():
    shares = [plan.largest_region() / n for n in range(1, plan.REGIONS + 1)]
    assert sum(shares) == pytest.approx(plan.CUSTOMERS)


def test_a_plan_without_results_says_what_is_missing(tmp_path):
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "result.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"no results of features, landing, publish, cluster, training.*make bench"):
        plan.measure(tmp_path / "plan", fast=True)


def test_files_are_counted_as_an_object_store_would_be_asked(tmp_path):
    files = CountedFiles(fs.LocalFileSystem())
    path = str(tmp_path / "new" / "file")
    with files.open_output_stream(path) as sink:
        sink.write(b"four and more")
    assert files.counts == {"puts": 1}
    with files.open_input_file(path) as source:
        assert source.read(4) == b"four"
    assert files.counts["gets"] >= 2  # its size and its bytes
    assert files.get_file_info(path).size == 13


def test_a_bit_that_differs_is_found(tmp_path):
    lake, champion = reference_lake(tmp_path, TINY, "float32", top=50)
    staged, _ = score_region(lake, REGION, DAY, champion, force=True)
    features = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    assert equality.compare_file((lake, champion, features[0], staged.files[0])) == (20, 2 * 20 * 50, 0)
    table = lake.read(SCORES.name, staged.files[0])
    numbers = table["scores"].to_pylist()
    numbers[3][7] = float(pa.scalar(numbers[3][7] * (1 + 2e-7), pa.float32()).as_py())
    at = table.schema.get_field_index("scores")
    changed = table.set_column(at, table.schema.field(at), pa.array(numbers, table.schema.field(at).type))
    file = lake.write(SCORES, staged.partition, "changed", changed, {})
    assert equality.compare_file((lake, champion, features[0], file))[2] == 1


def test_written_tables_are_those_of_all_results(tmp_path):
    result = {"customers": 5, "values": 10, "customers_that_differ": 0, "quick_s": 1.0, "plain_s": 2.0, "load": [0.5, 0.6]}
    (tmp_path / "equality").mkdir()
    (tmp_path / "equality" / whole.RESULT).write_text(json.dumps({**result, "part_s": 120.0}))
    text = whole.written(tmp_path)
    assert "in 2 minutes" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {whole.PARTS['equality']}"]
    assert "| 5 | 10 | 0 | 1.0 | 2.0 |" in text
