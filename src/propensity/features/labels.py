"""Labels: the categories each customer acted on in the days after the cutoff."""

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensity.contracts import day_number
from propensity.features.windows import Activity


def build_labels(
    activity: Activity, users: pa.Array, cutoff: dt.date, horizon_days: int, categories: npt.NDArray[np.int32]
) -> pa.ListArray:
    """Return for each of `users` the ascending ids out of `categories` acted on in ``[cutoff, cutoff + horizon_days)``.

    A user without activity there has an empty list; one that is not in `users` (no history yet) has no row.
    """
    start = day_number(cutoff)
    acted = (activity.day >= start) & (activity.day < start + horizon_days) & np.isin(activity.token, categories)
    row = pc.index_in(activity.users, value_set=users).fill_null(-1).to_numpy()
    pairs = np.stack([row[activity.user[acted]], activity.token[acted]], axis=1)
    pairs = np.unique(pairs[pairs[:, 0] >= 0], axis=0)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=len(users)))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(pairs[:, 1].astype(np.int32)))
