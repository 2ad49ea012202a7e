"""The landing: the one step that moves data between machines.

Tasks read files and add events up; Spark carries whole Arrow tables, as bytes, to the task that writes their
(region, month, bucket).  So the JVM moves a few blobs and never sees a row.  A landing that takes less time than Spark's start
is done in this process, by the same functions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from propensity.config import Config
from propensity.contracts import TOKENS
from propensity.engine.buckets import keep_modules, map_buckets, map_here, progress, raised
from propensity.errors import ConflictError, PropensityError
from propensity.events.activity import Examined, Group, GroupKey, Opened, aggregate, digest_of, examine, open_events, write_group
from propensity.events.checks import Tally
from propensity.events.landing import Landing, commit_landing, groups_of, plan_landing, staged_sources, write_manifest
from propensity.events.source import SourceFile
from propensity.features.tokens import Vocabulary, Words, load, union
from propensity.storage import DataFile, Lake

if TYPE_CHECKING:
    from pyspark import SparkContext

FILES_A_TASK = 16
SMALL = 8 * 2**20
"""Bytes to read up to which no Spark is started: 2 to 5 s in one process (0.6 million events of one field; 0.4 of six)."""
TASK_BYTES = 4 * 2**20
"""Bytes of event files for each task that writes."""
COMMIT_ATTEMPTS = 5


def land(lake: Lake, landing: Landing, small: int = SMALL) -> int:
    """Stage a landing: write activity files and each region's manifest, commit nothing but new token ids.

    With no more than `small` bytes to read, no Spark is started.  Return the number of activity rows.  Raise DataError for a file
    that cannot be read as its source says.
    """
    config, groups = lake.config, groups_of(lake, landing)
    here = _bytes(landing, groups) <= small
    chunks = [landing.files[n : n + FILES_A_TASK] for n in range(0, len(landing.files), FILES_A_TASK)]
    opened = {file: open_events(config, file, landing.days) for file in landing.files} if here else {}
    if here:
        examined = [examine(config, file, opened[file]) for file in landing.files]
    else:
        examined = map_buckets(config, _examine, chunks, (config, landing), "files examined")
    found = Tally()
    for part in examined:
        found.merge(part.tally)
    vocabulary = _admit(lake, union(part.words for part in examined))
    shared = _Shared(lake, landing, vocabulary.by_key(), groups)
    written = _one_by_one(shared, opened) if here else _shuffle(shared, chunks)
    for region in landing.regions:
        mine = [pair for key, pairs in written.items() if key[0] == region for pair in pairs]
        write_manifest(lake, landing, region, [g for key, g in groups.items() if key[0] == region], mine, found)
    return sum(file.rows for pairs in written.values() for file, _ in pairs)


def _bytes(landing: Landing, groups: dict[GroupKey, Group]) -> int:
    """Return how many bytes of files are to be read: the events', and those of months that are written anew."""
    return sum(f.size for f in landing.files) + sum(f.size for g in groups.values() if g.compact for f in g.existing)


def commit(lake: Lake, landing_id: str, region: str) -> bool:
    """Commit a region's staged landing; where another landing changed its months since, land what is still due and try again.

    What is landed again comes from the very files that the gate has judged.  Return False when nothing was left to commit.
    Raise ConflictError when the event files themselves have changed meanwhile, or others are always first.
    """
    for _ in range(COMMIT_ATTEMPTS):
        try:
            return commit_landing(lake, landing_id, region)
        except ConflictError:
            judged = staged_sources(lake.config, landing_id, region)
            landing = plan_landing(lake, sorted(judged), regions=[region])
            if landing is None:
                return False  # the other one landed the same days from the same files
            if any(landing.sources[day] != judged[day] for day in landing.days):
                raise
            print(f"another landing changed the same months: landing {len(landing.days)} days again", flush=True)
            land(lake, landing)
            landing_id = landing.id
    raise ConflictError("other landings were always first", where=f"landing {landing_id}", count=COMMIT_ATTEMPTS, do="run again")


def _examine(files: Sequence[SourceFile], shared: tuple[Config, Landing]) -> Examined:
    config, landing = shared
    parts = [examine(config, file, open_events(config, file, landing.days)) for file in files]
    total = Tally()
    for part in parts:
        total.merge(part.tally)
    return Examined(total, union(part.words for part in parts))


def _admit(lake: Lake, words: Words) -> Vocabulary:
    """Give new tokens their ids; a landing beside this one that does the same makes one of the two start again."""
    version = lake.version(TOKENS)
    vocabulary = load(lake)
    new = vocabulary.missing(words)
    if not new:
        return vocabulary
    name = f"{len(vocabulary):010d}-{digest_of(vocabulary.rows(new))[:16]}"
    lake.append(TOKENS, [lake.write(TOKENS, {}, name, vocabulary.rows(new), {})], {"tokens": str(len(new))}, version)
    return vocabulary.extended(new)


@dataclass(frozen=True)
class _Shared:
    lake: Lake
    landing: Landing
    index: Any
    groups: dict[GroupKey, Group]

    def activity(self, file: SourceFile, opened: Opened) -> Iterator[tuple[GroupKey, pa.Table]]:
        """Yield a file's activity by group; rows of a region that does not land now stay where they are."""
        for key, table in aggregate(self.lake.config, file, self.landing.days, self.index, opened).items():
            if key in self.groups:
                yield key, table


_Written: TypeAlias = dict[GroupKey, list[tuple[DataFile, dict[str, str]]]]


def _one_by_one(shared: _Shared, opened: Mapping[SourceFile, Opened]) -> _Written:
    parts: dict[GroupKey, list[pa.Table]] = defaultdict(list)
    for file, events in opened.items():
        for key, table in shared.activity(file, events):
            parts[key].append(table)
    written = map_here(lambda key, groups: write_group(shared.lake, groups[key], parts[key]), list(shared.groups), shared.groups)
    return dict(zip(shared.groups, written, strict=True))


def _shuffle(shared: _Shared, chunks: Sequence[Sequence[SourceFile]]) -> _Written:
    from propensity.engine.session import spark_context  # committing a landing needs no Spark, but where others were first

    context = spark_context(shared.lake.config)
    size = sum(file.size for chunk in chunks for file in chunk)
    tasks = min(len(shared.groups), max(size // TASK_BYTES, 2 * context.defaultParallelism))
    with progress(context, "buckets written"):
        results = _run(context, chunks, sorted(shared.groups), context.broadcast(shared), tasks)
        return dict(raised(result) for result in results)


def _run(
    context: "SparkContext", chunks: Sequence[Sequence[SourceFile]], keys: Sequence[GroupKey], shared: Any, tasks: int
) -> list[Any]:
    def blobs(files: Sequence[SourceFile]) -> Iterator[tuple[GroupKey, bytes]]:
        for file in files:
            for key, table in shared.value.activity(file, open_events(shared.value.lake.config, file, shared.value.landing.days)):
                yield key, _pack(table)
        keep_modules()

    def write(pair: tuple[GroupKey, Iterable[bytes]]) -> Any:
        key, parts = pair
        try:
            return key, write_group(shared.value.lake, shared.value.groups[key], [_unpack(part) for part in parts if part])
        except PropensityError as error:
            return error
        finally:
            keep_modules()

    parts = context.parallelize(list(chunks), len(chunks)).flatMap(blobs)
    # Every group is written, also one that gets no event today: a day that lands again may have lost its rows.
    every = context.parallelize([(key, b"") for key in keys], 1)
    return parts.union(every).groupByKey(tasks).map(write).collect()


def _pack(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _unpack(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob).read_all()
