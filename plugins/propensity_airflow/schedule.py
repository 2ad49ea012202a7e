"""When the scheduler starts runs by itself: a cron expression, with an end when the configuration names one."""

import datetime as dt
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import Asset, AssetOrTimeSchedule
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from propensity.config import Schedule
from propensity.errors import ConfigError


def midnight(day: dt.date) -> dt.datetime:
    """Return the first moment of a day, UTC."""
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


class CronUntil(CronTriggerTimetable):
    """A cron expression (UTC) whose last moment is on the day `end`, or that goes on for ever.

    A DAG's own ``end_date`` would also hold back every run that a person triggers after it, for ever and without a word.
    """

    def __init__(self, cron: str, end: dt.date | None = None) -> None:
        super().__init__(cron, timezone="UTC")
        self.end = end

    @property
    def summary(self) -> str:
        """Return what the DAG list shows."""
        return f"{self._expression} until {self.end}" if self.end else str(self._expression)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run, or None after the end."""
        info = super().next_dagrun_info(last_automated_data_interval=last_automated_data_interval, restriction=restriction)
        if info is None or self.end is None:
            return info
        return info if info.run_after < midnight(self.end + dt.timedelta(days=1)) else None

    def serialize(self) -> dict[str, Any]:
        """Return what the scheduler needs to make this timetable again."""
        return {"cron": self._expression, "end": self.end.isoformat() if self.end else None}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "CronUntil":
        """Make the timetable from what :meth:`serialize` returned."""
        return cls(data["cron"], dt.date.fromisoformat(data["end"]) if data["end"] else None)


def timetable(cron: str, schedule: Schedule) -> CronUntil:
    """Return the timetable of `cron`; raise ConfigError for an expression that is not cron."""
    result = CronUntil(cron, schedule.end)
    try:
        result.validate()
    except AirflowTimetableInvalid:
        where = "runtime.yaml, key schedule"
        raise ConfigError(f"{cron!r} is not a cron expression", where=where, do="write one like 0 2 * * *") from None
    return result


def timetable_or(asset: Asset, cron: str, schedule: Schedule) -> Any:
    """Return a timetable that also starts a run for each event of `asset`."""
    return AssetOrTimeSchedule(timetable=timetable(cron, schedule), assets=[asset])  # type: ignore[arg-type]  # a core timetable works
