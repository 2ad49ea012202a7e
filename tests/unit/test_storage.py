"""The lake: whole files, one transaction a partition, conflicts instead of mixtures."""

import datetime as dt
import resource
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shop import make_config

from propensity.contracts import ALL_TABLES, CHAMPIONS, FEATURES, LABELS
from propensity.errors import ConflictError, DataError
from propensity.storage import DataFile, Lake

DAY = "2025-03-01"


@pytest.fixture
def lake(tmp_path):
    return Lake(make_config(tmp_path))


def labels(users: list[str]) -> pa.Table:
    return pa.table([pa.array(users), pa.array([[1]] * len(users), pa.list_(pa.int32()))], schema=LABELS.file_schema("string"))


def written(lake: Lake, region: str, name: str, users: list[str], day: str = DAY) -> DataFile:
    return lake.write(LABELS, {"region": region, "score_date": day}, name, labels(users), {"users": len(users)})


def users(lake: Lake, **partition: str) -> list[str]:
    return lake.read_rows(LABELS, **partition)["user_id"].to_pylist()


def test_a_commit_replaces_its_partition_and_no_other(lake):
    lake.commit(LABELS, [written(lake, "alps", "a", ["1", "2"])], {"region": "alps", "score_date": DAY}, {})
    lake.commit(LABELS, [written(lake, "coast", "b", ["3"])], {"region": "coast", "score_date": DAY}, {})
    assert lake.commit(LABELS, [written(lake, "alps", "c", ["4"])], {"region": "alps", "score_date": DAY}, {})
    assert users(lake, region="alps") == ["4"]
    assert users(lake, region="coast") == ["3"]


def test_committing_the_same_files_again_writes_nothing(lake):
    file = written(lake, "alps", "a", ["1"])
    where = {"region": "alps", "score_date": DAY}
    assert lake.commit(LABELS, [file], where, {})
    version = lake.version(LABELS)
    assert not lake.commit(LABELS, [file], where, {})
    assert lake.version(LABELS) == version


def test_what_is_not_committed_is_not_there(lake):
    written(lake, "alps", "a", ["1"])
    assert users(lake) == []


def test_the_same_table_has_the_same_bytes(lake):
    one, two = written(lake, "alps", "a", ["1", "2"]), written(lake, "alps", "b", ["1", "2"])
    read = [Path(lake.path("labels", f.path)).read_bytes() for f in (one, two)]
    assert read[0] == read[1]


def test_statistics_come_back_from_the_footer(lake):
    file = written(lake, "alps", "a", ["1"])
    found = lake.stat(LABELS, {"region": "alps", "score_date": DAY}, "a")
    assert found == file
    assert lake.stat(LABELS, {"region": "alps", "score_date": DAY}, "z") is None


@given(rows=st.integers(0, 3), wanted=st.integers(0, 5))
def test_the_first_rows_of_a_file_are_the_first_of_all(rows, wanted):
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(make_config(Path(folder)))
        file = written(lake, "alps", "a", [str(n) for n in range(rows)])
        assert lake.first_rows(LABELS.name, file, wanted).equals(lake.read(LABELS.name, file).slice(0, wanted))


def test_plain_columns_have_no_dictionary_and_all_others_do(lake):
    lists = [pa.array([[7, 8]], pa.list_(kind)) for kind in (pa.int32(), pa.float32())]
    rows = pa.table([pa.array(["1"]), *lists], schema=FEATURES.file_schema("string"))
    file = lake.write(FEATURES, {"region": "alps", "score_date": DAY}, "a", rows, {})
    assert lake.read(FEATURES.name, file).equals(rows)
    group = pq.ParquetFile(lake.path(FEATURES.name, file.path)).metadata.row_group(0)
    encoded = {group.column(n).path_in_schema: "RLE_DICTIONARY" in group.column(n).encodings for n in range(3)}
    assert encoded == {"user_id": True, "indices.list.element": False, "values.list.element": True}


def test_a_wrong_schema_is_refused_before_anything_is_written(lake):
    table = pa.table({"user_id": [1], "categories": [[1]]})
    with pytest.raises(DataError, match="user_id is int64, wants string"):
        lake.write(LABELS, {"region": "alps", "score_date": DAY}, "a", table, {})
    assert not Path(lake.path("labels")).exists()


def test_new_files_made_from_a_state_that_is_gone_are_refused(lake):
    where = {"region": "alps", "score_date": DAY}
    lake.commit(LABELS, [written(lake, "alps", "a", ["1"])], where, {})
    with pytest.raises(ConflictError, match="changed since it was read"):
        lake.commit(LABELS, [written(lake, "alps", "b", ["2"])], where, {}, base=set())
    assert users(lake) == ["1"]


def test_commits_of_different_partitions_side_by_side_all_arrive(lake):
    lake.commit(LABELS, [written(lake, "alps", "a", ["1"])], {"region": "alps", "score_date": DAY}, {})
    days = [(dt.date(2025, 4, 1) + dt.timedelta(days=n)).isoformat() for n in range(8)]
    files = {day: written(lake, "coast", f"f{day}", [day], day) for day in days}
    barrier = threading.Barrier(4)

    def commit(mine: list[str]) -> None:
        barrier.wait()
        for day in mine:
            lake.commit(LABELS, [files[day]], {"region": "coast", "score_date": day}, {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(commit, [days[n::4] for n in range(4)]))
    assert sorted(users(lake, region="coast")) == days
    assert users(lake, region="alps") == ["1"]


def test_two_writers_of_one_partition_leave_one_of_them_whole(lake):
    where = {"region": "alps", "score_date": DAY}
    lake.commit(LABELS, [written(lake, "alps", "old", ["0"])], where, {})
    barrier = threading.Barrier(2)

    def commit(name: str) -> str:
        file = written(lake, "alps", name, [f"{name}{n}" for n in range(3)])
        base = {f.path for f in lake.files(LABELS, **where)}
        barrier.wait()
        try:
            lake.commit(LABELS, [file], where, {}, base=base)
        except ConflictError:
            return "conflict"
        return name

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(commit, ["a", "b"]))
    assert sorted(results)[-1] == "conflict"
    winner = next(r for r in results if r != "conflict")
    assert users(lake) == [f"{winner}{n}" for n in range(3)]


def test_appends_hand_out_a_number_once(lake):
    def row(name: str) -> DataFile:
        columns = [[1], [name], [name], [dt.date(2025, 3, 1)], ["why"]]
        table = pa.table([pa.array(c) for c in columns], schema=CHAMPIONS.file_schema("string"))
        return lake.write(CHAMPIONS, {"region": "alps"}, name, table, {})

    lake.append(CHAMPIONS, [row("a")], {}, None)
    version = lake.version(CHAMPIONS)
    lake.append(CHAMPIONS, [row("b")], {}, version)
    with pytest.raises(ConflictError):
        lake.append(CHAMPIONS, [row("c")], {}, version)
    assert lake.read_rows(CHAMPIONS)["version"].to_pylist() == ["a", "b"]


FULL = """
import sys
sys.path[:0] = ["src", "."]
from tests.unit.test_storage import written
from propensity.storage import Lake
from propensity.config import load_config
import resource
lake = Lake(load_config(sys.argv[1], sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    written(lake, "alps", "a", [str(n) for n in range(5000)])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_one_clear_line_and_leaves_no_half_file(tmp_path):
    config = make_config(tmp_path)
    command = [sys.executable, "-c", FULL, str(config.folder), str(tmp_path / "home")]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert said.stdout.startswith("MachineError"), said
    assert "free disk space" in said.stdout
    assert not list((tmp_path / "home").rglob("*.parquet*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY  # the limit was the child's alone


def test_table_contracts_have_one_shape():
    for contract in ALL_TABLES:
        schema = contract.table_schema("int64")
        assert schema.names[: len(contract.partition_by)] == list(contract.partition_by)
        assert set(contract.key) <= set(schema.names)
        assert len(set(schema.names)) == len(schema.names)
