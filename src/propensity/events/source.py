"""Event files: find those of a day, check their schema, read them into the project's own columns."""

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from propensity.config import Config, EventSource
from propensity.contracts import USER_TYPES
from propensity.errors import DataError

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class SourceFile:
    """One file to read: all of one day, or the part of an undated file that falls into the days wanted."""

    source: str
    path: str
    day: dt.date | None
    """The day the file's name says, or None."""
    size: int
    modified: int
    """Nanoseconds since 1970, as the storage tells."""


def find_files(config: Config, days: Iterable[dt.date]) -> list[SourceFile]:
    """Return the event files of these days; raise DataError, naming the days, for a file that should be there and is not."""
    wanted = sorted(days)
    found: list[SourceFile] = []
    for source in config.tables.events:
        pattern = location(config, source)
        if "{date}" in pattern:
            found += _dated(source, pattern, wanted)
        else:
            found += _undated(source, pattern)
    return found


def location(config: Config, source: EventSource) -> str:
    """Return where the source's files are: an absolute path or address, ``{date}`` still in it."""
    text = source.files.replace("{home}", str(config.home))
    return text if "://" in text or text.startswith("/") else str(config.folder / text)


def _dated(source: EventSource, pattern: str, days: list[dt.date]) -> list[SourceFile]:
    fs, _ = _filesystem(pattern)
    paths = [_filesystem(pattern.replace("{date}", day.isoformat()))[1] for day in days]
    infos = fs.get_file_info(paths)
    missing = [day for day, info in zip(days, infos, strict=True) if info.type != pafs.FileType.File]
    if missing and not source.optional:
        raise DataError(
            "days without a file", where=f"events.{source.name} ({pattern})", count=len(missing), examples=missing,
            do="deliver the files, or say `optional: true` when a day may have none",
        )  # fmt: skip
    pairs = [(day, info) for day, info in zip(days, infos, strict=True) if info.type == pafs.FileType.File]
    return [SourceFile(source.name, info.path, day, info.size, info.mtime_ns or 0) for day, info in pairs]


def _undated(source: EventSource, pattern: str) -> list[SourceFile]:
    fs, path = _filesystem(pattern)
    info = fs.get_file_info(path)
    if info.type == pafs.FileType.Directory:
        listing = fs.get_file_info(pafs.FileSelector(path, recursive=True))
        files = sorted(
            (i for i in listing if i.type == pafs.FileType.File and i.path.endswith(".parquet")), key=lambda i: str(i.path)
        )
    else:
        files = [info] if info.type == pafs.FileType.File else []
    if not files and not source.optional:
        raise DataError("no Parquet file there", where=f"events.{source.name} ({pattern})", do="correct `files` in tables.yaml")
    return [SourceFile(source.name, i.path, None, i.size, i.mtime_ns or 0) for i in files]


def _filesystem(address: str) -> tuple[pafs.FileSystem, str]:
    if "://" not in address:
        return pafs.LocalFileSystem(), address
    fs, path = pafs.FileSystem.from_uri(address)
    return fs, path


def fingerprint(files: Iterable[SourceFile], day: dt.date) -> str:
    """Return what identifies the content a day is read from: path, size and time of change of each of its files."""
    mine = sorted((f.source, f.path, f.size, f.modified) for f in files if f.day in (None, day))
    return hashlib.sha256(repr(mine).encode()).hexdigest()


def read(config: Config, file: SourceFile) -> pa.Table:
    """Return a file's events: user_id, region, event_time, value and the source's token fields, all checked for type.

    Fields are strings; values a float64; times UTC, in microseconds.  Raise DataError when the file is damaged, a column is
    missing, or a type is wrong.
    """
    source = next(s for s in config.tables.events if s.name == file.source)
    columns = [c for c in source.columns.model_dump().values() if c] + list(source.fields.values())
    fs = pafs.S3FileSystem() if "://" in location(config, source) else pafs.LocalFileSystem()
    try:
        with fs.open_input_file(file.path) as handle:
            opened = pq.ParquetFile(handle)
            _require_columns(opened.schema_arrow, columns, file)
            raw = opened.read(columns=sorted(set(columns)), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"check readable: not a whole Parquet file: {error}", where=file.path, do="deliver the file again, complete"
        ) from None
    return _canonical(raw, source, config.tables.user_id, file)


def _require_columns(schema: pa.Schema, columns: list[str], file: SourceFile) -> None:
    missing = sorted(set(columns) - set(schema.names))
    if missing:
        raise DataError(
            f"check columns: lacks what tables.yaml maps for events.{file.source}", where=file.path, count=len(missing),
            examples=missing, do=f"correct the mapping; the file has {', '.join(schema.names[:12])}",
        )  # fmt: skip


def _canonical(raw: pa.Table, source: EventSource, user_type: str, file: SourceFile) -> pa.Table:
    names = source.columns
    user = _cast(raw, names.user_id, USER_TYPES[user_type], pa.types.is_integer if user_type == "int64" else _is_text, file)
    time = _cast(raw, names.event_time, TIME, pa.types.is_temporal, file)
    region = _cast(raw, names.region, pa.string(), _is_name, file) if names.region else pa.nulls(len(raw), pa.string())
    value = (
        _cast(raw, names.value, pa.float64(), _is_number, file) if names.value else pa.array([0.0]).take(pa.array([0] * len(raw)))
    )
    fields = {name: _cast(raw, column, pa.string(), _is_name, file) for name, column in source.fields.items()}
    return pa.table({"user_id": user, "region": region, "event_time": time, "value": value, **fields})


def _cast(raw: pa.Table, column: str, wanted: pa.DataType, accept: object, file: SourceFile) -> pa.ChunkedArray:
    values = raw[column]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not callable(accept) or not (accept(values.type) or pa.types.is_null(values.type)):
        examples = values.slice(0, 5).to_pylist()
        raise DataError(
            f"check type: column {column} is {values.type}, wants {wanted}", where=file.path, count=len(values),
            examples=examples, do="deliver the column in that type or correct tables.yaml",
        )  # fmt: skip
    if pa.types.is_timestamp(wanted) and pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = values.cast(pa.timestamp("us"), safe=False).cast(wanted)
    return values.cast(wanted, safe=False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_name(kind: pa.DataType) -> bool:
    return _is_text(kind) or bool(pa.types.is_integer(kind)) or bool(pa.types.is_boolean(kind))


def days_of(times: pa.ChunkedArray) -> pa.Array:
    """Return the days since 1970-01-01 (int32, null where the time is) of UTC timestamps."""
    dates = pc.floor_temporal(times, unit="day").cast(pa.timestamp("us")).cast(pa.date32())
    return dates.combine_chunks().cast(pa.int32())
