"""The model card's tables of figures: against the baselines, by kind of pair, by size, by what is known, thresholds."""

import math
from collections.abc import Mapping
from typing import Any

from propensity.evaluation.card_tables import MEASURES, NONE, TITLES, Cell, Row, between, difference, number, points, table
from propensity.evaluation.records import BASELINES, BROKEN, DECAYED, OURS
from propensity.evaluation.slices import EXPLORE, REPEAT

SLICES = {
    REPEAT: ("repeat pairs", "the customer acted in that category before"),
    EXPLORE: ("explore pairs", "the customer never did"),
    "large": ("large categories", "the third with the most customers in training"),
    "medium": ("medium categories", "the next third"),
    "small": ("small categories", "the third with the fewest"),
}
RUNGS = {
    "prior": ("prior", "nothing known: the region's popularity"),
    "profile": ("profile", "something known, but nothing in these categories"),
    "model": ("model", "all that is known"),
}


def main_table(evaluation: Mapping[str, Any]) -> str:
    """Return every measure of the model and the baselines, with intervals of ours and of the differences."""
    figures, intervals, differences = evaluation["table"], evaluation["intervals"], evaluation["differences"]
    rows: list[Row] = []
    for measure, (title, meaning) in MEASURES.items():
        mine = Cell(number(figures[OURS][measure]), between(intervals[measure]))
        theirs = [number(figures[name][measure]) for name in reversed(BASELINES)]
        gaps = [difference(differences[name][measure]) for name in reversed(BASELINES)]
        rows.append([Cell(title, meaning), mine, *theirs, *gaps])
    names = [TITLES[name] for name in reversed(BASELINES)]
    caption = f"Figures on {evaluation['customers']:,} customers, with {evaluation['level']:.0%} intervals"
    return table(caption, ["figure", TITLES[OURS], *names, *(f"against {name}" for name in names)], rows)


def slice_table(evaluation: Mapping[str, Any]) -> str:
    """Return macro AUC and micro AP on every slice, against the customer's own decayed frequency."""
    rows: list[Row] = []
    for part in evaluation["slices"]:
        row: list[str | Cell] = [Cell(*SLICES[part["name"]]), f"{part['positives']:,}"]
        for measure in ("macro_auc", "micro_ap"):
            mine = Cell(number(part["table"][OURS][measure]), between(part["intervals"][measure]))
            row += [mine, number(part["table"][DECAYED][measure]), difference(part["differences"][DECAYED][measure])]
        rows.append(row)
    theirs = [TITLES[DECAYED], "difference"]
    return table("Figures by kind of pair", ["pairs", "acts", "macro AUC", *theirs, "micro AP", *theirs], rows)


def size_table(evaluation: Mapping[str, Any]) -> str:
    """Return expected against observed acts and the calibration error of categories by size."""
    parts = evaluation["calibration_by_size"]
    ends = [*(part["from"] for part in parts[1:]), math.inf]
    rows = [
        [
            _range(part["from"], end),
            f"{part['categories']:,}",
            f"{_real(part['expected']):,.0f}",
            f"{part['positives']:,}",
            points(part["calibration_error"]),
        ]
        for part, end in zip(parts, ends, strict=True)
    ]
    head = ["customers expected to act", "categories", "expected acts", "observed acts", "calibration error"]
    return table("Calibration by size of category", head, rows)


def rung_table(evaluation: Mapping[str, Any]) -> str:
    """Return what each rung of knowledge is worth: all customers with nothing, with a profile only, with everything known."""
    rows: list[Row] = [
        [
            Cell(*RUNGS[name]),
            f"{evaluation['sources'].get(name, 0):,}",
            *(number(figures[measure]) for measure in ("macro_auc", "micro_ap", "precision_at_10")),
            points(figures["calibration_error"]),
        ]
        for name, figures in evaluation["rungs"].items()
    ]
    head = ["score source", "customers who get it", "macro AUC", "micro AP", "precision at 10", "calibration error"]
    return table("The same customers, with more and more known of them", head, rows)


def promise_table(evaluation: Mapping[str, Any]) -> str:
    """Return what the thresholds promised and what they delivered; nothing for a bundle without thresholds."""
    rows = [
        [
            f"{told['precision']:.0%}",
            f"{told['categories']:,}",
            f"{told['picked']:,}",
            f"{told['right'] / told['picked']:.1%}" if told["picked"] else NONE,
            f"{told['above']:,} of {told['judged']:,}",
            f"{told['kept']:,} of {told['judged']:,}",
        ]
        for told in evaluation["promises"]
    ]
    if not rows:
        return ""
    head = ["precision promised", "categories with a threshold", "picked", "of them right"]
    head += ["categories at or above it", "categories that kept it"]
    caption = (
        f"Judged where at least {evaluation['min_positives']:,} customers are picked. Kept: not significantly below the promise "
        f"(one-sided binomial test, {BROKEN:.0%})"
    )
    return table(caption, head, rows)


def _real(value: float | None) -> float:
    return 0.0 if value is None else value


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"{low:,.0f} and more"
    return f"fewer than {high:,.0f}" if low == 0 else f"{low:,.0f} to {high:,.0f}"
