"""The landing on Spark: the one step that moves data between machines.

Tasks read files and add events up; Spark carries whole Arrow tables, as bytes, to the task that writes their
(region, month, bucket).  So the JVM moves a few blobs and never sees a row.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import SparkContext

from propensity.config import Config
from propensity.contracts import TOKENS
from propensity.engine.buckets import map_buckets, progress, raised
from propensity.engine.session import spark_context
from propensity.errors import PropensityError
from propensity.events.activity import Examined, GroupKey, aggregate, digest_of, examine, write_group
from propensity.events.checks import Tally
from propensity.events.landing import Landing, groups_of, write_manifest
from propensity.events.source import SourceFile
from propensity.features.tokens import Vocabulary, load
from propensity.storage import DataFile, Lake

FILES_A_TASK = 16


def land(lake: Lake, landing: Landing) -> int:
    """Stage a landing: write activity files and each region's manifest, commit nothing but new token ids.

    Return the number of activity rows.  Raise DataError for a file that cannot be read as its source says.
    """
    config = lake.config
    chunks = [landing.files[n : n + FILES_A_TASK] for n in range(0, len(landing.files), FILES_A_TASK)]
    examined = map_buckets(config, _examine, chunks, (config, landing), "files examined")
    found = Tally()
    for part in examined:
        found.merge(part.tally)
    vocabulary = _admit(lake, set().union(*(part.tokens for part in examined)))
    written = _shuffle(lake, landing, chunks, vocabulary)
    for region in config.region_names:
        mine = [pair for key, pairs in written.items() if key[0] == region for pair in pairs]
        groups = groups_of(lake, landing, [region])
        write_manifest(lake, landing, region, groups.values(), mine, found)
    return sum(file.rows for pairs in written.values() for file, _ in pairs)


def _examine(files: Sequence[SourceFile], shared: tuple[Config, Landing]) -> Examined:
    config, landing = shared
    total = Examined(Tally(), set())
    for file in files:
        part = examine(config, file, landing.days)
        total.tally.merge(part.tally)
        total.tokens.update(part.tokens)
    return total


def _admit(lake: Lake, tokens: set[tuple[str, str, str]]) -> Vocabulary:
    """Give new tokens their ids; a landing beside this one that does the same makes one of the two start again."""
    version = lake.version(TOKENS)
    vocabulary = load(lake)
    new = vocabulary.missing(tokens)
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
    groups: dict[GroupKey, Any]


def _shuffle(
    lake: Lake, landing: Landing, chunks: Sequence[Sequence[SourceFile]], vocabulary: Vocabulary
) -> dict[GroupKey, list[tuple[DataFile, dict[str, str]]]]:
    groups = groups_of(lake, landing, lake.config.region_names)
    context = spark_context(lake.config)
    shared = context.broadcast(_Shared(lake, landing, vocabulary.by_key(), groups))
    with progress(context, "buckets written"):
        results = _run(context, chunks, sorted(groups), shared)
    return dict(raised(result) for result in results)


def _run(context: SparkContext, chunks: Sequence[Sequence[SourceFile]], keys: Sequence[GroupKey], shared: Any) -> list[Any]:
    def blobs(files: Sequence[SourceFile]) -> Iterator[tuple[GroupKey, bytes]]:
        inner: _Shared = shared.value
        for file in files:
            for key, table in aggregate(inner.lake.config, file, inner.landing.days, inner.index).items():
                yield key, _pack(table)

    def write(pair: tuple[GroupKey, Iterable[bytes]]) -> Any:
        key, parts = pair
        try:
            return key, write_group(shared.value.lake, shared.value.groups[key], [_unpack(part) for part in parts if part])
        except PropensityError as error:
            return error

    parts = context.parallelize(list(chunks), len(chunks)).flatMap(blobs)
    # Every group is written, also one that gets no event today: a day that lands again may have lost its rows.
    every = context.parallelize([(key, b"") for key in keys], 1)
    return parts.union(every).groupByKey(min(len(keys), 64)).map(write).collect()


def _pack(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _unpack(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob).read_all()
