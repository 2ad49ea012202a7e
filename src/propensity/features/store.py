"""Which feature and label files a day consists of: named by a digest of what they are made from, so what is done stays done."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from propensity.contracts import ACTIVITY, FEATURES, LANDED, TableContract
from propensity.errors import DataError
from propensity.features.windows import Activity, sort_activity
from propensity.storage import DataFile, Lake


@dataclass(frozen=True)
class Due:
    """One score date of one region that is to be built, and the name of its files."""

    region: str
    score_date: dt.date
    digest: str

    def partition(self) -> dict[str, str]:
        """Return the table partition."""
        return {"region": self.region, "score_date": self.score_date.isoformat()}

    def name(self, bucket: int) -> str:
        """Return the name of a bucket's file."""
        return f"{bucket:05d}-{self.digest[:24]}"


@dataclass(frozen=True)
class BucketWork:
    """What one task does: one bucket, all dates that are due, from these activity files."""

    bucket: int
    due: tuple[Due, ...]
    activity: tuple[DataFile, ...]


def features_due(lake: Lake, region: str, dates: Sequence[dt.date]) -> list[Due]:
    """Return the wanted state of the features of these dates; raise DataError when a day they need has not landed."""
    config, landed = lake.config, _landed(lake, region)
    settings = config.digest("features", "tables")
    history = dt.timedelta(days=config.features.history_days)
    return [Due(region, d, _digest("features", settings, region, d, *_days(lake, region, landed, d - history, d))) for d in dates]


def labels_due(lake: Lake, region: str, dates: Sequence[dt.date]) -> list[Due]:
    """Return the wanted state of the labels of these dates: bound to the features whose users they follow."""
    landed = _landed(lake, region)
    horizon = dt.timedelta(days=lake.config.features.horizon_days)
    result = []
    for due in features_due(lake, region, dates):
        after = _days(lake, region, landed, due.score_date, due.score_date + horizon)
        result.append(Due(region, due.score_date, _digest("labels", due.digest, *after)))
    return result


def _landed(lake: Lake, region: str) -> dict[dt.date, str]:
    rows = lake.read_rows(LANDED, region=region)
    return dict(zip(rows["event_date"].to_pylist(), rows["digest"].to_pylist(), strict=True))


def _days(lake: Lake, region: str, landed: dict[dt.date, str], first: dt.date, stop: dt.date) -> list[str]:
    wanted = lake.config.tables.open_days(first, stop)
    missing = [day for day in wanted if day not in landed]
    if missing or not wanted:
        raise DataError(
            f"days before {stop} have not landed", where=f"region {region}", count=len(missing), examples=missing,
            do="run jobs/land.py and the events gate for them; events begin on tables.first_day",
        )  # fmt: skip
    return [landed[day] for day in wanted]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()


def finished(lake: Lake, contract: TableContract, due: Due) -> bool:
    """Say whether exactly the files of `due` are committed."""
    files = lake.files(contract, **due.partition())
    return [f.path.rsplit("/", 1)[-1] for f in files] == [f"{due.name(b)}.parquet" for b in range(lake.config.tables.buckets)]


def bucket_work(lake: Lake, region: str, due: Sequence[Due], first: dt.date, stop: dt.date) -> list[BucketWork]:
    """Return one task a bucket over the activity of the days ``[first, stop)``."""
    # A period's name sorts by date: a month "2017-03" before its days "2017-03-04".
    files = [f for f in lake.files(ACTIVITY, region=region) if first.isoformat()[:7] <= f.partition["period"] < stop.isoformat()]
    buckets = range(lake.config.tables.buckets)
    return [BucketWork(b, tuple(due), tuple(f for f in files if f.partition["bucket"] == str(b))) for b in buckets]


def read_activity(lake: Lake, files: Sequence[DataFile]) -> Activity:
    """Return the sorted activity of one bucket's files."""
    return sort_activity([lake.read(ACTIVITY.name, f) for f in files], ACTIVITY.file_schema(lake.user_type))


def committed(lake: Lake, region: str, score_date: dt.date) -> list[DataFile]:
    """Return the committed feature files of a day in the order of the buckets; raise DataError when there are none."""
    files = lake.files(FEATURES, region=region, score_date=score_date.isoformat())
    if not files:
        raise DataError(f"no features for {score_date}", where=f"region {region}", do="run jobs/features.py first")
    return files
