"""Synthetic events of another shape than the Complete Journey: text ids, three markets with categories of their own.

For walk-throughs and tests.  Customers buy their usual categories in cycles and now and then something popular, so there is
something to learn; it is no benchmark of anything.
"""

import argparse
import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MARKETS = {"alps": 24, "coast": 18, "plains": 30}
"""Market -> number of categories.  A third of each market's categories exist in no other."""
SCHEMA = pa.schema(
    [
        ("customer", pa.string()),
        ("market", pa.string()),
        ("happened_at", pa.timestamp("ms", tz="UTC")),
        ("topic", pa.string()),
        ("brand", pa.string()),
        ("amount", pa.float64()),
    ]
)


def generate(customers: int, first: dt.date, days: int, seed: int) -> pa.Table:
    """Return the events of `customers` customers in each market over `days` days from `first`, sorted by time."""
    rng = np.random.default_rng(seed)
    tables = [_market(market, topics, customers, first, days, rng) for market, topics in MARKETS.items()]
    return pa.concat_tables(tables).sort_by([("happened_at", "ascending"), ("customer", "ascending"), ("topic", "ascending")])


def _market(market: str, topics: int, customers: int, first: dt.date, days: int, rng: np.random.Generator) -> pa.Table:
    popularity = 1 / np.arange(2, topics + 2)
    popularity /= popularity.sum()
    who, when, what = [], [], []
    for customer in range(customers):
        for topic in rng.choice(topics, size=6, replace=False, p=popularity):
            cycle = rng.uniform(4, 45)
            times = np.cumsum(rng.gamma(8, cycle / 8, size=int(3 * days / cycle) + 2)) - rng.uniform(0, cycle)
            times = times[(times >= 0) & (times < days)]
            who.append(np.full(len(times), customer))
            when.append(times)
            what.append(np.full(len(times), topic))
        whims = rng.poisson(days / 20)
        who.append(np.full(whims, customer))
        when.append(rng.uniform(0, days, whims))
        what.append(rng.choice(topics, whims, p=popularity))
    return _table(market, topics, first, np.concatenate(who), np.concatenate(when), np.concatenate(what), rng)


def _table(
    market: str, topics: int, first: dt.date, who: np.ndarray, when: np.ndarray, what: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    start = np.datetime64(first.isoformat(), "ms")
    shared = [f"topic {n}" if n % 3 else f"{market} special {n}" for n in range(topics)]
    columns = [
        pa.array([f"{market}-{n:06d}" for n in who]),
        pa.array([market.upper()] * len(who)),
        pa.array(start + (when * 86_400_000).astype("timedelta64[ms]")).cast(pa.timestamp("ms", tz="UTC")),
        pa.array([shared[n] for n in what]),
        pa.array([f"brand {n % 7}" for n in what + rng.integers(0, 3, len(what))]),
        pa.array(np.round(rng.gamma(2, 4, len(who)), 2)),
    ]
    return pa.table(columns, schema=SCHEMA)


def write(folder: Path, events: pa.Table) -> int:
    """Write the events as one Parquet file a month; return the number of files."""
    folder.mkdir(parents=True, exist_ok=True)
    months = np.array([t.strftime("%Y-%m") for t in events["happened_at"].to_pylist()])
    for month in np.unique(months):
        pq.write_table(events.filter(pa.array(months == month)), folder / f"{month}.parquet")
    return len(np.unique(months))


def main() -> None:
    """Write a folder of synthetic events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--customers", type=int, default=200, help="in each market")
    parser.add_argument("--first-day", type=dt.date.fromisoformat, default=dt.date(2025, 1, 1))
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    events = generate(arguments.customers, arguments.first_day, arguments.days, arguments.seed)
    print(f"{events.num_rows:,} events in {write(arguments.folder, events)} files under {arguments.folder}")


if __name__ == "__main__":
    main()
