"""Rows to learn from that do not fit into memory: read from storage in every epoch, bucket by bucket, through a shuffle buffer.

A bucket holds a random part of the customers, so some buckets at a time are as good a mixture as all of them; what the buffer
has to undo is that a customer's windows, which lie in one bucket, would follow one another.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from propensity.errors import DataError
from propensity.models.data import Examples, Rows, TrainingTables, concat_rows, encode_rows, log_odds, nobody
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Encoder, Moments
from propensity.models.supply import Summary

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Streamed:
    """The rows of some label windows of one region, in storage.  In memory: the buffer, three times, and one file."""

    tables: TrainingTables
    cutoffs: Sequence[dt.date]
    encoder: Encoder
    tally: "Tally"
    """What :func:`count_windows` found in these windows."""
    buffer: int
    """Rows of the shuffle buffers of all processes together."""
    team: Team = ALONE

    def summary(self) -> Summary:
        """Return what a fresh network has to know."""
        return self.tally.summary()

    def batches(self, epoch: int, size: int, seed: int) -> Iterator[Examples]:
        """Yield an epoch's batches; buckets and the rows in the buffer come in another order each time.

        Each process reads buckets of its own, and has its share of `size` in each batch.
        """
        order = np.random.default_rng([seed, epoch]).permutation(buckets_of(self.tables, self.cutoffs, self.team.size))
        random = np.random.default_rng([seed, epoch, self.team.rank])
        parts = (self.tables.bucket(day, int(bucket)) for bucket in self.team.share(order) for day in self.cutoffs)
        for batch in cut(shuffled(parts, max(self.buffer // self.team.size, 2), random), -(-size // self.team.size)):
            yield encode_rows(batch, self.encoder)


def buckets_of(tables: TrainingTables, cutoffs: Sequence[dt.date], processes: int) -> int:
    """Return how many files each window has; raise DataError when they differ or are fewer than the processes."""
    found = sorted({tables.buckets(day) for day in cutoffs})
    where = f"region {tables.region}"
    if len(found) > 1:
        do = "build the features and labels of all windows with the same tables.buckets"
        raise DataError(f"windows of {found} buckets cannot be read side by side", where=where, do=do)
    if found[0] < processes:
        raise DataError(f"{found[0]} buckets for {processes} processes", where=where, do="use fewer processes, or more buckets")
    return found[0]


def shuffled(parts: Iterable[Rows], buffer: int, random: np.random.Generator) -> Iterator[Rows]:
    """Yield all rows of the parts, mixed: whenever `buffer` rows are held, half of them go out, drawn at random."""
    held: list[Rows] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= buffer:
            rows = concat_rows(held)
            order = random.permutation(len(rows))
            held = [rows.take(order[len(rows) // 2 :])]
            yield rows.take(order[: len(rows) // 2])
    if held:
        rows = concat_rows(held)
        yield rows.take(random.permutation(len(rows)))


def cut(parts: Iterable[Rows], size: int) -> Iterator[Rows]:
    """Yield the rows of the parts in batches of `size`, the last of which may be smaller."""
    rest: list[Rows] = []
    for part in parts:
        rows = concat_rows([*rest, part])
        whole = len(rows) // size * size
        for start in range(0, whole, size):
            yield rows.take(np.arange(start, start + size))
        rest = [rows.take(np.arange(whole, len(rows)))]
    if rest and len(rest[0]):
        yield rest[0]


@dataclass(frozen=True)
class Tally:
    """What is counted of some rows; sums are float64 and add up over windows and processes."""

    counts: Doubles
    """(2,) rows and labels."""
    positives: Doubles
    """(C,)."""
    history: Doubles
    """(2, F + 1): the number of pairs in front, then sums and sums of squares of their values."""
    activity: Doubles
    """(2, A + 1): the same of the customers' activity."""

    @classmethod
    def empty(cls, encoder: Encoder) -> "Tally":
        """Return the tally of no rows."""
        history = encoder.history
        shapes = (2, len(history.categories), (2, history.width + 1), (2, history.activity_width + 1))
        return cls(*(np.zeros(shape) for shape in shapes))

    def add(self, examples: Examples) -> None:
        """Count some rows."""
        self.counts[:] += len(examples), len(examples.labels)
        self.positives[:] += examples.positives()
        pairs = examples.encoded.pairs
        for total, values in ((self.history, pairs.values), (self.activity, pairs.activity)):
            total[:, 0] += len(values)
            total[0, 1:] += values.sum(0, dtype=np.float64)
            total[1, 1:] += np.square(values, dtype=np.float64).sum(0)

    def summary(self) -> Summary:
        """Return what a fresh network has to know."""
        rows = int(self.counts[0])
        return Summary(rows, log_odds(self.positives, rows), _moments(self.history), _moments(self.activity))


def count_windows(tables: TrainingTables, cutoffs: Sequence[dt.date], encoder: Encoder, team: Team = ALONE) -> list[Tally]:
    """Return the tally of each window from one pass over the rows; each process reads buckets of its own.

    Raise DataError when a window has nobody or no label.
    """
    result, buckets = [], buckets_of(tables, cutoffs, team.size)
    for day in cutoffs:
        tally = Tally.empty(encoder)
        for bucket in team.share(np.arange(buckets)):
            tally.add(encode_rows(tables.bucket(day, int(bucket)), encoder))
        result.append(Tally(*(team.sum(getattr(tally, field.name)) for field in fields(tally))))
    empty = [day for day, tally in zip(cutoffs, result, strict=True) if not tally.counts.all()]
    if empty:
        raise nobody(tables.region, empty)
    return result


def together(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of tallies."""
    return Tally(*(sum(getattr(t, field.name) for t in tallies) for field in fields(Tally)))


def _moments(total: Doubles) -> Moments:
    count = max(total[0, 0], 1.0)
    mean = total[0, 1:] / count
    return Moments(mean, np.sqrt(np.maximum(total[1, 1:] / count - mean**2, 0.0)))
