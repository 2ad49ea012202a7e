"""How the model card writes tables and figures: HTML that reads well aloud, too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from propensity.evaluation.records import DECAYED, OURS, POPULARITY

NONE = "\u2013"
TITLES = {OURS: "this model", DECAYED: "own decayed frequency", POPULARITY: "popularity"}
MEASURES = {
    "macro_auc": ("macro AUC", "customers ranked within each category; 0.5 is chance"),
    "micro_auc": ("micro AUC", "all pairs of customer and category ranked; 0.5 is chance"),
    "micro_ap": ("micro AP", "the same, with weight on the top of the list"),
    "recall_at_half": ("recall at precision 0.5", "share of all acts found while half of the picks are right"),
    "recall_at_70": ("recall at precision 0.7", "the same while seven in ten are right"),
    "precision_at_10": ("precision at 10", "share of each customer's ten likeliest categories acted on"),
}


@dataclass(frozen=True)
class Cell:
    """A cell with small lines under its text, or with a number to sort by."""

    text: str
    small: str = ""
    says: str = ""
    """What the figure comes to, in a word."""
    value: float | None = None
    bar: float | None = None
    """Length of a bar under the text, from 0 to 1."""


Row = Sequence[str | Cell]


def table(caption: str, head: Sequence[str], rows: Sequence[Row], name: str = "") -> str:
    """Return a table that scrolls sideways where it must; one with a name is sorted and searched by the page's script."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{_head(row[0])}{''.join(map(_cell, row[1:]))}</tr>" for row in rows)
    mark = f' id="{escape(name)}" class="sorted"' if name else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table{mark}><caption><span>'
        f"{escape(caption)}</span></caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def number(value: float | None) -> str:
    """Return a figure with three decimals, a dash for none."""
    return NONE if missing(value) else f"{value:.3f}"


def points(value: float | None) -> str:
    """Return a share in percentage points."""
    return NONE if value is None or math.isnan(value) else f"{value * 100:.2f} points"


def between(limits: Sequence[float | None]) -> str:
    """Return an interval in words."""
    low, high = limits
    return "" if missing(low) or missing(high) else f"{low:.3f} to {high:.3f}"


def difference(told: Sequence[float | None]) -> Cell:
    """Return a difference [value, low, high] with its interval and what it says: better, worse, or not told apart."""
    value, low, high = told
    if value is None or low is None or high is None or any(map(math.isnan, (value, low, high))):
        return Cell(NONE)
    says = "\u25b2 better" if low > 0 else "\u25bc worse" if high < 0 else "\u2248 not told apart"
    return Cell(f"{value:+.3f}", f"{low:+.3f} to {high:+.3f}", says)


def missing(value: float | None) -> bool:
    """Return whether there is no such figure."""
    return value is None or math.isnan(value)


def _head(cell: str | Cell) -> str:
    return f'<th scope="row">{_inside(cell)}</th>'


def _cell(cell: str | Cell) -> str:
    value = "" if isinstance(cell, str) or cell.value is None else f' data-value="{cell.value:.9g}"'
    return f"<td{value}>{_inside(cell)}</td>"


def _inside(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
    small += f'<small class="says">{escape(cell.says)}</small>' if cell.says else ""
    bar = "" if cell.bar is None else f'<i class="bar" style="--share:{min(max(cell.bar, 0), 1):.0%}" aria-hidden="true"></i>'
    return escape(cell.text) + small + bar
