"""The Complete Journey as event files: what is written, and what stays as it is."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from propensity.events import complete_journey
from propensity.events.complete_journey import VERSION, prepare

FIRST = "date=2017-01-01.parquet"
Seen = dict[str, tuple[bytes, int]]


@pytest.fixture(scope="module")
def fewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own files with every fortieth household's purchases."""
    folder = tmp_path_factory.mktemp("data")
    for file in complete_journey._package_folder().glob("*.parquet"):
        if file.name != "transactions.parquet":
            (folder / file.name).symlink_to(file)
            continue
        households = pc.field("household_id").isin(range(0, 3000, 40))
        pq.write_table(pq.read_table(file, filters=households), folder / file.name)
    return folder


@pytest.fixture
def raw(fewer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(complete_journey, "_package_folder", lambda: fewer)
    assert prepare(tmp_path)["skipped"] == 0
    return tmp_path


def seen(raw: Path) -> Seen:
    return {str(p.relative_to(raw)): (p.read_bytes(), p.stat().st_mtime_ns) for p in raw.rglob("*.parquet")}


def households(raw: Path, folder: str) -> set[int]:
    return {h for p in (raw / folder).iterdir() for h in pq.read_table(p)["household_id"].to_pylist()}


def test_a_complete_folder_stays_as_it_is(raw: Path) -> None:
    before = seen(raw)
    assert prepare(raw)["skipped"] == 1
    assert seen(raw) == before


def test_an_older_folder_is_completed_and_what_it_had_stays_as_it_is(raw: Path) -> None:
    whole = seen(raw)
    added = [p for folder in ("demographics", "responses") for p in (raw / folder).iterdir()]
    for path in added:
        path.unlink()
    damaged = raw / "campaigns" / FIRST
    damaged.write_bytes(b"half a file")
    days, rows, version = (raw / "complete").read_text().split()
    assert version == VERSION
    (raw / "complete").write_text(f"{days} {rows}")
    told = prepare(raw)
    assert told == {"days": int(days), "rows": int(rows), "skipped": 0}
    now = seen(raw)
    assert {name: data for name, (data, _) in now.items()} == {name: data for name, (data, _) in whole.items()}
    changed = {name for name in whole if now[name] != whole[name]}
    assert changed == {str(p.relative_to(raw)) for p in [*added, damaged]}
    assert not list(raw.rglob("*.tmp"))


def test_demographics_are_one_event_a_household_on_the_first_day(raw: Path) -> None:
    assert [p.name for p in (raw / "demographics").iterdir()] == [FIRST]
    table = pq.read_table(raw / "demographics" / FIRST)
    assert len(set(table["household_id"].to_pylist())) == table.num_rows > 5
    assert set(table["date"].cast(pa.date32()).to_pylist()) == {dt.date(2017, 1, 1)}
    assert {"age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count"} < set(
        table.schema.names
    )
    assert set(table["region"].to_pylist()) <= {"north", "south"}


def test_a_response_is_a_day_with_a_redemption_once(raw: Path) -> None:
    wanted, got = set(), []
    for path in (raw / "redemptions").iterdir():
        wanted |= {(path.name, h) for h in pq.read_table(path)["household_id"].to_pylist()}
    for path in (raw / "responses").iterdir():
        table = pq.read_table(path)
        got += [(path.name, h) for h in table["household_id"].to_pylist()]
        assert set(table["response"].to_pylist()) == {"coupon"}
    assert sorted(got) == sorted(wanted)
    assert households(raw, "responses") <= households(raw, "purchases")
