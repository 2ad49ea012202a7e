"""The model card's verdict of the promotion, and what changed against the champion."""

from collections.abc import Mapping
from html import escape
from typing import Any

from propensity.evaluation.card_tables import MEASURES, NONE, Cell, Row, between, difference, missing, number, table
from propensity.evaluation.changes import CHAMPION, differing
from propensity.evaluation.records import OURS
from propensity.evaluation.verdict import SUPERIOR

MOST = 10
"""How many categories are shown that gained, and that lost."""


def verdict_part(verdict: Mapping[str, Any] | None) -> str:
    """Return whether the version was promoted, why, and every test; nothing before a promotion was asked for."""
    if verdict is None:
        return ""
    head = "\u2714 Promoted" if verdict["promoted"] else "\u2718 Not promoted"
    champion = verdict["champion"]
    against = f"<p>Compared with champion {escape(str(champion['version']))}.</p>" if champion else ""
    tests = _tests(verdict) if verdict["tests"] else ""
    return (
        f'<section id="verdict"><h2>{head}</h2><p>{escape(verdict["reason"])}</p>{against}'
        f"{f'<details><summary>Every test</summary>{tests}</details>' if tests else ''}</section>"
    )


def changes_part(manifest: Mapping[str, Any], changes: Mapping[str, Any] | None) -> str:
    """Return what changed against the champion; nothing when there is none."""
    if changes is None:
        return ""
    old = changes["manifest"]
    entries = [list(entry) for entry in differing(manifest, old)]
    made = (
        table("What the two were made from, where they differ", ["entry", "champion", "this model"], entries) if entries else ""
    )
    gains = sorted(changes["categories"], key=lambda c: c[CHAMPION] - c[OURS])
    gained = [c for c in gains if c[OURS] > c[CHAMPION]][:MOST]
    lost = [c for c in reversed(gains) if c[OURS] < c[CHAMPION]][:MOST]
    most = _categories("Categories that gained most", gained) + _categories("Categories that lost most", lost)
    most = f'<div class="pair">{most}</div>' if most else ""
    return (
        f'<section id="changes"><h2>What changed against champion {escape(str(old["version"]))}</h2>'
        f"<p>Both on this page's window and customers.</p>{_figures(changes)}"
        f"{most}{made}</section>"
    )


def _tests(verdict: Mapping[str, Any]) -> str:
    rows: list[Row] = [
        [
            Cell(test["name"], test["slice"]),
            _outcome(test),
            Cell(_figure(test["figure"]), between([test["low"], test["high"]])),
            _figure(test["bound"]),
            NONE if missing(test["p"]) else f"{test['p']:.3g}",
            Cell(test["told"]),
        ]
        for test in sorted(verdict["tests"], key=lambda test: (bool(test["passed"]), test["name"] == SUPERIOR))
    ]
    head = ["test", "outcome", "figure", "held against", "corrected p", "finding"]
    return table(f"{len(rows)} tests; p-values corrected for their number", head, rows)


def _outcome(test: Mapping[str, Any]) -> str:
    """Return the outcome in a word; of the tests for a better model one is enough, so none of them fails the challenger."""
    if test["passed"]:
        return "\u2714 passed"
    return "\u2248 not shown" if test["name"] == SUPERIOR else "\u2718 failed"


def _figures(changes: Mapping[str, Any]) -> str:
    both = changes["table"]
    rows: list[Row] = [
        [Cell(title, meaning), number(both[CHAMPION][m]), number(both[OURS][m]), difference(changes["differences"][m])]
        for m, (title, meaning) in MEASURES.items()
    ]
    return table("Champion and this model", ["figure", "champion", "this model", "difference"], rows)


def _categories(title: str, categories: list[Mapping[str, Any]]) -> str:
    rows = [[c["name"], number(c[CHAMPION]), number(c[OURS]), f"{c[OURS] - c[CHAMPION]:+.3f}"] for c in categories]
    return table(title, ["category", "AUC of the champion", "AUC", "difference"], rows) if rows else ""


def _figure(value: float | None) -> str:
    return NONE if value is None or missing(value) else f"{value:.4g}"
