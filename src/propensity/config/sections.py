"""The sections of a configuration, one model for each YAML file; a docstring under every key says what it is."""

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from propensity.config.base import Frozen
from propensity.config.serving import Serving

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Schedule(Frozen):
    """When the scheduler starts runs by itself."""

    score: str = "0 2 * * *"
    """Cron expression (UTC) of the daily scoring run."""
    train: str = "0 3 * * 1"
    """Cron expression (UTC) of the weekly training run."""
    start: dt.date
    """First day the scheduler may run for."""
    end: dt.date | None = None
    """Last day, or null to go on for ever."""
    catchup: bool = False
    """Whether the scheduler makes up for days it missed."""


class Database(Frozen):
    """Where the scores are published besides the lake."""

    url: str | None = None
    """A Postgres address, or null for the embedded Postgres.  The environment's PROPENSITY_DATABASE_URL wins."""
    port: int = Field(54329, ge=1024, le=65535)
    """Port of the embedded Postgres on 127.0.0.1."""


class Spark(Frozen):
    """The engine."""

    master: str = "local[2,3]"
    """Any Spark master."""
    driver_memory: str = Field("2g", pattern=r"^\d+[mg]$")
    """Memory of the driver's JVM."""
    options: dict[str, str] = Field(default_factory=dict)
    """Further Spark properties, passed on as they are."""


class Runtime(Frozen):
    """runtime.yaml: the project's name, schedule, storage, database, engine."""

    name: Name
    """Names the folder under PROPENSITY_HOME that everything of this configuration lives in."""
    dataset: Literal["complete_journey"] | None = None
    """A data set the project ships with, whose event files ``jobs/prepare.py`` makes under ``{home}/raw``; null: your own."""
    schedule: Schedule
    lake: str | None = None
    """Where the tables live: a path or an ``s3://`` address; null for the folder `lake` in the project's home."""
    storage_options: dict[str, str] = Field(default_factory=dict)
    """Options for ``s3://`` storage, as delta-rs names them.  Secrets belong into the environment."""
    database: Database = Database(url=None, port=54329)
    spark: Spark = Spark(master="local[2,3]", driver_memory="2g")
    serving: Serving = Serving()


class Region(Frozen):
    """One region.  Adding one is adding a line."""

    title: str = ""
    """What people call it."""
    values: tuple[str, ...] = ()
    """The values of the events' region column that belong to it; empty: its own name."""


class Regions(Frozen):
    """regions.yaml."""

    regions: dict[Name, Region] = Field(min_length=1)


class EventColumns(Frozen):
    """Which columns of the files hold what."""

    user_id: str
    event_time: str
    region: str | None = None
    """null: every event belongs to the only region."""
    value: str | None = None
    """What one event is worth, in the events' own unit; null counts 0."""


class EventSource(Frozen):
    """One set of event files."""

    name: Name
    files: str
    """Parquet files: a path relative to the configuration folder, an absolute path or an address.
    ``{home}`` is the project's home, ``{date}`` the day (one file a day); without ``{date}`` the day is found by event_time."""
    event_type: Name
    columns: EventColumns
    fields: dict[Name, str] = Field(min_length=1)
    """Token fields: field name -> column.  The same field name in two sources with the same event_type is one field."""
    require: tuple[str, ...] = ()
    """Fields without which an event is dropped (and counted)."""
    optional: bool = False
    """Whether a day without a file is a day without such events rather than an error."""


class Label(Frozen):
    """What is predicted: the categories of events of one type."""

    event_type: Name
    field: Name


class Tables(Frozen):
    """tables.yaml."""

    user_id: Literal["int64", "string"] = "int64"
    """Type of user ids, carried through unchanged."""
    buckets: int = Field(8, ge=1, le=65536)
    """bucket = hash(user_id) mod buckets.  Fixed for the life of a lake."""
    events: tuple[EventSource, ...] = Field(min_length=1)
    label: Label
    first_day: dt.date
    """The first day there are events for; no day before it is expected."""
    closed_days: tuple[dt.date, ...] = ()
    """Days on which nothing happens, such as holidays: no events are expected and no file is looked for."""

    def open_days(self, first: dt.date, stop: dt.date) -> list[dt.date]:
        """Return the days in ``[first, stop)`` that events are expected for."""
        begin = max(first, self.first_day)
        days = (begin + dt.timedelta(days=n) for n in range(max((stop - begin).days, 0)))
        return [day for day in days if day not in self.closed_days]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.events]
        if len(set(names)) != len(names):
            raise ValueError(f"events: two sources share a name: {sorted(names)}")
        for source in self.events:
            missing = sorted(set(source.require) - set(source.fields))
            if missing:
                raise ValueError(f"events.{source.name}.require names {missing}, which fields lacks")
        if not any(s.event_type == self.label.event_type and self.label.field in s.fields for s in self.events):
            raise ValueError(f"label: no source has event_type {self.label.event_type} with field {self.label.field}")
        return self


def _windows(days: tuple[int, ...]) -> tuple[int, ...]:
    if list(days) != sorted(set(days)) or (days and days[0] < 1):
        raise ValueError(f"windows must be ascending days from 1 up, each once: {list(days)}")
    return days


Windows = Annotated[tuple[int, ...], AfterValidator(_windows)]


class Channels(Frozen):
    """What is computed of every token of one field.  Each entry is one feature a token."""

    count: Windows = ()
    """log1p of the number of events, for each window in days."""
    days: Windows = ()
    """log1p of the number of days with an event, for each window in days."""
    value: Windows = ()
    """Signed log1p of the summed value, for each window in days."""
    recency: bool = False
    """exp(-days since the last event / 28)."""
    interval: bool = False
    """log1p of the mean days between the days with an event; only for two days or more."""


class FeatureField(Channels):
    """The channels of the tokens of one (event type, field)."""

    event_type: Name
    field: Name


MAX_CHANNELS = 32


class Features(Frozen):
    """features.yaml."""

    fields: tuple[FeatureField, ...] = Field(min_length=1)
    history_days: int = Field(364, ge=1)
    """How far back features look, in days; no window is longer."""
    horizon_days: int = Field(14, ge=1)
    """Labels are the categories acted on in ``[score_date, score_date + horizon)``."""
    active_days: int = Field(91, ge=1)
    """Customers with an event in some category in that many days before the cutoff are trained on and evaluated; everybody with
    features is when the categories' own field has no recency channel."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for field in self.fields:
            longest = max((*field.count, *field.days, *field.value, 0))
            if longest > self.history_days:
                raise ValueError(f"{field.event_type}.{field.field}: window {longest} exceeds history_days {self.history_days}")
        keys = [(f.event_type, f.field) for f in self.fields]
        if len(set(keys)) != len(keys):
            raise ValueError("fields: an (event_type, field) stands twice")
        if len(self.channel_names()) > MAX_CHANNELS:
            raise ValueError(f"more than {MAX_CHANNELS} different channels")
        return self

    def channel_names(self) -> tuple[str, ...]:
        """Return every channel in use, in the order of their slots: feature id = token * MAX_CHANNELS + slot."""
        names: set[tuple[int, str, int]] = set()
        for f in self.fields:
            names.update((0, "count", w) for w in f.count)
            names.update((1, "days", w) for w in f.days)
            names.update((2, "value", w) for w in f.value)
            names.update([(3, "recency", 0)] if f.recency else [])
            names.update([(4, "interval", 0)] if f.interval else [])
        return tuple(f"{kind}_{window}" if window else kind for _, kind, window in sorted(names))


class Expectation(Frozen):
    """One expectation of a suite, by its Great Expectations name."""

    expect: str
    """Class name, for example ``ExpectColumnMaxToBeBetween``."""
    says: str
    """What a failure means and what to do, in plain words."""
    examples: str | None = None
    """Which list of collected examples belongs to it."""
    args: dict[str, Any] = Field(default_factory=dict)


class Quality(Frozen):
    """quality.yaml: the suites, one for each gate."""

    events: tuple[Expectation, ...]
    features: tuple[Expectation, ...]
    labels: tuple[Expectation, ...]
    scores: tuple[Expectation, ...]
    drift: tuple[Expectation, ...] = ()
    """How far a scored day may lie from the training window; empty: drift is measured and stops nothing."""
