"""Publishing a day's scores to Postgres, beside bare COPY of the same rows by the same number of connections.

Ours is ``delivery.publish.publish`` as the job calls it: commit to the lake, read the score files, lay the rows out, COPY them
into a table of the run's own, primary key, statistics, count, swap the table in, count again.  Each turn publishes another run
than the one that stands there.  Bare COPY sends bytes laid out before, into a table of the same columns with no key.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from ops.postgres import postgres
from ops.process import free_port

from benchmarks.speed import publish_peers as peers
from benchmarks.speed.contest import load, rows_of, times
from benchmarks.speed.publish_profile import profile
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.contracts import FEATURES, SCORE_SOURCES, SCORES
from propensity.delivery.publish import publish
from propensity.engine.buckets import map_here
from propensity.engine.worker_model import Champion, model_of
from propensity.features.csr import from_arrow
from propensity.quality.staged import StagedScores
from propensity.storage import DataFile, Lake

USERS = {False: 200_000, True: 50_000}
"""By whether less is wanted."""
TOP, BUCKETS, CONNECTIONS = 50, 8, 2
RUNS = "a" * 20, "b" * 20
PROCESSES, THREADS = "ours, two processes", "ours, two threads of one process"
BARE, KEYED = "bare COPY, bytes laid out before", "the same, then a primary key"
FILES = "bare COPY of the score files, read and laid out on the way"
ROWS, INSERTS = "COPY of Python's values by write_row", "INSERT by executemany"
SHARE = {ROWS: 10, INSERTS: 40}
"""These load one row in so many."""


@dataclass(frozen=True)
class Ready:
    """What the contenders load."""

    lake: Lake
    staged: tuple[StagedScores, StagedScores]
    """The same scores as two runs: publishing one replaces the other."""
    files: dict[str, list[Path]]
    """What peers send, a file for each connection, by contender."""
    bytes: int
    """Of the rows in COPY's binary format."""


def scored(lake: Lake, champion: Champion) -> list[pa.Table]:
    """Return each feature file's customers with their likeliest categories, as the score table has them."""
    model, schema, tables = model_of(champion, lake.config, "float32"), SCORES.file_schema(lake.user_type), []
    for file in lake.files(FEATURES, region=REGION, score_date=DAY.isoformat()):
        rows = lake.read(FEATURES.name, file).combine_chunks()
        parts = [schema.empty_table()]
        for batch in rows.to_batches(max_chunksize=1024):
            scores = model.score(from_arrow(batch["indices"], batch["values"]), TOP)
            names = pa.array(SCORE_SOURCES).take(pa.array(scores.source))
            labels = [pa.repeat(text, batch.num_rows) for text in (champion.version, RUNS[0])]
            offsets = pa.array(np.arange(batch.num_rows + 1, dtype=np.int32) * np.int32(scores.categories.shape[1]))
            flat = scores.categories.ravel(), scores.probabilities.ravel()
            pairs = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in flat]
            parts.append(pa.table([batch["user_id"], *pairs, names, *labels], schema=schema))
        tables.append(pa.concat_tables(parts).combine_chunks())
    return tables


def ready(home: Path, users: int) -> Ready:
    """Make the scores, stage them as two runs, write what peers send."""
    lake, champion = reference_lake(home, Shape(users, BUCKETS, features=20_000, hidden=64), top=TOP)
    tables = scored(lake, champion)
    partition = {"region": REGION, "score_date": DAY.isoformat()}

    def stage(run: str) -> StagedScores:
        at = SCORES.file_schema(lake.user_type).get_field_index("run_id")
        files = [
            lake.write(SCORES, partition, f"{bucket:05d}-{run}", t.set_column(at, "run_id", pa.repeat(run, len(t))), {})
            for bucket, t in enumerate(tables)
        ]
        return StagedScores(run, REGION, DAY.isoformat(), model_version=champion.version, files=tuple(files))

    folder = home / "sent"
    folder.mkdir(parents=True, exist_ok=True)
    mine = [tables[number::CONNECTIONS] for number in range(CONNECTIONS)]
    files = {BARE: [folder / f"{number}.bin" for number in range(CONNECTIONS)]}
    size = sum(peers.write_bytes(some, path) for some, path in zip(mine, files[BARE], strict=True))
    for name, share in SHARE.items():
        files[name] = [folder / f"{number}-{share}.parquet" for number in range(CONNECTIONS)]
        for some, path in zip(mine, files[name], strict=True):
            rows = pa.concat_tables(some)
            pq.write_table(rows.slice(0, len(rows) // share), path)
    return Ready(lake, (stage(RUNS[0]), stage(RUNS[1])), {**files, KEYED: files[BARE]}, size)


class Contest:
    """The contenders on one server, in turns."""

    def __init__(self, url: str, given: Ready, some: Sequence[peers.Sender]) -> None:
        self.url, self.given, self.senders, self._turns = url, given, some, 0
        self.contenders: dict[str, Callable[[], float]] = {
            PROCESSES: partial(self._ours, peers.tasks_in(some)),
            BARE: partial(self._bare, BARE, "bytes"),
            FILES: partial(self._bare, FILES, "files"),
            THREADS: partial(self._ours, _in_threads),
            KEYED: partial(self._bare, KEYED, "bytes", then=peers.KEY),
            ROWS: partial(self._bare, ROWS, "rows"),
            INSERTS: partial(self._bare, INSERTS, "inserts"),
        }

    def next_run(self) -> StagedScores:
        """Return the run that is not published."""
        self._turns += 1
        return self.given.staged[self._turns % 2]

    def _ours(self, run_tasks: Any) -> float:
        staged = self.next_run()
        self._execute("CHECKPOINT")
        started = time.perf_counter()
        done = publish(self.given.lake, staged, self.url, run_tasks)
        spent = time.perf_counter() - started
        if done.skipped:
            raise SystemExit("error: nothing was published; nothing is reported")
        return spent

    def _bare(self, name: str, what: str, then: str = "") -> float:
        self._execute("DROP TABLE IF EXISTS bare", peers.PLAIN, "CHECKPOINT")
        arguments: list[Sequence[Any]] = []
        peers.side_by_side(self.senders, "prepare", self.given.files.get(name, [None] * CONNECTIONS))
        if name == FILES:
            scores = self.given.staged[0].files
            arguments = [[self.given.lake] * CONNECTIONS, [scores[number::CONNECTIONS] for number in range(CONNECTIONS)]]
        started = time.perf_counter()
        peers.side_by_side(self.senders, what, *arguments)
        if then:
            self._execute(then)
        return time.perf_counter() - started

    def same_rows(self) -> None:
        """Raise SystemExit unless bare COPY's table has the rows that ours published."""
        columns = "user_id, categories, scores, score_source, model_version"
        differing = self._execute(
            f"SELECT count(*) FROM (SELECT {columns} FROM scores EXCEPT ALL SELECT {columns} FROM bare) AS t"  # noqa: S608
        )
        counts = self._execute("SELECT (SELECT count(*) FROM scores) - (SELECT count(*) FROM bare)")
        if (differing, counts) != (0, 0):
            raise SystemExit(f"error: {differing} rows differ, {counts} too many; nothing is reported")

    def _execute(self, *statements: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _in_threads(copy: Any, files: Sequence[DataFile], shared: Any) -> list[int]:
    return map_here(copy, files, shared)


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return every contender's figures, and where our time goes; what the server has lies below `home`."""
    home, before, rounds = home.resolve(), load(), 1 if fast else 3
    given = ready(home, USERS[fast])
    users, spent = given.staged[0].rows, dict[str, list[float]]()
    with postgres(home, free_port()) as server, peers.senders(server.address, CONNECTIONS) as some:
        contest = Contest(server.address, given, some)
        contest.contenders[PROCESSES]()  # to warm up: the server, both processes, the files
        contest.contenders[KEYED]()
        contest.same_rows()
        for number in range(rounds):
            for name, run in contest.contenders.items():
                spent.setdefault(name, []).append(run())
            print(f"round {number + 1} of {rounds}: {', '.join(f'{name} {all_[-1]:.2f}' for name, all_ in spent.items())}")
        profiles = [profile(given.lake, contest.next_run(), server.address) for _ in range(rounds)]
    found = {name: _figures(all_, users // SHARE.get(name, 1), given.bytes / users) for name, all_ in spent.items()}
    parts = {name: statistics.median(one[name] for one in profiles) for name in profiles[0]}
    return {"users": users, "bytes": given.bytes, "rounds": rounds, "contenders": found, "parts": parts,
            "load": [before, load()]}  # fmt: skip


def _figures(seconds: Sequence[float], rows: int, size: float) -> dict[str, Any]:
    middle = statistics.median(seconds)
    return {"rows": rows, "seconds": middle, "all_s": list(seconds), "rows_s": rows / middle, "mb_s": rows * size / middle / 1e6}


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown lines."""
    found, parts = result["contenders"], result["parts"]
    bare, whole = found[BARE], sum(result["parts"].values())
    lines = []
    for name, f in found.items():
        share = f["rows"] / bare["rows"] / times(bare["all_s"], f["all_s"])
        lines.append([name, f"{f['rows']:,}", f"{f['seconds']:.2f}", f"{f['rows_s']:,.0f}", f"{f['mb_s']:.0f}", f"{share:.2f}"])
    shares = [[name, f"{s:.3f}", f"{1e6 * s / result['users']:.2f}", f"{100 * s / whole:.0f}%"] for name, s in parts.items()]
    return [
        *rows_of(["two connections", "rows", "s", "rows a second", "MB/s", "× bare COPY"], lines), "",
        *rows_of(["ours, by one connection alone", "s", "µs a row", "share"], shares), "",
        f"{result['users']:,} rows of {TOP} pairs, {result['bytes'] / 1e6:.0f} MB in COPY's binary format; client and "
        f"server share the cores; median of "
        f"{result['rounds']}; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]  # fmt: skip
