"""When the scheduler starts runs by itself: a cron expression between two days."""

import datetime as dt
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import Asset, AssetOrTimeSchedule
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import instance

from propensity.config import Schedule
from propensity.errors import ConfigError


def midnight(day: dt.date) -> dt.datetime:
    """Return the first moment of a day, UTC."""
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


BEGINNING = midnight(dt.date(1970, 1, 1))
"""Every DAG's ``start_date``: before any day that a person may name."""


class CronBetween(CronTriggerTimetable):
    """A cron expression (UTC) from the day `start` to the day `end`, both included, or for ever.

    These bounds are the timetable's, because a DAG's own ones bind people too, without a word: a run triggered for a day
    after ``end_date`` waits for ever, one for a day before ``start_date`` succeeds at once with no task in it.  A backfill names
    its own bounds.
    """

    def __init__(self, cron: str, start: dt.date, end: dt.date | None = None) -> None:
        super().__init__(cron, timezone="UTC")
        self.start, self.end = start, end

    @property
    def summary(self) -> str:
        """Return what the DAG list shows."""
        return f"{self._expression}, {self.start} to {self.end or 'for ever'}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run, or None after the end."""
        if restriction.earliest is None or restriction.earliest <= BEGINNING:  # the scheduler asks, not a backfill
            restriction = restriction._replace(earliest=instance(midnight(self.start)))
        if restriction.latest is None and self.end is not None:
            last = midnight(self.end + dt.timedelta(days=1)) - dt.timedelta(microseconds=1)
            restriction = restriction._replace(latest=instance(last))
        return super().next_dagrun_info(last_automated_data_interval=last_automated_data_interval, restriction=restriction)

    def serialize(self) -> dict[str, Any]:
        """Return what the scheduler needs to make this timetable again."""
        return {"cron": self._expression, "start": self.start.isoformat(), "end": self.end.isoformat() if self.end else None}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "CronBetween":
        """Make the timetable from what :meth:`serialize` returned."""
        end = dt.date.fromisoformat(data["end"]) if data["end"] else None
        return cls(data["cron"], dt.date.fromisoformat(data["start"]), end)


def timetable(cron: str, schedule: Schedule) -> CronBetween:
    """Return the timetable of `cron`; raise ConfigError for an expression that is not cron."""
    result = CronBetween(cron, schedule.start, schedule.end)
    try:
        result.validate()
    except AirflowTimetableInvalid:
        where = "runtime.yaml, key schedule"
        raise ConfigError(f"{cron!r} is not a cron expression", where=where, do="write one like 0 2 * * *") from None
    return result


def timetable_or(asset: Asset, cron: str, schedule: Schedule) -> Any:
    """Return a timetable that also starts a run for each event of `asset`."""
    return AssetOrTimeSchedule(timetable=timetable(cron, schedule), assets=[asset])  # type: ignore[arg-type]  # a core timetable works
