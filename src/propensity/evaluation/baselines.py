"""What a model has to beat: what everybody buys, and what the customer bought of late.

Both score (customer, category) pairs for ranking; neither learns more than a share.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propensity.contracts import ACTIVITY, day_number
from propensity.features.csr import FloatArray, OffsetArray
from propensity.models.feature_map import IdMap
from propensity.storage import Lake

FORTNIGHT = 14
"""Days of one bucket of time."""
DECAY = 8.0
"""Fortnights: a bucket k fortnights back weighs exp(-k / 8)."""


def popularity(share: FloatArray, customers: int) -> FloatArray:
    """Return every category's share of buyers in the training windows (C,) for each customer: (N, C)."""
    return np.tile(share, (customers, 1))


def decayed_frequency(
    lake: Lake, region: str, cutoff: dt.date, users: pa.Array, categories: IdMap, share: FloatArray
) -> FloatArray:
    """Return (N, C): the customer's fortnights with an event in the category, recent ones weighing more, plus its share.

    Days from `cutoff` on are never read; the history is as long as that of the features.
    """
    days = lake.config.features.history_days
    fortnights = -(-days // FORTNIGHT)
    seen = [np.zeros(0, np.int64)]
    for file in lake.files(ACTIVITY, region=region):
        if file.partition["period"] < cutoff.isoformat():
            rows = lake.read(ACTIVITY.name, file, ["user_id", "token", "event_date"])
            seen.append(_different(rows, users, categories, day_number(cutoff), days))
    pair, age = np.divmod(np.unique(np.concatenate(seen)), fortnights)
    weight = np.bincount(pair, np.exp(-age / DECAY), len(users) * len(categories))
    return weight.reshape(len(users), len(categories)).astype(np.float32) + share


def _different(rows: pa.Table, users: pa.Array, categories: IdMap, end: int, days: int) -> OffsetArray:
    """Return the different (user, category, age in fortnights) of some activity, each as one integer."""
    category = categories.positions(rows["token"].to_numpy()).astype(np.int64)
    past = end - 1 - rows["event_date"].cast(pa.int32()).to_numpy().astype(np.int64)
    near = (category >= 0) & (past >= 0) & (past < days)
    category, age = category[near], past[near] // FORTNIGHT
    ids = rows["user_id"].combine_chunks().filter(pa.array(near))
    user = pc.index_in(ids, value_set=users).fill_null(-1).to_numpy().astype(np.int64)
    known = user >= 0
    return np.unique((user[known] * len(categories) + category[known]) * -(-days // FORTNIGHT) + age[known])
