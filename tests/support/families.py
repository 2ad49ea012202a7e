"""A small trained model of each family, on the shop of tests/support/trained.py, with one category and with all of them."""

from functools import cache
from typing import Any

import numpy as np

from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.recipe import Trained, train
from tests.support.trained import REGION, SCORE_DATE, shared

SMALL: dict[str, Any] = {
    "field_embedding": {"dimension": 4, "hidden": (16, 8), "max_epochs": 6, "learning_rate": 0.02, "batch_size": 32},
    "xgboost": {"rounds": 12, "depth": 3, "patience": 12},
}


def tables_of(kind: str, single: bool, **settings: Any) -> TrainingTables:
    """Return the shop's training tables with another family configured; single: for the most popular category alone."""
    lake = shared()[0]
    tables = TrainingTables(lake, REGION)
    models = lake.config.models
    section = type(getattr(models, kind))(**{**SMALL.get(kind, {}), **settings})
    least = _popular(tables) if single else models.min_category_users
    tables.config = lake.config.model_copy(
        update={"models": models.model_copy(update={"kind": kind, kind: section, "min_category_users": least})}
    )
    return tables


def _popular(tables: TrainingTables) -> int:
    """Return how many training rows have the most popular category."""
    cutoffs = training_cutoffs(tables.config, SCORE_DATE)[1:]
    labels = np.concatenate([rows.label_tokens for day in cutoffs for rows in tables.rows(day)])
    return int(np.bincount(labels).max())


@cache
def family(kind: str, single: bool) -> Trained:
    """Return one trained version for all tests that only read it."""
    return train(tables_of(kind, single), SCORE_DATE, "cpu", lambda _: None)
