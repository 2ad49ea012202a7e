"""The model card's table of all categories, which the page's script sorts and searches."""

from collections.abc import Mapping
from typing import Any

from propensity.evaluation.card_tables import NONE, TITLES, Cell, missing, number, table
from propensity.evaluation.records import DECAYED, OURS

NAME = "categories"


def category_table(evaluation: Mapping[str, Any]) -> str:
    """Return every category, those with the most buyers first; thresholds only when the bundle has them."""
    ranked = sorted(evaluation["categories"], key=lambda category: (-category["buyers"], category["name"]))
    thresholds = any(not missing(category["picked"]) for category in ranked)
    head = ["category", "buyers", "expected", "base rate", "AUC", "baseline AUC", "difference", "AP"]
    head += ["threshold", "picked", f"right ({evaluation['promise']:.0%} promised)"] if thresholds else []
    rows = [_row(category) + (_threshold(category) if thresholds else []) for category in ranked]
    caption = (
        f"All {len(ranked):,} categories, the largest first. AUC and AP where at least "
        f"{evaluation['min_positives']:,} customers acted; the bar reaches from 0.5 to 1. Baseline: {TITLES[DECAYED]}."
    )
    return table(caption, head, rows, NAME)


def _row(category: Mapping[str, Any]) -> list[str | Cell]:
    mine, theirs = category[OURS], category[DECAYED]
    gap = None if missing(mine) or missing(theirs) else mine - theirs
    return [
        category["name"],
        _count(category["buyers"]),
        _count(category["expected"]),
        _share(category["base_rate"]),
        Cell(number(mine), value=mine, bar=None if missing(mine) else 2 * mine - 1),
        Cell(number(theirs), value=theirs),
        Cell(NONE if gap is None else f"{gap:+.3f}", value=gap),
        Cell(number(category["average_precision"]), value=category["average_precision"]),
    ]


def _threshold(category: Mapping[str, Any]) -> list[str | Cell]:
    right = category["precision"]
    return [
        _share(category["threshold"]),
        _count(category["picked"]),
        Cell(NONE if missing(right) else f"{right:.0%}", value=right),
    ]


def _count(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:,.0f}", value=value)


def _share(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:.1%}", value=value)
