"""From event files to activity rows: what the landing's tasks do with one file, and with one (region, month, bucket).

The functions know nothing of Spark; ``engine/landing.py`` runs them and does the one shuffle in between.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import Config
from propensity.contracts import ACTIVITY, day_number
from propensity.events.checks import UNKNOWN_REGION, Regions, Tally, missing_required, tally
from propensity.events.source import SourceFile, days_of, read
from propensity.features.buckets import buckets_of
from propensity.features.tokens import Key, Words, token_ids, union
from propensity.features.windows import ranked, sort_activity
from propensity.storage import DataFile, Lake

TokenIndex: TypeAlias = Mapping[Key, tuple[pa.Array, Any]]
GroupKey: TypeAlias = tuple[str, str, int]
"""(region, month, bucket)."""


# -- map: one file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examined:
    """What the first look at a file finds: the gate's figures and every token."""

    tally: Tally
    words: Words


class Opened(NamedTuple):
    """A file's N events."""

    events: pa.Table
    region: Regions
    day: npt.NDArray[np.int32]
    """(N,) days since 1970-01-01."""


def examine(config: Config, file: SourceFile, opened: Opened) -> Examined:
    """Count what the events gate judges of one file, and collect its tokens."""
    source = next(s for s in config.tables.events if s.name == file.source)
    words = union({(source.event_type, name): pc.unique(opened.events[name]).drop_null()} for name in source.fields)
    said = None if file.day is None else day_number(file.day)
    return Examined(tally(opened.events, source, file.path, opened.region, opened.day, said), words)


def open_events(config: Config, file: SourceFile, days: Sequence[dt.date]) -> Opened:
    """Return a file's events with their configured region and day; of an undated file only the days wanted."""
    events = read(config, file)
    if file.day is None:
        wanted = pa.array([day_number(d) for d in days], pa.int32())
        keep = pc.or_(pc.is_in(days_of(events["event_time"]), value_set=wanted), events["event_time"].is_null().combine_chunks())
        events = events.filter(keep)
    return Opened(events, region_of(config, events["region"]), days_of(events["event_time"]).fill_null(-1).to_numpy())


def region_of(config: Config, values: pa.ChunkedArray) -> Regions:
    """Return the configured region of each of N values of the region column, UNKNOWN_REGION where there is none.

    A column of nulls (no region column configured) belongs to the only region.
    """
    regions, names = config.regions.regions, (*config.region_names, UNKNOWN_REGION)
    if len(regions) == 1 and values.null_count == len(values):
        return Regions(names, np.zeros(len(values), np.int32))
    known = {value: names.index(name) for name, region in regions.items() for value in (region.values or (name,))}
    position = pc.index_in(values.combine_chunks(), value_set=pa.array(list(known), pa.string())).fill_null(len(known)).to_numpy()
    return Regions(names, np.array([*known.values(), len(regions)], np.int32)[position])


def aggregate(
    config: Config, file: SourceFile, days: Sequence[dt.date], index: TokenIndex, opened: Opened
) -> dict[GroupKey, pa.Table]:
    """Return one file's activity by (region, period's month, bucket): events added up per (user, token, day)."""
    events, region, day = opened
    source = next(s for s in config.tables.events if s.name == file.source)
    good = ~missing_required(events, source) & events["user_id"].is_valid().to_numpy() & region.known()
    good &= np.isin(day, [day_number(d) for d in ([file.day] if file.day else days)])
    parts = [_tokens_of(events, source.event_type, name, index, good) for name in source.fields]
    rows = np.concatenate([row for row, _ in parts])
    token = np.concatenate([ids for _, ids in parts])
    value = events["value"].fill_null(0.0).to_numpy()[rows]
    return _sum_up(config, events["user_id"].take(pa.array(rows)).combine_chunks(), region.of[rows], token, day[rows], value)


def _sum_up(config: Config, user: pa.Array, region: Any, token: Any, day: Any, value: Any) -> dict[GroupKey, pa.Table]:
    """Return (N,) events added up by (user, token, day) and sorted by it, for every (region, month, bucket).

    `region` is the position of an event's region among the configured ones.
    """
    users, code = ranked(user)
    bucket = buckets_of(users, config.tables.buckets)[code]
    months, month = _months(day)
    group = (region.astype(np.int64) * len(months) + month) * config.tables.buckets + bucket
    first_day, days = (int(day.min()), int(np.ptp(day)) + 1) if len(day) else (0, 1)
    major = group * len(users) + code
    minor = token.astype(np.int64) * days + (day - first_day)
    order = _order(major, minor)
    new = np.ones(len(order), bool)
    new[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in (major, minor)])
    # Counted and added in the order of the events, so that a sum of floats has the same bits however they are sorted.
    target = np.empty(len(order), np.int64)
    target[order] = np.cumsum(new) - 1
    first = order[new]
    table = pa.table({
        "user_id": users.take(pa.array(code[first])), "token": pa.array(token[first], pa.int32()),
        "event_date": pa.array(day[first], pa.int32()).cast(pa.date32()),
        "count": pa.array(np.bincount(target).astype(np.int32)), "value": pa.array(np.bincount(target, weights=value)),
    })  # fmt: skip
    groups, start = np.unique(group[first], return_index=True)
    result = {}
    for number, begin, end in zip(groups.tolist(), start, np.append(start, len(first))[1:], strict=True):
        rest, bucket_number = divmod(number, config.tables.buckets)
        key = (config.region_names[rest // len(months)], str(months[rest % len(months)]), bucket_number)
        result[key] = table.slice(begin, end - begin)
    return result


def _months(day: npt.NDArray[np.int32]) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return the months of (N,) days since 1970-01-01, ascending, and the position of each day's among them."""
    encoded = pa.array(day).dictionary_encode()  # few days, so that only they are made months
    days = encoded.dictionary.to_numpy().astype("datetime64[D]")
    months, position = np.unique(days.astype("datetime64[M]"), return_inverse=True)
    return months, position[encoded.indices.to_numpy()]


def _order(major: npt.NDArray[np.int64], minor: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the order of (N,) rows by two keys from 0, equal ones in any order; sorting one key is five times quicker."""
    width = int(minor.max(initial=0)).bit_length()
    if int(major.max(initial=0)).bit_length() + width < 64:
        return np.argsort((major << width) | minor)
    return np.lexsort((minor, major))


def _tokens_of(events: pa.Table, event_type: str, name: str, index: TokenIndex, good: Any) -> tuple[Any, Any]:
    known, ids = index.get((event_type, name), (pa.array([], pa.string()), np.zeros(0, np.int32)))
    token = token_ids(events[name].combine_chunks(), known, ids)
    rows = np.flatnonzero(good & (token >= 0))
    return rows, token[rows]


# -- reduce: one (region, month, bucket) -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """One (region, month, bucket) to write, and the committed files that its periods hold now."""

    region: str
    month: str
    bucket: int
    existing: tuple[DataFile, ...]
    days: tuple[dt.date, ...]
    """The days of the month that land now: they replace what the existing files hold of them."""
    compact: bool
    """One file for the whole month, or one for each day that lands."""


def write_group(lake: Lake, group: Group, parts: Sequence[pa.Table]) -> list[tuple[DataFile, dict[str, str]]]:
    """Write one group's activity; return its files, each with day -> digest of the days that landed now."""
    fresh = parts[0].cast(ACTIVITY.file_schema(lake.user_type)) if len(parts) == 1 else _merge(lake, parts)
    if not group.compact:
        by_day = [(day.isoformat(), _of(fresh, day)) for day in group.days]
        return [_write(lake, group, period, rows, [period]) for period, rows in by_day if len(rows)]
    landing = pa.array(list(group.days), pa.date32())
    kept = [lake.read(ACTIVITY.name, f) for f in group.existing]
    kept = [t.filter(pc.invert(pc.is_in(t["event_date"], value_set=landing))) for t in kept]
    rows = _merge(lake, [*kept, fresh])
    return [_write(lake, group, group.month, rows, [d.isoformat() for d in group.days])] if len(rows) else []


def _merge(lake: Lake, parts: Sequence[pa.Table]) -> pa.Table:
    schema = ACTIVITY.file_schema(lake.user_type)
    activity = sort_activity([part.cast(schema) for part in parts], schema)
    table = activity.table(schema)
    return _summed(table) if activity.repeats() else table


def _summed(table: pa.Table) -> pa.Table:
    """Return the rows of several sources added up, where they have the same user, token and day."""
    keys = ["user_id", "token", "event_date"]
    # In the order of their sorted rows, so that a sum of floats has the same bytes every time.
    table_sorted = table.sort_by([(k, "ascending") for k in [*keys, "count", "value"]])
    summed = table_sorted.group_by(keys, use_threads=False).aggregate([("count", "sum"), ("value", "sum")])
    columns = {k: summed[k] for k in keys} | {"count": summed["count_sum"].cast(pa.int32()), "value": summed["value_sum"]}
    return pa.table(columns).sort_by([(k, "ascending") for k in keys]).combine_chunks().cast(table.schema)


def _write(lake: Lake, group: Group, period: str, rows: pa.Table, days: Sequence[str]) -> tuple[DataFile, dict[str, str]]:
    partition = {"region": group.region, "period": period, "bucket": str(group.bucket)}
    whole = digest_of(rows)
    file = lake.write(ACTIVITY, partition, whole[:24], rows, {"rows": rows.num_rows})
    if [period] == list(days):
        return file, {period: whole}
    return file, {day: digest_of(_of(rows, dt.date.fromisoformat(day))) for day in days}


def _of(rows: pa.Table, day: dt.date) -> pa.Table:
    """Return a day's rows of a table."""
    return rows.filter(pc.equal(rows["event_date"], pa.scalar(day)))


def digest_of(rows: pa.Table) -> str:
    """Return a digest of a table's content."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        for batch in rows.combine_chunks().to_batches():
            writer.write_batch(batch)
    return hashlib.sha256(sink.getvalue()).hexdigest()
