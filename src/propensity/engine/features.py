"""Features and labels, bucket by bucket: read the bucket's activity once, build every date that is due, commit each date."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.contracts import FEATURES, LABELS, TableContract
from propensity.engine.buckets import map_cheaply
from propensity.errors import DataError
from propensity.features.csr import to_arrow
from propensity.features.labels import build_labels
from propensity.features.store import BucketWork, Due, bucket_work, features_due, finished, labels_due, read_activity
from propensity.features.tokens import load
from propensity.features.windows import Plan, build_features
from propensity.quality.statistics import feature_statistics, label_statistics
from propensity.storage import DataFile, Lake

SMALL = 64 * 2**20
"""Bytes of activity files, times the dates to build, up to which no Spark is started: 3 processor seconds; labels take less."""


def make_features(lake: Lake, region: str, dates: Sequence[dt.date], force: bool, small: int = SMALL) -> list[DataFile] | None:
    """Build and commit the feature rows of these dates; return all files built, or None when everything was there.

    No Spark is started for up to `small` bytes of activity files, times the dates to build.
    """
    due = [d for d in features_due(lake, region, dates) if force or not finished(lake, FEATURES, d)]
    if not due:
        return None
    features = lake.config.features
    plan = Plan(features.channel_names(), load(lake).channel_masks(features), features.history_days)
    oldest = min(d.score_date for d in due) - dt.timedelta(days=features.history_days)
    work = bucket_work(lake, region, due, oldest, max(d.score_date for d in due))
    shared = (lake, plan, force)
    doing, size = f"{region}: buckets of features", _activity_bytes(work) * len(due)
    return _commit(lake, FEATURES, due, map_cheaply(lake.config, _features, work, shared, doing, size, small))


def _activity_bytes(work: Sequence[BucketWork]) -> int:
    return sum(file.size for each in work for file in each.activity)


def _features(work: BucketWork, shared: tuple[Lake, Plan, bool]) -> list[DataFile]:
    lake, plan, force = shared
    activity, files = None, []
    for due in work.due:
        done = None if force else lake.stat(FEATURES, due.partition(), due.name(work.bucket))
        if done is None:
            activity = activity or read_activity(lake, work.activity)
            users, batch = build_features(activity, due.score_date, plan)
            table = pa.table([users, *to_arrow(batch.check())], schema=FEATURES.file_schema(lake.user_type))
            done = lake.write(FEATURES, due.partition(), due.name(work.bucket), table, feature_statistics(batch, users))
        files.append(done)
    return files


@dataclass(frozen=True)
class _Labels:
    lake: Lake
    categories: npt.NDArray[np.int32]
    users: dict[dt.date, list[DataFile]]
    """The feature files whose users the labels follow, by date, in the order of the buckets."""
    force: bool


def make_labels(lake: Lake, region: str, dates: Sequence[dt.date], force: bool, small: int = SMALL) -> list[DataFile] | None:
    """Build and commit the labels of these dates; return all files built, or None when everything was there.

    No Spark is started for up to `small` bytes, counted as :func:`make_features` does.
    """
    due = [d for d in labels_due(lake, region, dates) if force or not finished(lake, LABELS, d)]
    if not due:
        return None
    users = {d.score_date: lake.files(FEATURES, **d.partition()) for d in due}
    without = [date for date, files in users.items() if not files]
    if without:
        raise DataError(
            "dates without features", where=region, count=len(without), examples=without, do="run jobs/features.py first"
        )
    categories = load(lake).of(*lake.config.label_key)["token"].to_numpy()
    last = max(d.score_date for d in due) + dt.timedelta(days=lake.config.features.horizon_days)
    work = bucket_work(lake, region, due, min(d.score_date for d in due), last)
    shared, doing = _Labels(lake, categories, users, force), f"{region}: buckets of labels"
    size = _activity_bytes(work) * len(due)
    return _commit(lake, LABELS, due, map_cheaply(lake.config, _label, work, shared, doing, size, small))


def _label(work: BucketWork, shared: _Labels) -> list[DataFile]:
    lake = shared.lake
    activity, files = read_activity(lake, work.activity), []
    for due in work.due:
        users = lake.read(FEATURES.name, shared.users[due.score_date][work.bucket], ["user_id"])["user_id"].combine_chunks()
        categories = build_labels(activity, users, due.score_date, lake.config.features.horizon_days, shared.categories)
        table = pa.table([users, categories], schema=LABELS.file_schema(lake.user_type))
        known = shared.categories.tolist()
        files.append(
            lake.write(LABELS, due.partition(), due.name(work.bucket), table, label_statistics(categories, users, known))
        )
    return files


def _commit(lake: Lake, contract: TableContract, due: Sequence[Due], built: Sequence[Sequence[DataFile]]) -> list[DataFile]:
    for position, date in enumerate(due):
        files = [bucket[position] for bucket in built]
        lake.commit(contract, files, date.partition(), {"digest": date.digest})
    return [file for bucket in built for file in bucket]
