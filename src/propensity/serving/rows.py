"""A customer's stored feature row by user id: one file a bucket, read once and kept while there is memory for it."""

import bisect
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.contracts import FEATURES, SCORES, USER_TYPES
from propensity.features.buckets import buckets_of
from propensity.features.csr import SparseBatch, from_arrow
from propensity.serving.requests import UserId
from propensity.storage import DataFile, Lake

BATCH = 1024
"""Rows of a scores file read at once."""


@dataclass(frozen=True)
class Day:
    """The committed files of one score date by bucket.  Their names follow from their content: they never change."""

    score_date: str
    features: Mapping[int, DataFile]
    scores: Mapping[int, DataFile]
    """Published scores of that date, if any."""


def by_bucket(files: Sequence[DataFile]) -> dict[int, DataFile]:
    """Return files by the bucket that their names begin with."""
    named = {file.path.rsplit("/", 1)[-1].split("-", 1)[0]: file for file in files}
    return {int(bucket): file for bucket, file in named.items() if bucket.isdecimal()}


def bucket_of(lake: Lake, user: UserId) -> int:
    """Return the bucket of a user id of the configured type."""
    users = pa.array([user], USER_TYPES[lake.user_type])
    return int(buckets_of(users, lake.config.tables.buckets)[0])


@dataclass(frozen=True)
class Bucket:
    """One bucket's feature rows, users ascending."""

    users: pa.Array
    batch: SparseBatch
    size: int
    """Bytes."""

    def row(self, user: UserId) -> SparseBatch | None:
        """Return a user's row as a batch of one, copied; None when there is none."""
        at = position(self.users, user)
        return None if at is None else self.batch.take(np.array([at]))


def position(users: pa.Array, user: UserId) -> int | None:
    """Return where a user stands among ascending ones."""
    # Arrow's order of strings is by UTF-8 bytes, Python's by code point: the same.
    at = bisect.bisect_left(range(len(users)), user, key=lambda i: users[i].as_py())
    return at if at < len(users) and users[at].as_py() == user else None


def read_bucket(lake: Lake, file: DataFile) -> Bucket:
    """Read a feature file; raise OSError or ArrowException when it cannot be."""
    table = lake.read(FEATURES.name, file).combine_chunks()
    if table.num_rows == 0:
        empty = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int64))
        return Bucket(pa.array([], USER_TYPES[lake.user_type]), empty, 0)
    users, indices, values = (table[name].chunk(0) for name in ("user_id", "indices", "values"))
    return Bucket(users, from_arrow(indices, values), int(table.nbytes))


class BucketCache:
    """The most recently asked buckets, up to a number of bytes; safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: DataFile) -> Bucket | None:
        """Return a bucket that is kept."""
        with self._lock:
            found = self._kept.get(file.path)
            if found is not None:
                self._kept.move_to_end(file.path)
            return found

    def read(self, lake: Lake, file: DataFile) -> Bucket:
        """Return a bucket, read and kept when it is not; one that is larger than the whole cache is not kept."""
        found = self.get(file)
        if found is not None:
            return found
        bucket = read_bucket(lake, file)
        with self._lock:
            if file.path not in self._kept and bucket.size <= self.limit:
                self._kept[file.path] = bucket
                self.size += bucket.size
            while self.size > self.limit:
                self.size -= self._kept.popitem(last=False)[1].size
        return bucket


@dataclass(frozen=True)
class PublishedScores:
    """A customer's row of the scores table."""

    version: str
    run_id: str
    probabilities: Mapping[int, np.float32]
    """Category -> probability, of the published ones."""


def published(lake: Lake, day: Day, user: UserId) -> PublishedScores | None:
    """Return what is published of a user; read row by row of few, because a scores file may hold every category of many."""
    file = day.scores.get(bucket_of(lake, user))
    if file is None:
        return None
    with lake.fs.open_input_file(lake.path(SCORES.name, file.path)) as source:
        reader = pq.ParquetFile(source)
        users = reader.read(columns=["user_id"], use_threads=False)["user_id"].combine_chunks()
        at = position(users, user)
        if at is None:
            return None
        for batch in reader.iter_batches(BATCH, use_threads=False):
            if at < batch.num_rows:
                return _published(batch.slice(at, 1))
            at -= batch.num_rows
    return None


def _published(row: pa.RecordBatch) -> PublishedScores:
    categories = row["categories"].flatten().to_numpy().tolist()
    scores = row["scores"].flatten().to_numpy()
    return PublishedScores(row["model_version"][0].as_py(), row["run_id"][0].as_py(), dict(zip(categories, scores, strict=True)))
