"""A small trained model: the shop of tests/support/shop.py, landed and turned into tables in this process, without Spark."""

import datetime as dt
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from propensity.engine.features import make_features, make_labels
from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.recipe import Trained, train
from propensity.storage import Lake
from tests.support.shop import FIRST, land_here, make_shop

REGION = "coast"
DAYS = 180
SCORE_DATE = FIRST + dt.timedelta(days=DAYS)
SETTINGS: dict[str, Any] = {
    "propensity_network": {"hidden": 16, "max_epochs": 4, "patience": 2},
    "train_windows": 4,
    "min_feature_users": 5,
}


def make_tables(folder: Path, customers: int = 60, **models: Any) -> Lake:
    """Return a lake with features and labels of one region for every training cutoff of SCORE_DATE."""
    changes = {
        "features": {"history_days": 120, "horizon_days": 10, "active_days": 60},
        "models": {**SETTINGS, **models, "promotion": {"min_positives": 5}},
    }
    lake = make_shop(folder, customers, DAYS, 0, **changes)
    land_here(lake, [FIRST + dt.timedelta(days=i) for i in range(DAYS)])
    dates = training_cutoffs(lake.config, SCORE_DATE)
    make_features(lake, REGION, dates, force=False)
    make_labels(lake, REGION, dates, force=False)
    return lake


def train_here(lake: Lake) -> Trained:
    """Train on the CPU without a word."""
    return train(TrainingTables(lake, REGION), SCORE_DATE, "cpu", lambda _: None)


@cache
def shared() -> tuple[Lake, Trained]:
    """Return one lake and one trained version for all tests that only read them; its folder goes with the process."""
    _folders.append(tempfile.TemporaryDirectory())
    lake = make_tables(Path(_folders[-1].name))
    return lake, train_here(lake)


_folders: list["tempfile.TemporaryDirectory[str]"] = []


def copied_bundle(folder: Path) -> Path:
    """Return a copy of the shared version's folder that a test may damage."""
    return Path(shutil.copytree(shared()[1].folder, folder / "bundle"))
