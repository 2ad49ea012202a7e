"""What the customers of a training window looked like, for the bundle: what every scored day is later compared with."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from propensity.contracts import FEATURES
from propensity.errors import DataError
from propensity.features import tokens
from propensity.features.csr import from_arrow
from propensity.models.data import TrainingTables
from propensity.models.distributions import DayCounter, groups_of, known_features
from propensity.pipeline.predictor import SparsePredictor

ENOUGH = 100_000
"""Customers after whom no further file is read: files are buckets, so some of them are a random part of all customers."""
BATCH = 1024


def reference_of(tables: TrainingTables, cutoff: dt.date, predictor: SparsePredictor) -> Mapping[str, Any]:
    """Return the counts of the customers with features at `cutoff`, active or not, as a scoring run would have scored them.

    `total` is how many there are, `customers` how many of them were counted.  Raise DataError when there is no feature file.
    """
    lake, config = tables.lake, tables.config
    files = lake.files(FEATURES, region=tables.region, score_date=cutoff.isoformat())
    if not files:
        raise DataError(f"no features for {cutoff}", where=f"region {tables.region}", do="run jobs/features.py first")
    counter = DayCounter(groups_of(config, tokens.load(lake)), known_features(predictor))
    counted = 0
    for file in files:
        for rows in lake.read(FEATURES.name, file).combine_chunks().to_batches(max_chunksize=BATCH):
            batch = from_arrow(rows["indices"], rows["values"])
            counter.add(batch, predictor.score(batch, config.models.top_k))
        counted += file.rows
        if counted >= ENOUGH:
            break
    return {"cutoff": cutoff.isoformat(), "total": sum(file.rows for file in files), **counter.counts()}
