"""The training windows of a region: in memory, or read from storage again in every epoch when they have too many rows."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from propensity.models.data import Examples, TrainingTables, concat_examples, encode_rows, nobody
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Encoder
from propensity.models.family import STREAMING
from propensity.models.streaming import Streamed, count_windows, together
from propensity.models.supply import Supply

JUDGED_PAIRS = 20_000_000
"""Pairs of customer and category of the newest window that choose the epochs and calibrate, when rows are not kept in memory."""


@dataclass(frozen=True)
class Windows:
    """What a family learns from."""

    examples: Sequence[Examples]
    """Of each window, newest first; with `streams`, customers of the newest window alone."""
    streams: tuple[Supply, Supply] | None
    """All windows but the newest, and all of them."""
    rows: int
    """Of all windows."""


def read_windows(
    tables: TrainingTables, cutoffs: Sequence[dt.date], encoder: Encoder, progress: Callable[[str], None], team: Team = ALONE
) -> Windows:
    """Return the active customers at `cutoffs`, newest first; raise DataError when a window has nobody or no label."""
    models, stored = tables.config.models, tables.stored(cutoffs)
    if stored > models.rows_in_memory and models.kind in STREAMING:
        return _streamed(tables, cutoffs, encoder, progress, team)
    examples = [read_examples(tables, day, encoder) for day in cutoffs]
    empty = [day for day, rows in zip(cutoffs, examples, strict=True) if len(rows) == 0 or len(rows.labels) == 0]
    if empty:
        raise nobody(tables.region, empty)
    progress(_describe(tables.region, examples, encoder))
    return Windows(examples, None, sum(map(len, examples)))


def read_examples(tables: TrainingTables, cutoff: dt.date, encoder: Encoder) -> Examples:
    """Return the active customers at one cutoff, encoded."""
    return concat_examples([encode_rows(rows, encoder) for rows in tables.rows(cutoff)])


def read_some(tables: TrainingTables, cutoff: dt.date, encoder: Encoder, most: int) -> Examples:
    """Return at most so many of the active customers at one cutoff: all of the first buckets, and every few of the last one."""
    parts: list[Examples] = []
    for rows in tables.rows(cutoff):
        wanted = most - sum(map(len, parts))
        picked = np.linspace(0, len(rows) - 1, min(wanted, len(rows))).round().astype(np.int64)
        parts.append(encode_rows(rows.take(picked), encoder))
        if len(rows) >= wanted:
            break
    return concat_examples(parts)


def _streamed(
    tables: TrainingTables, cutoffs: Sequence[dt.date], encoder: Encoder, progress: Callable[[str], None], team: Team
) -> Windows:
    tallies, buffer = count_windows(tables, cutoffs, encoder, team), tables.config.models.shuffle_rows
    earlier = Streamed(tables, cutoffs[1:], encoder, together(tallies[1:]), buffer, team)
    every = Streamed(tables, cutoffs, encoder, together(tallies), buffer, team)
    rows, categories = every.summary().rows, len(encoder.history.categories)
    judges = read_some(tables, cutoffs[0], encoder, max(JUDGED_PAIRS // categories, 1))
    progress(
        f"region {tables.region}: {rows:,} rows of {len(cutoffs)} windows, read from storage in every epoch, {len(judges):,} "
        f"of them to judge by; {len(encoder.features):,} features, {categories:,} categories"
    )
    return Windows([judges], (earlier, every), rows)


def _describe(region: str, examples: Sequence[Examples], encoder: Encoder) -> str:
    """Return what there is to learn from, as a line of progress."""
    rows = sum(map(len, examples))
    entries = sum(len(e.encoded.sparse.indices) for e in examples)
    return (
        f"region {region}: {rows:,} rows of {len(examples)} windows, {entries / max(rows, 1):,.0f} features a row, "
        f"{len(encoder.features):,} features, {len(encoder.history.categories):,} categories"
    )
