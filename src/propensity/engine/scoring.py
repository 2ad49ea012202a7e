"""Scoring, bucket by bucket: a feature file and the champion's bundle give a score file, staged for the gate."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from propensity.config.scoring import Precision
from propensity.contracts import FEATURES, SCORE_SOURCES, SCORES
from propensity.engine.buckets import map_cheaply
from propensity.engine.precision import resolve_precision
from propensity.engine.worker_model import Champion, model_of
from propensity.features import tokens
from propensity.features.csr import SparseBatch, from_arrow
from propensity.features.store import committed
from propensity.models.distributions import DayCounter, Groups, groups_of, known_features
from propensity.quality.staged import StagedScores, staged_path, write_staged
from propensity.quality.statistics import DISTRIBUTIONS, score_statistics
from propensity.storage import DataFile, Lake

if TYPE_CHECKING:
    from propensity.pipeline.predictor import Scores

BATCH = 1024
"""Users scored at once: the (users, categories) matrix stays in the processor's cache."""
SOURCES = pa.array(SCORE_SOURCES, pa.string())
COUNTED = 32 * BATCH
"""Users of a file that are counted for the drift table, in batches evenly spread: all would take a fifth of the scoring."""
SMALL = 16 * 2**20
"""Bytes of feature files up to which no Spark is started."""
FORMAT = 3
"""Part of the run's id; counts up when the files or what their footers count change, so that no older one is taken for done."""


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
    done = [lake.stat(SCORES, partition, name) for name in names]
    finished = [file for file in done if file is not None]
    if not force and len(finished) == len(names) and staged_path(lake.config, run_id).is_file():
        return StagedScores(run_id, **partition, model_version=champion.version, files=tuple(finished)), True
    run = _Run(lake, run_id, partition, champion, groups_of(lake.config, tokens.load(lake)), precision, force)
    files = map_cheaply(lake.config, _score, features, run, f"{region}: buckets scored", size, small)
    staged = StagedScores(run_id, **partition, model_version=champion.version, files=tuple(files))
    write_staged(lake.config, staged)
    return staged, False


def _run_id(lake: Lake, region: str, date: dt.date, champion: Champion, features: list[DataFile], precision: Precision) -> str:
    model = [champion.version, champion.digest, lake.config.models.top_k, precision]
    parts = [FORMAT, region, date.isoformat(), *model, [f.path for f in features]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _name(run_id: str, features: DataFile) -> str:
    bucket = features.path.rsplit("/", 1)[-1].split("-", 1)[0]
    return f"{bucket}-{run_id}"


def _score(features: DataFile, run: _Run) -> DataFile:
    lake, name = run.lake, _name(run.run_id, features)
    done = None if run.force else lake.stat(SCORES, run.partition, name)
    if done is not None:
        return done
    model = model_of(run.champion, lake.config, run.precision)
    rows = lake.read(FEATURES.name, features).combine_chunks()
    counter = DayCounter(run.groups, known_features(model))
    parts = [SCORES.file_schema(lake.user_type).empty_table()]
    step = max(-(-rows.num_rows // COUNTED), 1)
    for number, (users, batch) in enumerate(_batches(rows)):
        scores = model.score(batch, lake.config.models.top_k)
        if number % step == 0:
            counter.add(batch, scores)
        parts.append(_table(lake, run, users, scores))
    table = pa.concat_tables(parts).combine_chunks()
    return lake.write(SCORES, run.partition, name, table, {**score_statistics(table), DISTRIBUTIONS: counter.counts()})


def _batches(rows: pa.Table) -> Iterator[tuple[pa.Array, SparseBatch]]:
    for batch in rows.to_batches(max_chunksize=BATCH):
        yield batch["user_id"], from_arrow(batch["indices"], batch["values"])


def _table(lake: Lake, run: _Run, users: pa.Array, scores: "Scores") -> pa.Table:
    count, k = scores.categories.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(k))
    columns: list[Any] = [
        users,
        pa.ListArray.from_arrays(offsets, pa.array(scores.categories.ravel(), pa.int32())),
        pa.ListArray.from_arrays(offsets, pa.array(scores.probabilities.ravel(), pa.float32())),
        SOURCES.take(pa.array(scores.source)),
        pa.repeat(run.champion.version, count),
        pa.repeat(run.run_id, count),
    ]
    return pa.table(columns, schema=SCORES.file_schema(lake.user_type))
