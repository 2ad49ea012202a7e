"""Configuration: one folder of YAML files, validated on load, frozen afterwards.

The folder is ``conf/`` or what ``PROPENSITY_CONF`` names.  A run's own facts (score date, regions, device) are not
configuration.  Only pydantic and yaml are imported here, because DAG files read it.
"""

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from propensity.config.base import Frozen
from propensity.config.calibration import Calibration
from propensity.config.models import FieldEmbedding, Models, PropensityNetwork, XGBoost
from propensity.config.promotion import Promotion
from propensity.config.sections import (
    MAX_CHANNELS,
    EventColumns,
    EventSource,
    Expectation,
    FeatureField,
    Features,
    Quality,
    Region,
    Regions,
    Runtime,
    Schedule,
    Tables,
)
from propensity.config.serving import Serving
from propensity.errors import ConfigError

__all__ = [
    "MAX_CHANNELS",
    "Calibration",
    "Config",
    "EventColumns",
    "EventSource",
    "Expectation",
    "FeatureField",
    "Features",
    "FieldEmbedding",
    "Models",
    "Promotion",
    "PropensityNetwork",
    "Quality",
    "Region",
    "Regions",
    "Runtime",
    "Schedule",
    "Serving",
    "Tables",
    "XGBoost",
    "check_regions",
    "load_config",
    "parse_date",
]

FILES = ("runtime", "regions", "tables", "features", "models", "quality")


class Config(Frozen):
    """The whole configuration, plus where it was read from and where its data lives."""

    folder: Path
    home: Path
    runtime: Runtime
    regions: Regions
    tables: Tables
    features: Features
    models: Models
    quality: Quality

    @property
    def region_names(self) -> tuple[str, ...]:
        """Return the regions in the order of the configuration."""
        return tuple(self.regions.regions)

    @property
    def lake(self) -> str:
        """Return the root of the tables: an absolute path or an address."""
        return self.runtime.lake or str(self.home / "lake")

    @property
    def label_key(self) -> tuple[str, str]:
        """Return (event type, field) of the tokens that are categories."""
        return self.tables.label.event_type, self.tables.label.field

    def digest(self, *sections: str) -> str:
        """Return a digest of the named sections, so that outputs know what they were made by."""
        payload = {name: getattr(self, name).model_dump(mode="json") for name in sections}
        return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def load_config(folder: str | Path | None = None, home: str | Path | None = None) -> Config:
    """Load and validate a configuration folder.

    `folder` defaults to PROPENSITY_CONF or ``conf``; `home` to PROPENSITY_HOME or ``var``, both below the working
    directory.  Raise ConfigError, naming file and key, when anything is missing, unknown or contradictory.
    """
    root = Path(folder or os.environ.get("PROPENSITY_CONF") or "conf").resolve()
    if not root.is_dir():
        raise ConfigError("no such configuration folder", where=str(root), do="set PROPENSITY_CONF to a folder like conf/")
    sections = {name: _read_yaml(root / f"{name}.yaml") for name in FILES}
    base = Path(home or os.environ.get("PROPENSITY_HOME") or "var").resolve()
    name = (sections["runtime"] or {}).get("name", "")
    try:
        return Config.model_validate({"folder": root, "home": base / str(name), **sections})
    except ValidationError as error:
        raise _explain(error, root) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            "this file is missing", where=str(path), do=f"a configuration folder has {', '.join(f + '.yaml' for f in FILES)}"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not YAML: {' '.join(str(error).split())}", where=str(path), do="mend the file") from None
    if not isinstance(content, dict):
        raise ConfigError("this file must hold keys and values", where=str(path), do="see conf/ for an example")
    return content


def _explain(error: ValidationError, root: Path) -> ConfigError:
    first, *rest = error.errors(include_url=False)
    section, *keys = [str(part) for part in first["loc"]] or ["runtime"]
    where = f"{root / section}.yaml" + (f", key {'.'.join(keys)}" if keys else "")
    others = [".".join(str(p) for p in e["loc"]) for e in rest]
    return ConfigError(first["msg"], where=where, count=len(rest) + 1 if rest else None, examples=others, do="correct this key")


def check_regions(config: Config, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`, or every region when there are none; raise ConfigError for one that is not configured."""
    unknown = [n for n in names if n not in config.regions.regions]
    if unknown:
        raise ConfigError(
            "unknown region", count=len(unknown), examples=unknown, do=f"choose from {', '.join(config.region_names)}"
        )
    return names or config.region_names


def parse_date(text: str) -> dt.date:
    """Return the day written as YYYY-MM-DD; raise ConfigError for anything else, impossible days included."""
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ConfigError(f"{text!r} is not a date", do="write a day as YYYY-MM-DD, for example 2018-01-01") from None
