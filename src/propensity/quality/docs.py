"""The data docs: a page for each verdict in plain words, beside it the report of Great Expectations, and an index of all.

The pages ask no other host for anything: the report's links to style sheets and scripts elsewhere are taken out.
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.quality.files import write_atomically
from propensity.quality.rows import Row

if TYPE_CHECKING:
    from propensity.quality.gate import Check, Verdict

REPORT = "great_expectations.html"
SHOWN_ROWS = 400
"""So many rows of the little table are shown, the first ones."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #b3261e; --good: #1b6e3a; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7ddc9c; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 76rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, .wide td { white-space: nowrap; } td.says { min-width: 18rem; overflow-wrap: anywhere; }
.examples { margin: .2rem 0 0; padding-left: 1.1rem; font-family: ui-monospace, monospace; font-size: .85rem; }
.failed { color: var(--bad); font-weight: 600; white-space: nowrap; } .passed { color: var(--good); white-space: nowrap; }
.note { opacity: .8; font-size: .9rem; }
"""
REPORT_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 76rem; }
table { border-collapse: collapse; margin: .4rem 0; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #8884; }
h4, h5, h6 { font-size: 1.05rem; margin: .8rem 0 .2rem; } ol.breadcrumb, .card, footer, img { display: none; }
.card.collapse { display: block; }
.badge { background: #8882; border-radius: .3rem; padding: 0 .35rem; font-family: ui-monospace, monospace; }
.fa-check-circle::before { content: "✓ passed"; font-style: normal; }
.fa-times::before { content: "✗ failed"; font-style: normal; }
.fa-exclamation-triangle::before { content: "! no result"; font-style: normal; } thead[hidden] { display: none; }
"""


def write_pages(verdict: "Verdict", rows: Sequence[Row], report: str) -> None:
    """Write the page of one verdict and, beside it, the report of Great Expectations; each file whole or not at all."""
    write_atomically(verdict.docs.with_name(REPORT), _without_other_hosts(report))
    failed = sorted(verdict.checks, key=lambda c: c.passed)
    body = [
        '<p><a href="../../../index.html">All gates</a></p>',
        f"<h1>Gate {escape(verdict.subject.stage)}: {_state(verdict.passed)}</h1>",
        f"<p>Region <b>{escape(verdict.subject.region)}</b>, score date <b>{verdict.subject.score_date}</b>, "
        f"{escape(verdict.subject.purpose)} run. {len(verdict.checks)} checks on {verdict.parts:,} rows of statistics, "
        f"{len(verdict.failures)} failed. {_consequence(verdict)}</p>",
        "<h2>Checks</h2>",
        _table(("", "check", "a failure means", "observed", "#bad rows"), [_check_cells(c) for c in failed]),
        "<h2>Statistics</h2>",
        _statistics(rows),
        f'<p class="note"><a href="{REPORT}">Report of Great Expectations</a> on the same table. '
        f"Digest of suite and statistics: {verdict.digest[:16]}.</p>",
    ]
    write_atomically(verdict.docs, _page(f"{verdict.subject}", body))


def write_index(folder: Path, verdicts: Sequence["Verdict"]) -> None:
    """Write the page that lists the latest verdict of every gate."""
    failed = sum(not v.passed for v in verdicts)
    rows = [
        (
            _state(v.passed),
            f'<a href="{v.docs.relative_to(folder).as_posix()}">{escape(v.subject.stage)}</a>',
            escape(v.subject.region),
            v.subject.score_date,
            escape(v.subject.purpose),
            f"{len(v.checks) - len(v.failures)} of {len(v.checks)}",
            escape(", ".join(c.column for c in v.failures)),
        )
        for v in verdicts
    ]
    body = [
        "<h1>Quality gates</h1>",
        f"<p>The latest verdict of {len(verdicts):,} gates; {failed:,} failed.</p>",
        _table(("", "gate", "region", "score date", "run", "#checks passed", "failed on"), rows),
    ]
    write_atomically(folder / "index.html", _page("Quality gates", body))


def _state(passed: bool) -> str:
    return '<span class="passed">✓ passed</span>' if passed else '<span class="failed">✗ failed</span>'


def _consequence(verdict: "Verdict") -> str:
    return "What is behind the gate may be used." if verdict.passed else "Nothing behind this gate was written."


def _check_cells(check: "Check") -> tuple[str, ...]:
    examples = "".join(f"<li>{escape(text)}</li>" for text in check.examples)
    says = escape(check.says) + (f'<ul class="examples">{examples}</ul>' if examples else "")
    name = f"<b>{escape(check.column)}</b><br><span class='note'>{escape(check.check)}<br>{escape(check.limits)}</span>"
    return _state(check.passed), name, f'<td class="says">{says}</td>', escape(check.observed), f"{check.rows:,}"


def _statistics(rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>There was nothing to count.</p>"
    columns = list(rows[0])
    more = f'<p class="note">The first {SHOWN_ROWS} of {len(rows):,} rows.</p>' if len(rows) > SHOWN_ROWS else ""
    heads = [("" if isinstance(rows[0][c], str) else "#") + c for c in columns]
    cells = [tuple(_value(row.get(c, "")) for c in columns) for row in rows[:SHOWN_ROWS]]
    return f'<div class="wide">{_table(heads, cells)}</div>{more}'


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a head that starts with # is a column of numbers, a cell may bring its own ``<td>``."""
    number = ['class="number"' if head.startswith("#") else "" for head in heads]
    top = "".join(f"<th {n}>{escape(h.removeprefix('#'))}</th>" for h, n in zip(heads, number, strict=True))
    cells = [[c if c.startswith("<td") else f"<td {n}>{c}</td>" for c, n in zip(row, number, strict=True)] for row in rows]
    body = "</tr><tr>".join("".join(line) for line in cells)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody><tr>{body}</tr></tbody></table></div>'


def _page(title: str, body: Sequence[str]) -> str:
    wide = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f"{wide}<title>{escape(title)}</title><style>{STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{chr(10).join(body)}</body></html>\n'


def _without_other_hosts(report: str) -> str:
    """Return the report with every script, and every link and picture of another host, taken out, and a plain style put in."""
    kept = re.sub(r"<script\b.*?</script>", "", report, flags=re.DOTALL | re.IGNORECASE)
    kept = re.sub(r"<style>.*?</style>", "", kept, flags=re.DOTALL | re.IGNORECASE)
    kept = re.sub(r"<footer\b.*?</footer>", "", kept, flags=re.DOTALL | re.IGNORECASE)
    kept = re.sub(r"<(link|img)\b[^>]*>", "", kept, flags=re.IGNORECASE)
    kept = re.sub(r'<a href="(\.\./)+[^"]*"', '<a href="index.html"', kept)
    return kept.replace("</head>", f"<style>{REPORT_STYLE}</style></head>", 1)
