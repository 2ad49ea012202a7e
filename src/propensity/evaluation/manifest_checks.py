"""The questions to a challenger that its manifest answers: whose it is, what it was trained on, and up to when."""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from propensity.config import Config
from propensity.evaluation.verdict import Test
from propensity.features.windows import training_cutoffs

MANIFEST = "manifest"


def check_manifest(config: Config, region: str, score_date: dt.date, manifest: Mapping[str, Any], data: str) -> list[Test]:
    """Return whether the manifest is of this region, day, label and channels, and of the data as it is.

    `data` is the digest of the feature and label files of this day's windows.  A model from elsewhere does not say what it was
    trained on.
    """
    held_out, newest, *_ = training_cutoffs(config, score_date)
    facts = {
        "region": (manifest["region"], region),
        "score date": (manifest["score_date"], score_date.isoformat()),
        "held-out window": (manifest["held_out"], held_out.isoformat()),
        "label": (list(manifest["label"]), list(config.label_key)),
        "channels": (list(manifest["channels"]), list(config.features.channel_names())),
    }
    tests = [_equal(name, *pair) for name, pair in facts.items()]
    if "adopted" in manifest["training"]:
        return tests
    windows = [dt.date.fromisoformat(day) for day in manifest["data"]["windows"]]
    ends = max(windows) + dt.timedelta(days=config.features.horizon_days)
    leak = f"the newest training window ends on {ends}, the held-out window begins on {held_out}: look for a leak"
    late = (newest - max(windows)).days
    stale = f"the newest training window begins on {max(windows)}, {late} days before {newest}: train again"
    tests.append(_fact("training before the held-out window", leak, ends <= held_out))
    tests.append(_fact("fresh windows", stale, late <= 0))
    differs = "it was not trained on this day's feature and label files as they are now: stale features, or data landed since"
    return [*tests, _fact("data", differs, manifest["data"]["digest"] == data)]


def _equal(name: str, found: object, wanted: object) -> Test:
    return _fact(name, f"its {name} is {found}, not {wanted}", found == wanted)


def _fact(name: str, told: str, passed: bool) -> Test:
    return Test(MANIFEST, name, math.nan, math.nan, "" if passed else told, passed)
