"""Scoring, bucket by bucket: a feature file and the champion's bundle give a score file, staged for the gate."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.config.scoring import Precision
from propensity.contracts import FEATURES, SCORE_VECTORS, SCORES
from propensity.engine.buckets import map_cheaply
from propensity.engine.precision import resolve_precision
from propensity.engine.vectors import SOURCES, VectorFile, categories_file
from propensity.engine.worker_model import Champion, model_of
from propensity.features import tokens
from propensity.features.csr import FloatArray, IntArray, SparseBatch, from_arrow
from propensity.features.store import committed
from propensity.models.distributions import DayCounter, Groups, groups_of, known_features
from propensity.quality.staged import StagedScores, staged_path, write_staged
from propensity.quality.statistics import DISTRIBUTIONS, score_statistics
from propensity.storage import DataFile, Lake

if TYPE_CHECKING:
    from propensity.pipeline.predictor import Scores

BATCH = 256
"""Users scored at once: the (users, categories) matrix stays in a core's own cache, 2 MB; of 1,024 a tenth was slower."""
COUNTED = 16 * BATCH
"""Users of a file that are counted for the drift table, in batches evenly spread: all would take a tenth of the scoring."""
SMALL = 32 * 2**20
"""Bytes of feature files up to which no Spark is started: 160 thousand customers of the reference shape, 5 s by two threads."""
FORMAT = 5
"""Part of the run's id; counts up when the files or what their footers count change, so that no older one is taken for done."""


_Scored: TypeAlias = tuple[DataFile, DataFile | None]
"""A bucket's scores, and its vectors where they are asked for."""


@dataclass(frozen=True)
class _Run:
    lake: Lake
    run_id: str
    partition: Mapping[str, str]
    champion: Champion
    groups: Groups
    precision: Precision
    force: bool


def score_region(
    lake: Lake, region: str, date: dt.date, champion: Champion, force: bool, small: int = SMALL
) -> tuple[StagedScores, bool]:
    """Score every customer with a feature row at `date`; return what is staged and whether it had been before.

    The run's id is a digest of features, bundle, K and precision: the same inputs have the same id, and the same bytes.  No Spark
    is started for up to `small` bytes of feature files.
    Raise DataError without features, BundleError when the bundle is not the champion's or not intact.
    """
    features = committed(lake, region, date)
    size = sum(file.size for file in features)
    precision = resolve_precision(lake, champion, features, size, small)
    run_id = _run_id(lake, region, date, champion, features, precision)
    partition = {"region": region, "score_date": date.isoformat()}
    names = [_name(run_id, file) for file in features]
    done = [_finished(lake, partition, name) for name in names]
    finished = [files for files in done if files is not None]
    if not force and len(finished) == len(names) and staged_path(lake.config, run_id).is_file():
        return _staged(lake, run_id, partition, champion, finished), True
    run = _Run(lake, run_id, partition, champion, groups_of(lake.config, tokens.load(lake)), precision, force)
    files = map_cheaply(lake.config, _score, features, run, f"{region}: buckets scored", size, small)
    staged = _staged(lake, run_id, partition, champion, files)
    write_staged(lake.config, staged)
    return staged, False


def _staged(lake: Lake, run_id: str, partition: Mapping[str, str], champion: Champion, files: Sequence[_Scored]) -> StagedScores:
    vectors = tuple(vector for _, vector in files if vector is not None)
    categories = categories_file(lake, partition["region"], champion.version) if vectors else None
    scores = tuple(file for file, _ in files)
    return StagedScores(run_id, **partition, model_version=champion.version, files=scores, vectors=vectors, categories=categories)


def _run_id(lake: Lake, region: str, date: dt.date, champion: Champion, features: list[DataFile], precision: Precision) -> str:
    model = [champion.version, champion.digest, lake.config.models.top_k, precision]
    kind, device = lake.config.models.scoring.vectors, lake.config.models.scoring.device
    asked = [*([] if kind == "none" else [kind]), *([] if device == "cpu" else [device])]
    parts = [FORMAT, region, date.isoformat(), *model, *asked, [f.path for f in features]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _name(run_id: str, features: DataFile) -> str:
    bucket = features.path.rsplit("/", 1)[-1].split("-", 1)[0]
    return f"{bucket}-{run_id}"


def _score(features: DataFile, run: _Run) -> _Scored:
    lake, name = run.lake, _name(run.run_id, features)
    done = None if run.force else _finished(lake, run.partition, name)
    if done is not None:
        return done
    model = model_of(run.champion, lake.config, run.precision)
    rows = lake.read(FEATURES.name, features).combine_chunks()
    counter, vectors = DayCounter(run.groups, known_features(model)), _vectors(lake, run)
    width = min(lake.config.models.top_k or len(model.categories), len(model.categories))
    found = _Found.of(rows.num_rows, width)
    step, first = max(-(-rows.num_rows // COUNTED), 1), 0
    for number, (users, batch) in enumerate(_batches(rows)):
        raw = model.raw(batch)
        scores = model.likeliest(raw, width)
        if number % step == 0:
            counter.add(batch, scores)
        found.take(first, scores)
        first += len(users)
        if vectors is not None:
            vectors.add(users, raw)
    # The vectors first: where the scores are there, so are they.
    every = None if vectors is None else vectors.write(run.partition, name, model.categories)
    table = _table(lake, run, rows["user_id"], found)
    stats = {**score_statistics(table), DISTRIBUTIONS: counter.counts()}
    return lake.write(SCORES, run.partition, name, table, stats), every


def _vectors(lake: Lake, run: _Run) -> VectorFile | None:
    kind = lake.config.models.scoring.vectors
    return None if kind == "none" else VectorFile(lake, kind, run.champion.version, run.run_id)


def _finished(lake: Lake, partition: Mapping[str, str], name: str) -> _Scored | None:
    """Return a bucket's files where all that the configuration asks for are there."""
    scores = lake.stat(SCORES, partition, name)
    asked = lake.config.models.scoring.vectors != "none"
    vectors = lake.stat(SCORE_VECTORS, partition, name) if asked and scores is not None else None
    return None if scores is None or (asked and vectors is None) else (scores, vectors)


def _batches(rows: pa.Table) -> Iterator[tuple[pa.Array, SparseBatch]]:
    for batch in rows.to_batches(max_chunksize=BATCH):
        yield batch["user_id"], from_arrow(batch["indices"], batch["values"])


@dataclass(frozen=True)
class _Found:
    """The scores of a file's N customers, filled batch by batch: one table is made of them, not one a batch."""

    categories: IntArray
    """(N, K); so are the probabilities."""
    probabilities: FloatArray
    source: npt.NDArray[np.uint8]
    """(N,)."""

    @classmethod
    def of(cls, rows: int, width: int) -> "_Found":
        return cls(np.empty((rows, width), np.int32), np.empty((rows, width), np.float32), np.empty(rows, np.uint8))

    def take(self, first: int, scores: "Scores") -> None:
        last = first + len(scores.source)
        self.categories[first:last], self.probabilities[first:last] = scores.categories, scores.probabilities
        self.source[first:last] = scores.source


def _table(lake: Lake, run: _Run, users: pa.ChunkedArray, found: _Found) -> pa.Table:
    count, k = found.categories.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(k))
    columns: list[Any] = [
        users,
        pa.ListArray.from_arrays(offsets, pa.array(found.categories.ravel(), pa.int32())),
        pa.ListArray.from_arrays(offsets, pa.array(found.probabilities.ravel(), pa.float32())),
        SOURCES.take(pa.array(found.source)),
        pa.repeat(run.champion.version, count),
        pa.repeat(run.run_id, count),
    ]
    return pa.table(columns, schema=SCORES.file_schema(lake.user_type))
