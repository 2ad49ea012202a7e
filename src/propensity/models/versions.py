"""What a model version is called and where it lies.  The name follows from the inputs: same inputs, same version."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from propensity.config import Config

RECIPE = 4
"""Raise it when the code would make another model from the same inputs."""
NOT_THE_MODEL = {"promotion", "top_k", "scoring"}
"""Settings that do not change what is learned; those of the families that were not chosen do not either."""


def settings_digest(config: Config) -> str:
    """Return the digest of the settings that shape the model."""
    payload = {
        "features": config.features.model_dump(mode="json"),
        "label": config.tables.label.model_dump(mode="json"),
        "models": config.models.model_dump(mode="json", exclude=NOT_THE_MODEL | config.models.others()),
    }
    return digest_of(payload)


def inputs_digest(config: Config, partitions: Mapping[str, list[str]]) -> str:
    """Return the digest of settings, feature and label files.

    The device is not an input, nor is the number of processes: they round and order, they do not decide.  The manifest has both.
    """
    return digest_of({"recipe": RECIPE, "settings": settings_digest(config), "partitions": partitions})


def data_digest(partitions: Mapping[str, list[str]]) -> str:
    """Return the digest of the feature and label files alone."""
    return digest_of(partitions)


def version_name(score_date: dt.date, inputs: str) -> str:
    """Return the version's name: the day it was trained for and the beginning of its inputs' digest."""
    return f"{score_date:%Y%m%d}-{inputs[:10]}"


def bundle_folder(config: Config, region: str, version: str) -> Path:
    """Return the folder of a version's bundle."""
    return config.home / "models" / region / version


def digest_of(payload: object) -> str:
    """Return the sha256 of something as JSON."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
