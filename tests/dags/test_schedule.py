"""When the scheduler starts runs by itself."""

import datetime as dt

import pendulum
import pytest
from airflow.serialization.definitions.dag import SerializedDAG  # noqa: F401  # registers what decoding needs
from airflow.timetables.base import TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from propensity.config import Schedule
from propensity.errors import ConfigError
from propensity_airflow.schedule import BEGINNING, CronBetween, midnight, timetable

START = dt.date(2017, 7, 3)


def moments(cron, end, catchup=True):
    times, last = [], None
    table = CronBetween(cron, START, end)
    restriction = TimeRestriction(pendulum.instance(BEGINNING), None, catchup)
    while len(times) < 500 and (info := table.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)):
        times.append(info.logical_date)
        last = info.data_interval
    return times


@given(st.integers(0, 300))
def test_every_day_from_the_first_to_the_last_once(days):
    end = START + dt.timedelta(days=days)
    found = [t.date() for t in moments("0 2 * * *", end)]
    assert found == [START + dt.timedelta(days=n) for n in range(days + 1)]


def test_a_week_later_is_a_week_later():
    assert [t.date().isoformat() for t in moments("0 3 * * 1", dt.date(2017, 7, 24))] == [
        "2017-07-03", "2017-07-10", "2017-07-17", "2017-07-24",
    ]  # fmt: skip


def test_after_the_end_the_scheduler_starts_nothing():
    assert moments("0 0 * * *", START - dt.timedelta(days=1)) == []
    assert moments("0 0 * * *", dt.date(2018, 1, 1), catchup=False) == []


def test_without_an_end_it_goes_on():
    assert len(moments("0 0 * * *", None)) == 500


def test_a_backfill_names_its_own_days():
    table = CronBetween("0 0 * * *", START, START)
    first, last = (pendulum.instance(midnight(START + dt.timedelta(days=n))) for n in (-2, 1))
    found, interval = [], None
    while info := table.next_dagrun_info(last_automated_data_interval=interval, restriction=TimeRestriction(first, last, True)):
        found.append(info.logical_date.date() - START)
        interval = info.data_interval
    assert [d.days for d in found] == [-2, -1, 0, 1]


@given(start=st.dates(), end=st.none() | st.dates())
def test_the_scheduler_makes_the_same_timetable_again(start, end):
    table = CronBetween("5 4 * * *", start, end)
    again = CronBetween.deserialize(table.serialize())
    assert (again.summary, again.start, again.end) == (table.summary, start, end)


def test_a_cron_expression_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="is not a cron expression"):
        timetable("every day", Schedule(start=START))
