"""Raw events for the speed benchmarks: one Parquet file a day, of any size, the same for the same seed.

A day is made a chunk at a time and draws from its own random numbers, so memory does not grow with customers, days or events,
and a day is the same however many are made around it.  Tokens follow Zipf's law; customers are log-normally active; regions are
skewed; times lie anywhere in the day.  Customers, tokens and times are drawn independently: nothing is there to learn.
"""

import argparse
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from scipy.special import ndtr

from propensity.config import Config, load_config
from propensity.features.tokens import load
from propensity.storage import Lake

REGIONS = {"us": 0.38, "eu": 0.20, "jp": 0.12, "in": 0.10, "br": 0.07, "uk": 0.06, "ca": 0.04, "au": 0.03}
"""Share of the customers."""
FIRST_ITEM = 1_000_000
CHUNK = 500_000
"""Events made at once, and in one row group."""
SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("region", pa.string()),
        ("event_time", pa.timestamp("us", tz="UTC")),
        ("item", pa.int64()),
        ("amount", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Shape:
    """How large the data is."""

    users: int = 300_000
    events_a_day: int = 219_780
    """20 million in 91 days."""
    tokens: int = 200_000
    spread: float = 1.0
    """Standard deviation of the logarithm of a customer's activity."""
    seed: int = 1


def events_of(shape: Shape, day: dt.date) -> Iterator[pa.Table]:
    """Yield a day's events, at most CHUNK at a time, ascending in time."""
    chunks = -(-shape.events_a_day // CHUNK)
    tokens, popular = _popularity(shape)
    for number in range(chunks):
        count = min(CHUNK, shape.events_a_day - number * CHUNK)
        random = np.random.default_rng([shape.seed, day.toordinal(), number])
        users = _users(shape, random, count)
        seconds = 86_400 * (number + np.sort(random.random(count))) / chunks
        start = np.datetime64(day.isoformat(), "us")
        columns = [
            pa.array(users),
            pa.DictionaryArray.from_arrays(_region(users), pa.array(list(REGIONS))).cast(pa.string()),
            pa.array(start + (seconds * 1e6).astype("timedelta64[us]")).cast(SCHEMA.field("event_time").type),
            pa.array(tokens[np.searchsorted(popular, random.random(count)).clip(0, shape.tokens - 1)]),
            pa.array(np.round(random.gamma(1, 20, count), 2) + 0.01),
        ]
        yield pa.table(columns, schema=SCHEMA)


def _popularity(shape: Shape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the items by falling popularity and its running sum: Zipf's law with exponent 1.05, bent at the tenth item."""
    running = np.cumsum(1 / (np.arange(shape.tokens) + 10.0) ** 1.05)
    items = np.random.default_rng([shape.seed, 0]).permutation(shape.tokens) + FIRST_ITEM
    return items.astype(np.int64), running / running[-1]


def _users(shape: Shape, random: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Return the customers of some events: drawn in proportion to a log-normal activity, without a table of customers.

    Drawn by activity exp(s z), a customer's z is normal around s instead of 0 (the size-biased law of a log-normal), and the
    share of customers less active than z is the normal distribution function of z: a rank.  A multiplication modulo the
    number of customers then shuffles ranks to ids.
    """
    rank = (ndtr(random.normal(shape.spread, 1, count)) * shape.users).astype(np.int64).clip(0, shape.users - 1)
    factor = 2_654_435_761
    while np.gcd(factor, shape.users) != 1:
        factor += 2
    users: npt.NDArray[np.int64] = (rank * factor) % shape.users
    return users


def _region(users: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Return the position of each customer's region in REGIONS, by a hash of the id that is not that of the buckets."""
    mixed = users.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    share = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    bounds = np.cumsum(list(REGIONS.values()))[:-1]
    return np.searchsorted(bounds, share, side="right").astype(np.int8)


def day_file(home: Path, day: dt.date) -> Path:
    """Return the path of a day's raw events."""
    return home / "raw" / f"{day.isoformat()}.parquet"


def write_day(home: Path, shape: Shape, day: dt.date) -> Path:
    """Write a day's raw events unless they are there; return the file."""
    path = day_file(home, day)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path.with_suffix(".tmp"), SCHEMA, compression="zstd", compression_level=1) as writer:
            for table in events_of(shape, day):
                writer.write_table(table, row_group_size=CHUNK)
        path.with_suffix(".tmp").replace(path)
    return path


# -- a configuration for them ------------------------------------------------------------------------------------------


def configuration(home: Path, first_day: dt.date, windows: tuple[int, ...], buckets: int = 4, called: str = "conf") -> Config:
    """Write a configuration folder, `called` so, for raw events under `home` and return it, its data under ``home/speed``.

    Every item has the summed value of its events in each of `windows` (days); the longest is the history.
    """
    source = {
        "name": "events", "files": str(home.resolve() / "raw" / "{date}.parquet"), "event_type": "buy",
        "fields": {"item": "item"},
        "columns": {"user_id": "user_id", "region": "region", "event_time": "event_time", "value": "amount"},
        "require": ["item"],
    }  # fmt: skip
    sections: dict[str, object] = {
        "runtime": {"name": "speed", "schedule": {"start": first_day}, "spark": {"master": "local[2]", "driver_memory": "2g"}},
        "regions": {"regions": {f"{name}": {} for name in REGIONS}},
        "tables": {
            "user_id": "int64", "buckets": buckets, "first_day": first_day, "events": [source],
            "label": {"event_type": "buy", "field": "item"},
        },
        "features": {
            "history_days": windows[-1], "fields": [{"event_type": "buy", "field": "item", "value": list(windows)}],
            "active_days": windows[-1],
        },
        "models": {}, "quality": {"events": [], "features": [], "labels": [], "scores": []},
    }  # fmt: skip
    folder = home / called
    folder.mkdir(parents=True, exist_ok=True)
    for name, section in sections.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(section, sort_keys=False))
    return load_config(folder, home)


def write_vocabulary(lake: Lake, home: Path) -> Path:
    """Write what the peers map items by, once events have landed: item (int64), token (int32); return the file."""
    tokens = load(lake).table
    path = home / "vocabulary.parquet"
    pq.write_table(pa.table({"item": tokens["value"].cast(pa.int64()), "token": tokens["token"]}), path)
    return path


def main() -> None:
    """Write a folder of raw events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("home", type=Path)
    parser.add_argument("--users", type=int, default=Shape.users)
    parser.add_argument("--events-a-day", type=int, default=Shape.events_a_day)
    parser.add_argument("--first-day", type=dt.date.fromisoformat, default=dt.date(2025, 1, 1))
    parser.add_argument("--days", type=int, default=91)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    shape = Shape(arguments.users, arguments.events_a_day, seed=arguments.seed)
    for number in range(arguments.days):
        write_day(arguments.home, shape, arguments.first_day + dt.timedelta(days=number))
    print(f"{arguments.days * arguments.events_a_day:,} events in {arguments.days} files under {arguments.home / 'raw'}")


if __name__ == "__main__":
    main()
