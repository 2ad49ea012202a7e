"""Publishing: the database holds what the lake holds, once, whatever is repeated."""

import datetime as dt

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.contracts import SCORES
from propensity.delivery import report
from propensity.delivery.binary import COLUMNS, encode
from propensity.delivery.database import connected, database_url, prepare, shown
from propensity.delivery.load import copy_file, open_load
from propensity.delivery.publish import publish
from propensity.errors import ConfigError, ConflictError, DataError, MachineError
from tests.support.postgres import PASSWORD
from tests.support.scores import CATEGORIES, DATE, in_lake, published, rows_in, run_here, score_lake, score_table, single, stage


def test_a_published_day_is_the_same_in_both_tables(tmp_path, database_address):
    lake = score_lake(tmp_path)
    staged = stage(lake, "run1", users=501, files=3)
    done = publish(lake, staged, database_address, run_here)
    assert (done.rows, done.run_id, done.model_version, done.skipped) == (501, "run1", "v1", False)
    rows = published(database_address)
    assert len(rows) == 501
    assert rows == in_lake(lake)
    assert rows_in(database_address, "SELECT region, score_date, run_id, model_version, rows FROM publications") == [
        ("alps", dt.date.fromisoformat(DATE), "run1", "v1", 501)
    ]


def test_pairs_have_names_and_ranks(tmp_path, database_address):
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "run1", users=5), database_address, run_here)
    user, categories, scores, *_ = published(database_address)[0]
    pairs = rows_in(
        database_address, "SELECT category, name, score, rank FROM score_pairs WHERE user_id = %s ORDER BY rank", user
    )
    assert [(p[0], p[1], np.float32(p[2]), p[3]) for p in pairs] == [
        (c, f"topic {c}", s, n + 1) for n, (c, s) in enumerate(zip(categories, scores, strict=True))
    ]
    assert len(rows_in(database_address, "SELECT id FROM categories")) == CATEGORIES


def test_publishing_again_is_nothing_to_do(tmp_path, database_address):
    lake = score_lake(tmp_path)
    staged = stage(lake, "run1")
    publish(lake, staged, database_address, run_here)

    def no_tasks(*_):
        pytest.fail("started tasks for what is published")

    assert publish(lake, staged, database_address, no_tasks).skipped
    assert len(published(database_address)) == 100


def test_force_loads_again_and_leaves_one_set_of_rows(tmp_path, database_address):
    lake = score_lake(tmp_path)
    staged = stage(lake, "run1")
    publish(lake, staged, database_address, run_here)
    before = published(database_address)
    assert not publish(lake, staged, database_address, run_here, force=True).skipped
    assert published(database_address) == before


def test_a_new_run_replaces_its_partition_and_no_other(tmp_path, database_address):
    lake = score_lake(tmp_path)
    for region, date in (("alps", DATE), ("alps", "2025-03-02"), ("coast", DATE)):
        publish(lake, stage(lake, f"old{region}{date[-1]}", region=region, date=date), database_address, run_here)
    publish(lake, stage(lake, "new", users=70, seed=9), database_address, run_here)
    found = rows_in(
        database_address, "SELECT region, score_date::text, run_id, count(*) FROM scores GROUP BY 1, 2, 3 ORDER BY 1, 2"
    )
    assert found == [("alps", DATE, "new", 70), ("alps", "2025-03-02", "oldalps2", 100), ("coast", DATE, "oldcoast1", 100)]
    assert in_lake(lake) == published(database_address)
    assert rows_in(database_address, "SELECT load FROM loads UNION ALL SELECT load FROM load_files") == []


def test_a_task_that_runs_twice_copies_once(tmp_path, database_address):
    lake = score_lake(tmp_path)

    def twice(function, items, shared):
        return [function(item, shared) for item in items for _ in range(2)]

    publish(lake, stage(lake, "run1"), database_address, twice)
    assert len(published(database_address)) == 100


def test_a_task_of_an_abandoned_load_is_refused(tmp_path, database_address):
    lake = score_lake(tmp_path)
    staged = stage(lake, "run1")
    with connected(database_address) as connection:
        prepare(connection, "string", lake.config.region_names)
        old = open_load(connection, database_address, "alps", DATE, "run1")
        open_load(connection, database_address, "alps", DATE, "run1")
    with pytest.raises(ConflictError, match="later attempt"):
        copy_file(staged.files[0], (lake, old))


def test_a_lost_file_stops_before_anything_is_written(tmp_path, database_address):
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "old"), database_address, run_here)
    staged = stage(lake, "new")
    (tmp_path / "home" / "own_events" / "lake" / "scores" / staged.files[1].path).unlink()
    with pytest.raises(DataError, match=r"gone.*00001-new"):
        publish(lake, staged, database_address, run_here)
    assert {row[-1] for row in published(database_address)} == {row[-1] for row in in_lake(lake)} == {"old"}


def test_a_customer_in_two_files_keeps_the_old_rows_published(tmp_path, database_address):
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "old"), database_address, run_here)
    staged = stage(lake, "new")
    again = lake.write(SCORES, staged.partition, "00009-new", lake.read("scores", staged.files[0]), {})
    broken = type(staged)("new", "alps", DATE, "v1", (*staged.files, again))
    with pytest.raises(DataError, match=r"two rows.*Key \(user_id\)=\(alps-"):
        publish(lake, broken, database_address, run_here)
    assert {row[-1] for row in published(database_address)} == {"old"}


def test_another_run_that_commits_meanwhile_is_a_conflict(tmp_path, database_address):
    lake = score_lake(tmp_path)

    def overtaken(function, items, shared):
        other = stage(lake, "other", seed=5)
        lake.commit(SCORES, other.files, other.partition, {})
        return run_here(function, items, shared)

    with pytest.raises(ConflictError, match="another run"):
        publish(lake, stage(lake, "mine"), database_address, overtaken)
    assert published(database_address) == []


def test_a_database_of_other_user_ids_is_refused(tmp_path, database_address):
    with connected(database_address) as connection:
        prepare(connection, "int64", ["alps"])
    lake = score_lake(tmp_path)
    with pytest.raises(ConfigError, match=r"user ids of type bigint, the configuration says string"):
        publish(lake, stage(lake, "run1"), database_address, run_here)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/postgres",
        f"host=127.0.0.1 port=1 password={PASSWORD}",
        f"nonsense {PASSWORD}",
    ],
)
def test_an_unreachable_database_is_one_line_without_the_password(address):
    with pytest.raises(MachineError) as caught, connected(address):
        pass
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in shown(address)


def test_a_wrong_password_is_one_line_without_it(database_address):
    with (
        pytest.raises(MachineError, match="authentication") as caught,
        connected(database_address.replace(PASSWORD, "wr0ng-one")),
    ):
        pass
    assert "wr0ng-one" not in str(caught.value)


def test_the_address_comes_from_environment_then_configuration_then_the_embedded_server(tmp_path, monkeypatch):
    lake = score_lake(tmp_path)
    monkeypatch.delenv("PROPENSITY_DATABASE_URL", raising=False)
    with pytest.raises(MachineError, match="no database"):
        database_url(lake.config)
    path = lake.config.home / "postgres" / "address"
    path.parent.mkdir()
    path.write_text("postgresql://embedded\n")
    assert database_url(lake.config) == "postgresql://embedded"
    monkeypatch.setenv("PROPENSITY_DATABASE_URL", "postgresql://other")
    assert database_url(lake.config) == "postgresql://other"


AWKWARD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    users=st.lists(AWKWARD, unique=True, max_size=8),
    k=st.lists(st.integers(0, CATEGORIES), min_size=8, max_size=8),
    rows=st.integers(1, 9),
)
def test_any_user_id_and_any_number_of_categories_arrive_as_they_are(tmp_path_factory, postgres_server, users, k, rows):
    table = score_table(Lake, users, "run'1;--", seed=len(users), k=k)
    with psycopg.connect(postgres_server) as connection:
        connection.execute(
            "CREATE TEMP TABLE t (user_id text, categories int[], scores real[], "
            "score_source text, model_version text, run_id text)"
        )
        with connection.cursor().copy(f"COPY t ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)") as sink:
            for chunk in encode(table, rows):
                sink.write(chunk)
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM t").fetchall()
    assert sorted(map(single, found)) == sorted(single(tuple(row.values())) for row in table.to_pylist())


class Lake:
    """As much of a lake as `score_table` asks for."""

    user_type = "string"


def test_integer_ids_arrive_as_they_are(postgres_server):
    users = pa.array([-(2**63), 0, 2**63 - 1])
    table = score_table(Lake, ["a", "b", "c"], "run", seed=1).set_column(0, "user_id", users)
    with psycopg.connect(postgres_server) as connection:
        connection.execute("CREATE TEMP TABLE t (user_id bigint, categories int[], scores real[], a text, b text, c text)")
        with connection.cursor().copy("COPY t FROM STDIN (FORMAT binary)") as sink:
            for chunk in encode(table):
                sink.write(chunk)
        assert connection.execute("SELECT array_agg(user_id) FROM t").fetchone() == (users.to_pylist(),)


def test_the_report_counts_partitions_and_names_categories(tmp_path, database_address):
    assert report.partitions(database_address) == []
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "run1", users=30), database_address, run_here)
    publish(lake, stage(lake, "run2", users=20, region="coast"), database_address, run_here)
    assert report.partitions(database_address) == [
        report.Partition("alps", DATE, "run1", "v1", 30),
        report.Partition("coast", DATE, "run2", "v1", 20),
    ]
    assert [p.region for p in report.partitions(database_address, "coast")] == ["coast"]
    found = report.customers(database_address, "alps", DATE, limit=4, top=2)
    best = sorted(published(database_address), key=lambda row: -row[2][0])[:4]
    assert [c.user_id for c in found] == [row[0] for row in best]
    for customer, row in zip(found, best, strict=True):
        assert [name for name, _ in customer.top] == [f"topic {c}" for c in row[1][:2]]
        assert [np.float32(score) for _, score in customer.top] == row[2][:2]


def test_a_schema_of_its_own_by_the_address(tmp_path, database_address):
    """Two configurations can share a database: the address says which schema is theirs."""
    with psycopg.connect(database_address, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA mine")
    address = f"{database_address}?options=-csearch_path%3Dmine"
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "run1"), address, run_here)
    assert published(address) == in_lake(lake)
    assert rows_in(database_address, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'scores%%'") == [("mine",)]


def test_the_longest_names_of_region_and_run_fit(tmp_path, database_address):
    region = "r" * 40
    lake = score_lake(tmp_path)
    regions = lake.config.regions.model_copy(update={"regions": {region: next(iter(lake.config.regions.regions.values()))}})
    lake.config = lake.config.model_copy(update={"regions": regions})
    for run in ("a" * 40, "b" * 40):
        publish(lake, stage(lake, run, users=3, region=region), database_address, run_here)
    assert [p.run_id for p in report.partitions(database_address)] == ["b" * 40]
