"""Training data: feature and label partitions of many cutoffs, read through the lake, as batches in CSR form.

Nowhere is there a dense (users x features) array; a batch's labels alone are dense, (B, C).
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.config import MAX_CHANNELS, Config
from propensity.contracts import FEATURES, LABELS
from propensity.errors import DataError
from propensity.features import tokens
from propensity.features.csr import FloatArray, IntArray, OffsetArray, SparseBatch, concat, from_arrow
from propensity.models.encoding import Encoded, Encoder
from propensity.models.feature_map import IdMap
from propensity.models.history import RECENCY_SCALE, concat_pairs
from propensity.models.ragged import gather, join, keep, owners
from propensity.storage import DataFile, Lake

PROBABILITY_FLOOR = 1e-5
"""A category nobody acted on is rare, not impossible."""


@dataclass(frozen=True)
class Rows:
    """The active customers of one cutoff as stored: feature ids, label tokens."""

    users: pa.Array
    features: SparseBatch
    label_tokens: IntArray
    label_offsets: OffsetArray

    def __len__(self) -> int:
        """Return the number of customers."""
        return len(self.features)

    def take(self, order: npt.NDArray[np.int64]) -> "Rows":
        """Return the customers at positions `order`, in that order."""
        offsets, source = gather(self.label_offsets, order)
        return Rows(self.users.take(pa.array(order)), self.features.take(order), self.label_tokens[source], offsets)


@dataclass(frozen=True)
class Examples:
    """N customers (at some cutoffs) ready to train on."""

    encoded: Encoded
    labels: IntArray
    """(L,) positions among the model's categories."""
    label_offsets: OffsetArray
    """(N + 1,)."""
    categories: int

    def __len__(self) -> int:
        """Return N."""
        return len(self.encoded)

    def take(self, order: npt.NDArray[np.int64]) -> "Examples":
        """Return the customers at positions `order`, in that order."""
        offsets, source = gather(self.label_offsets, order)
        return Examples(self.encoded.take(order), self.labels[source], offsets, self.categories)

    def targets(self) -> FloatArray:
        """Return 0 or 1 for each customer and category: (N, C)."""
        dense = np.zeros((len(self), self.categories), np.float32)
        dense[owners(self.label_offsets), self.labels] = 1.0
        return dense

    def positives(self) -> OffsetArray:
        """Return how many customers acted on each category: (C,)."""
        return np.bincount(self.labels, minlength=self.categories).astype(np.int64)


def batches(examples: Examples, size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[Examples]:
    """Yield the customers in batches of `size` (the last may be smaller), in the given order or as they are."""
    order = np.arange(len(examples)) if order is None else order
    for start in range(0, len(order), size):
        yield examples.take(order[start : start + size])


def concat_examples(parts: Sequence[Examples]) -> Examples:
    """Return the customers of all parts, one after the other."""
    encoded = Encoded(
        concat([p.encoded.sparse for p in parts]),
        concat_pairs([p.encoded.pairs for p in parts]),
        sum(p.encoded.dropped for p in parts),
    )
    offsets = join([p.label_offsets for p in parts])
    return Examples(encoded, np.concatenate([p.labels for p in parts]), offsets, parts[0].categories)


def popularity_logits(examples: Examples) -> FloatArray:
    """Return the log odds of each category among the rows (C,), kept away from 0 and 1."""
    return log_odds(examples.positives(), len(examples))


def log_odds(positives: OffsetArray | npt.NDArray[np.float64], rows: int) -> FloatArray:
    """Return the log odds of categories (C,) with so many positives among the rows, kept away from 0 and 1."""
    share = np.clip(positives / max(rows, 1), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.log(share / (1 - share)).astype(np.float32)


def concat_rows(parts: Sequence[Rows]) -> Rows:
    """Return the customers of all parts, one after the other."""
    return Rows(
        pa.concat_arrays([p.users for p in parts]),
        concat([p.features for p in parts]),
        np.concatenate([p.label_tokens for p in parts]),
        join([p.label_offsets for p in parts]),
    )


class TrainingTables:
    """The feature and label partitions of one region."""

    def __init__(self, lake: Lake, region: str) -> None:
        self.lake = lake
        self.region = region
        self.config: Config = lake.config
        self._features = _by_date(lake.files(FEATURES, region=region))
        self._labels = _by_date(lake.files(LABELS, region=region))
        self.label_tokens = category_tokens(lake)
        self._recency_slot = _recency_slot(self.config)

    def digests(self, cutoffs: Sequence[dt.date]) -> dict[str, list[str]]:
        """Return the files that each cutoff's partitions consist of; their names say what they were made from."""
        tables = (FEATURES.name, LABELS.name)
        return {day.isoformat(): [f.path for table in tables for f in self._of(table, day)] for day in cutoffs}

    def rows(self, cutoff: dt.date) -> Iterator[Rows]:
        """Yield the active customers at one cutoff, a file at a time.

        Active means: an event in some category within ``active_days`` before the cutoff.  The features tell, without
        another table: recency is exp(-days / 28), so it is the highest of the customer's category recencies.  Where categories
        have no recency channel, everybody with a feature row counts: a rare act is foretold for those who never did it, too.
        Raise DataError when the partition is missing or the two tables do not hold the same customers.
        """
        for bucket in range(self.buckets(cutoff)):
            yield self.bucket(cutoff, bucket)

    def bucket(self, cutoff: dt.date, bucket: int) -> Rows:
        """Return the active customers of one bucket at one cutoff."""
        return self._active(self._join(self._of(FEATURES.name, cutoff)[bucket], self._of(LABELS.name, cutoff)[bucket]))

    def buckets(self, cutoff: dt.date) -> int:
        """Return how many files a cutoff's partitions have; raise DataError when one is missing."""
        features, labels = self._of(FEATURES.name, cutoff), self._of(LABELS.name, cutoff)
        if not features or len(features) != len(labels):
            raise DataError(
                f"{len(features)} feature files but {len(labels)} label files at {cutoff}",
                where=f"region {self.region}",
                do="build the features and labels of this date first",
            )
        return len(features)

    def stored(self, cutoffs: Sequence[dt.date]) -> int:
        """Return how many rows the partitions of some cutoffs hold, active or not, without reading one."""
        return sum(file.rows for day in cutoffs for file in self._of(FEATURES.name, day))

    def _of(self, table: str, day: dt.date) -> list[DataFile]:
        return (self._features if table == FEATURES.name else self._labels).get(day.isoformat(), [])

    def _join(self, feature_file: DataFile, label_file: DataFile) -> Rows:
        features, labels = self.lake.read(FEATURES.name, feature_file), self.lake.read(LABELS.name, label_file)
        users = features["user_id"].combine_chunks()
        if not users.equals(labels["user_id"].combine_chunks()):
            raise DataError("features and labels hold different customers", where=feature_file.path, do="build the labels again")
        batch = from_arrow(features["indices"].combine_chunks(), features["values"].combine_chunks())
        categories = labels["categories"].combine_chunks()
        offsets = categories.offsets.to_numpy().astype(np.int64)
        tokens = categories.values.to_numpy()[offsets[0] : offsets[-1]]
        return Rows(users, batch, tokens, offsets - offsets[0])

    def _active(self, rows: Rows) -> Rows:
        if self._recency_slot is None:
            return rows
        token = rows.features.indices // MAX_CHANNELS
        recent = rows.features.values >= np.exp(-(self.config.features.active_days + 0.5) / RECENCY_SCALE)
        recent &= (rows.features.indices - token * MAX_CHANNELS) == self._recency_slot
        at = np.flatnonzero(recent)
        at = at[self.label_tokens.positions(token[at]) >= 0]
        active = np.unique(np.searchsorted(rows.features.offsets, at, side="right") - 1)
        if len(active) == len(rows):
            return rows
        return rows.take(active)


def nobody(region: str, cutoffs: Sequence[dt.date]) -> DataError:
    """Return the error for windows that have nothing to learn from."""
    return DataError(
        "windows without an active customer or without an event", where=f"region {region}", count=len(cutoffs), examples=cutoffs,
        do="train on fewer windows, or land more days",
    )  # fmt: skip


def encode_rows(rows: Rows, encoder: Encoder) -> Examples:
    """Return stored rows as the network takes them; labels of categories the model lacks are left out."""
    position = encoder.history.categories.positions(rows.label_tokens)
    known = position >= 0
    offsets = keep(rows.label_offsets, known)
    return Examples(encoder.encode(rows.features), position[known], offsets, len(encoder.history.categories))


def category_tokens(lake: Lake) -> IdMap:
    """Return the tokens of the label's (event type, field): every category there is."""
    return IdMap(tokens.load(lake).of(*lake.config.label_key)["token"].to_numpy())


def _recency_slot(config: Config) -> int | None:
    """Return the slot that holds the categories' recency, None when the categories' own field has no such channel."""
    own = any((f.event_type, f.field) == config.label_key and f.recency for f in config.features.fields)
    return config.features.channel_names().index("recency") if own else None


def _by_date(files: Sequence[DataFile]) -> dict[str, list[DataFile]]:
    found: dict[str, list[DataFile]] = {}
    for file in files:
        found.setdefault(file.partition["score_date"], []).append(file)
    return found
