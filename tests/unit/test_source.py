"""Event files: found by day, read into our columns, refused with a line that says what, where, how many."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.support.shop import FIRST, make_config, make_shop

from propensity.errors import DataError
from propensity.events import source
from propensity.events.activity import region_of

DATED = "{home}/raw/date={date}.parquet"


def dated_config(tmp_path):
    config = make_config(tmp_path)
    path = config.folder / "tables.yaml"
    tables = yaml.safe_load(path.read_text())
    tables["events"][0]["files"] = DATED
    path.write_text(yaml.safe_dump(tables))
    from propensity.config import load_config

    return load_config(config.folder, tmp_path / "home")


def good(rows: int = 3) -> dict[str, pa.Array]:
    return {
        "customer": pa.array([f"c{n}" for n in range(rows)]),
        "market": pa.array(["ALPS"] * rows),
        "happened_at": pa.array([dt.datetime(2025, 1, 1, n) for n in range(rows)], pa.timestamp("ms", tz="UTC")),
        "topic": pa.array(["t"] * rows),
        "brand": pa.array(["b"] * rows),
        "amount": pa.array([1.0] * rows),
    }


def read(tmp_path, columns):
    config = dated_config(tmp_path)
    path = config.home / "raw" / "date=2025-01-01.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    (file,) = source.find_files(config, [FIRST])
    return source.read(config, file)


def test_a_good_file(tmp_path):
    table = read(tmp_path, good())
    assert sorted(table.column_names) == ["brand", "event_time", "region", "topic", "user_id", "value"]
    assert table["event_time"].type == source.TIME


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("customer", pa.array([1.5, 2.5, 3.5]), "column customer is double, wants string (3 in all) for example 1.5, 2.5, 3.5"),
        ("customer", pa.array([1, 2, 3]), "column customer is int64, wants string"),
        ("happened_at", pa.array(["noon", "1", "2"]), "column happened_at is string, wants timestamp"),
        ("amount", pa.array(["1 EUR", "2", "3"]), "column amount is string, wants double"),
        ("topic", pa.array([[1], [2], [3]]), "column topic is list"),
    ],
)
def test_a_wrong_type_names_column_file_and_examples(tmp_path, column, values, says):
    with pytest.raises(DataError) as caught:
        read(tmp_path, good() | {column: values})
    assert says in str(caught.value)
    assert "date=2025-01-01.parquet" in str(caught.value)


def test_naive_times_are_utc_and_dates_are_midnight(tmp_path):
    naive = read(tmp_path, good() | {"happened_at": pa.array([dt.datetime(2025, 1, 1, 7)] * 3, pa.timestamp("ns"))})
    assert naive["event_time"][0].as_py() == dt.datetime(2025, 1, 1, 7, tzinfo=dt.UTC)
    date = read(tmp_path, good() | {"happened_at": pa.array([dt.date(2025, 1, 1)] * 3)})
    assert source.days_of(date["event_time"]).to_pylist() == [20089] * 3


def test_dictionary_and_null_columns_are_read(tmp_path):
    table = read(tmp_path, good() | {"topic": good()["topic"].dictionary_encode(), "brand": pa.nulls(3)})
    assert table["topic"].to_pylist() == ["t"] * 3
    assert table["brand"].null_count == 3


def test_a_missing_column_says_what_the_file_has(tmp_path):
    columns = good()
    del columns["topic"]
    with pytest.raises(DataError, match=r"check columns: .*for example topic.*the file has customer, market"):
        read(tmp_path, columns)


def test_a_truncated_file_is_not_a_whole_one(tmp_path):
    config = dated_config(tmp_path)
    path = config.home / "raw" / "date=2025-01-01.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(good()), path)
    path.write_bytes(path.read_bytes()[:-20])
    (file,) = source.find_files(config, [FIRST])
    with pytest.raises(DataError, match="check readable: not a whole Parquet file"):
        source.read(config, file)


def test_missing_days_are_counted_and_named(tmp_path):
    config = dated_config(tmp_path)
    days = [FIRST + dt.timedelta(days=n) for n in range(7)]
    with pytest.raises(DataError, match=r"days without a file \(7 in all\) for example 2025-01-01"):
        source.find_files(config, days)


def test_an_undated_source_without_files_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no Parquet file there"):
        source.find_files(make_config(tmp_path), [FIRST])


def test_a_fingerprint_follows_the_files_of_its_day(tmp_path):
    lake = make_shop(tmp_path, customers=2, days=40)
    files = source.find_files(lake.config, [FIRST])
    before = source.fingerprint(files, FIRST)
    assert source.fingerprint(source.find_files(lake.config, [FIRST]), FIRST) == before
    (lake.config.home / "raw" / "2025-02.parquet").unlink()
    assert source.fingerprint(source.find_files(lake.config, [FIRST]), FIRST) != before


def test_regions_by_value_and_unknown_ones(tmp_path):
    config = make_config(tmp_path)
    found = region_of(config, pa.chunked_array([["COAST", "alps", None, "ALPS"]]))
    assert [found.names[position] for position in found.of] == ["coast", "?", "?", "alps"]
    assert found.known().tolist() == [True, False, False, True]
