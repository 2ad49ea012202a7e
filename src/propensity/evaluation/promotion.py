"""Whether a challenger becomes champion, and why, in a sentence with figures."""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from propensity.config import Promotion
from propensity.errors import BundleError
from propensity.evaluation.records import BASELINES, OURS, Figures
from propensity.models.registry import Champion

TITLES = {"popularity": "popularity", "decayed_frequency": "the customer's own decayed frequency"}
MEASURES = {"macro_auc": "macro AUC", "micro_ap": "micro AP"}


@dataclass(frozen=True)
class Decision:
    """What became of a challenger."""

    promoted: bool
    reason: str
    crown: bool
    """Whether the champions table is to change."""


def decide(
    settings: Promotion,
    evaluation: Mapping[str, Any],
    score_date: dt.date,
    champion: Champion | None,
    judge_champion: Callable[[], Figures],
) -> Decision:
    """Return the decision on an evaluated challenger.

    It must beat every baseline in macro AUC and micro AP, and must not be worse than the champion on the same window by
    more than the tolerance.  `judge_champion` scores the champion on the challenger's window; it may raise BundleError.
    """
    if champion and (champion.version, champion.digest) == (evaluation["version"], evaluation["digest"]):
        return Decision(True, f"already champion: {champion.reason}", crown=False)
    table = evaluation["table"]
    for name in BASELINES:
        reason = _lost(table[OURS], table[name], TITLES[name])
        if reason:
            return Decision(False, reason, crown=False)
    beaten = f"{_told(table[OURS])} beats " + " and ".join(f"{TITLES[n]} ({_told(table[n])})" for n in BASELINES)
    if champion is None:
        return Decision(True, f"{beaten}; the region had no champion", crown=True)
    return _against(settings, table[OURS], beaten, score_date, champion, judge_champion)


def _against(
    settings: Promotion,
    ours: Figures,
    beaten: str,
    score_date: dt.date,
    champion: Champion,
    judge_champion: Callable[[], Figures],
) -> Decision:
    if champion.score_date > score_date:
        later = f"champion {champion.version} was trained for a later day, {champion.score_date}"
        return Decision(False, f"{later}, than this challenger, {score_date}", crown=False)
    try:
        theirs = judge_champion()
    except BundleError as error:
        return Decision(True, f"{beaten}; champion {champion.version} can no longer be loaded ({error.what})", crown=True)
    for measure, title in MEASURES.items():
        mine, other = _number(ours[measure]), _number(theirs[measure])
        if not mine >= other - settings.tolerance:
            gap = f"{title} {mine:.4f} is below champion {champion.version}'s {other:.4f} on the same window"
            return Decision(False, f"{gap} by more than the tolerance {settings.tolerance:g}", crown=False)
    return Decision(True, f"{beaten}; champion {champion.version} reaches {_told(theirs)} on the same window", crown=True)


def _lost(ours: Figures, theirs: Figures, title: str) -> str | None:
    """Return why a baseline is not beaten, or None when it is."""
    for measure, name in MEASURES.items():
        mine, other = _number(ours[measure]), _number(theirs[measure])
        if math.isnan(mine):
            return f"the held-out window is too small to tell: no {name} (no category has enough positives)"
        if not mine > other:
            return f"{name} {mine:.4f} does not beat {title}'s {other:.4f} on the held-out window"
    return None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _told(figures: Figures) -> str:
    return ", ".join(f"{title} {_number(figures[measure]):.4f}" for measure, title in MEASURES.items())
