"""The evaluation as it is kept: one JSON file beside the bundle, bound to the bundle's digest.  Light to import."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from propensity.config import Promotion
from propensity.errors import BundleError
from propensity.pipeline.bundle import bundle_digest

FILE = "evaluation.json"
FORMAT = 3
"""Raise it when an evaluation would hold other entries: an older file is then made again."""
OURS, POPULARITY, DECAYED = "model", "popularity", "decayed_frequency"
BASELINES = (POPULARITY, DECAYED)
BROKEN = 0.05
"""A promise is broken where so few right picks are less probable than this if it held (one-sided binomial test)."""

Figures: TypeAlias = Mapping[str, float | None]
"""What metrics.Judgement holds, by name; None where the window had nothing to tell."""


def settings_of(promotion: Promotion) -> dict[str, float]:
    """Return the format and the settings that an evaluation depends on."""
    return {
        "format": FORMAT,
        "expected_precision": promotion.expected_precision,
        "min_positives": promotion.min_positives,
        "resamples": promotion.resamples,
        "level": promotion.level,
        "seed": promotion.seed,
    }


def write_evaluation(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Write the evaluation beside the bundle, whole or not at all."""
    write_text(folder / FILE, json.dumps(evaluation, indent=1))


def read_evaluation(folder: Path, promotion: Promotion, cutoff: dt.date) -> dict[str, Any] | None:
    """Return the evaluation beside a bundle; None unless it is of this very bundle, this window and these settings."""
    path = folder / FILE
    if not path.is_file():
        return None
    evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"digest": bundle_digest(folder), "cutoff": cutoff.isoformat(), **settings_of(promotion)}
    return evaluation if all(evaluation.get(key) == value for key, value in wanted.items()) else None


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically; raise BundleError when the bundle's folder is gone."""
    if not path.parent.is_dir():
        raise BundleError("no such bundle", where=str(path.parent), do="train this version first")
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def plain(value: Any) -> Any:
    """Return the value as JSON has it: NaN becomes null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
