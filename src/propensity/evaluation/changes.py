"""What changed against the champion: figures on the same window, categories that gained and lost, what the two were made from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from propensity.config import Promotion
from propensity.evaluation.bootstrap import multiplicities, resampled_areas
from propensity.evaluation.comparison import compare
from propensity.evaluation.records import OURS, plain
from propensity.features.csr import FloatArray

CHAMPION = "champion"
NOT_COMPARED = {"files", "version", "steps", "choosing", "golden", "thresholds", "reference"}
"""Entries of a manifest that say nothing to a reader, or are long."""


def changes_against(
    targets: FloatArray,
    mine: FloatArray,
    theirs: FloatArray,
    names: Sequence[str],
    champion: Mapping[str, Any],
    settings: Promotion,
) -> dict[str, Any]:
    """Return what the model card tells of the champion: its manifest, its figures beside ours, and its categories' AUC.

    `mine` and `theirs` are logits (N, C) on the same window, `champion` is the champion's manifest.
    """
    weights = multiplicities(len(targets), settings.resamples, settings.seed)
    compared = compare(targets, {OURS: mine, CHAMPION: theirs}, weights, settings)
    once = np.ones((1, len(targets)), np.int32)
    areas = [resampled_areas(targets, scores, once, settings.min_positives)[0] for scores in (mine, theirs)]
    categories = [
        {"name": name, OURS: float(ours), CHAMPION: float(other)}
        for name, ours, other in zip(names, *areas, strict=True)
        if not np.isnan(ours) and not np.isnan(other)
    ]
    told: dict[str, Any] = plain({
        "manifest": dict(champion),
        "table": compared["table"],
        "differences": compared["differences"][CHAMPION],
        "categories": categories,
    })  # fmt: skip
    return told


def differing(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the entries of two manifests that differ as (name, in the old one, in the new one); a dash where there is none."""
    ours, theirs = dict(_flat(new)), dict(_flat(old))
    names = sorted(set(ours) | set(theirs))
    return [(name, theirs.get(name, "\u2013"), ours.get(name, "\u2013")) for name in names if ours.get(name) != theirs.get(name)]


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in entries.items():
        if key in NOT_COMPARED:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif key == "windows":
            yield prefix + key, f"{value[-1]} to {value[0]}" if value else "none"
        else:
            yield prefix + key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
