"""Publishing while people read, while others publish, and when it is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from tests.support.scores import DATE, in_lake, published, rows_in, run_here, score_lake, stage

from propensity.delivery import load as loading
from propensity.delivery.publish import publish
from propensity.errors import ConflictError

ROOT = Path(__file__).parents[2]
READS = {
    "the partition": f"SELECT run_id, count(*) FROM scores WHERE region = 'alps' AND score_date = '{DATE}' GROUP BY 1",
    "the whole table": "SELECT run_id, count(*) FROM scores GROUP BY 1",
    "the pairs": f"SELECT run_id, count(DISTINCT p.user_id) FROM score_pairs p JOIN publications USING (region, score_date) "
    f"WHERE region = 'alps' AND score_date = '{DATE}' GROUP BY 1",
}


class Reader(threading.Thread):
    """Reads over and over and keeps every answer it got."""

    def __init__(self, address: str, query: str) -> None:
        super().__init__(daemon=True)
        self.address, self.query = address, query
        self.answers: list[list[tuple]] = []
        self.done = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            while not self.done.is_set():
                self.answers.append(connection.execute(self.query).fetchall())


def test_readers_see_the_old_rows_or_the_new_and_never_none(tmp_path, database_address):
    lake = score_lake(tmp_path)
    runs = [stage(lake, f"run{n}", users=300, seed=n) for n in range(12)]
    publish(lake, runs[0], database_address, run_here)
    readers = [Reader(database_address, query) for query in READS.values()]
    for reader in readers:
        reader.start()
    for staged in runs[1:]:
        publish(lake, staged, database_address, run_here)
    for reader in readers:
        reader.done.set()
        reader.join(30)
    for name, reader in zip(READS, readers, strict=True):
        assert len({answer[0][0] for answer in reader.answers if answer}) > 3, f"{name}: too few runs seen"
        wrong = [answer for answer in reader.answers if len(answer) != 1 or answer[0][1] != 300]
        assert not wrong, f"{name}: {len(wrong)} of {len(reader.answers)} reads saw {wrong[:3]}"


KILLED = """
import sys, time
from pathlib import Path
from propensity.config import load_config
from propensity.delivery import load
from propensity.delivery.publish import publish
from propensity.quality.staged import read_staged
from propensity.storage import Lake

home, address = sys.argv[1:]
lake = Lake(load_config(Path(home) / "conf", Path(home) / "home"))
encode = load.encode

def slowly(table):
    for number, chunk in enumerate(encode(table, 8)):
        yield chunk
        if number == 3:
            print("copying", flush=True)
            time.sleep(60)

load.encode = slowly
staged = read_staged(lake.config, "new", "alps", "2025-03-01")
publish(lake, staged, address, lambda f, items, shared: [f(i, shared) for i in items])
"""


def test_a_loader_killed_in_the_middle_of_its_copy_leaves_the_old_rows_and_the_next_run_cleans_up(tmp_path, database_address):
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "old"), database_address, run_here)
    before = published(database_address)
    staged = stage(lake, "new", seed=7)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", KILLED, str(tmp_path), database_address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as loader:
        assert loader.stdout.readline() == "copying\n"
        loader.send_signal(signal.SIGKILL)
    assert loader.returncode == -signal.SIGKILL
    assert published(database_address) == before
    orphans = [name for (name,) in rows_in(database_address, "SELECT load FROM loads")]
    assert len(orphans) == 1

    assert not publish(lake, staged, database_address, run_here).skipped
    assert published(database_address) == in_lake(lake)
    assert {row[-1] for row in published(database_address)} == {"new"}
    assert rows_in(database_address, "SELECT relname FROM pg_class WHERE relname LIKE 'load_new%%'") == []


def test_killed_between_the_lake_and_the_database_the_next_run_finishes(tmp_path, database_address):
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "old"), database_address, run_here)

    def killed(*_):
        raise KeyboardInterrupt

    staged = stage(lake, "new", seed=3)
    with pytest.raises(KeyboardInterrupt):
        publish(lake, staged, database_address, killed)
    assert {row[-1] for row in in_lake(lake)} == {"new"}
    assert {row[-1] for row in published(database_address)} == {"old"}
    assert not publish(lake, staged, database_address, run_here).skipped
    assert published(database_address) == in_lake(lake)


def test_two_attempts_of_one_run_at_once_publish_it_once(tmp_path, database_address):
    lake = score_lake(tmp_path)
    staged = stage(lake, "run1", users=400)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: publish(lake, staged, database_address, run_here), range(4)))
    assert sorted(d.skipped for d in done) == [False, True, True, True]
    assert published(database_address) == in_lake(lake)


def test_regions_publish_side_by_side(tmp_path, database_address):
    lake = score_lake(tmp_path)
    regions = ("alps", "coast", "plains")
    staged = [stage(lake, f"run{r}{d}", region=r, date=f"2025-03-0{d}") for r in regions for d in (1, 2)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda s: publish(lake, s, database_address, run_here), staged))
    counts = rows_in(database_address, "SELECT region, score_date::text, run_id, count(*) FROM scores GROUP BY 1, 2, 3")
    assert sorted(counts) == sorted((s.region, s.score_date, s.run_id, 100) for s in staged)


def test_a_reader_who_holds_the_region_for_long_is_a_conflict_and_not_a_wait_for_ever(tmp_path, database_address, monkeypatch):
    monkeypatch.setattr("propensity.delivery.database.LOCK_WAIT", "300ms")
    lake = score_lake(tmp_path)
    publish(lake, stage(lake, "old"), database_address, run_here)
    staged = stage(lake, "new", seed=1)
    with psycopg.connect(database_address) as reader:
        reader.execute("SELECT count(*) FROM scores")
        started = time.monotonic()
        with pytest.raises(ConflictError, match="long query"):
            publish(lake, staged, database_address, run_here)
        assert time.monotonic() - started < 10
    assert {row[-1] for row in published(database_address)} == {"old"}
    publish(lake, staged, database_address, run_here)
    assert published(database_address) == in_lake(lake)


def test_the_swap_does_not_read_the_rows_again(tmp_path, database_address):
    """Attaching proves the partition by its check constraint; scanning would keep readers waiting for as long as it takes."""
    lake = score_lake(tmp_path)
    notices: list[str] = []
    original = loading.swap_in

    def listening(connection, *rest):
        connection.execute("SET client_min_messages = debug1")
        connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        original(connection, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("propensity.delivery.publish.swap_in", listening)
        publish(lake, stage(lake, "run1"), database_address, run_here)
    assert any("implied by existing constraints" in notice for notice in notices), notices
