"""Draw docs/images/backtest.svg from the last `make evaluate`: every model's mean over the windows with its 95% interval."""

import json
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.evaluate_figures import ALL
from benchmarks.evaluate_origins import CONF, OURS, POPULARITY
from benchmarks.evaluate_tables import COLUMNS, TITLES
from benchmarks.running import ROOT, say
from propensity.config import load_config
from propensity.errors import DataError

PICTURE = ROOT / "docs" / "images" / "backtest.svg"
PANELS = ("macro_auc", "micro_ap")
NAMES, PANEL, ROW, TOP = 400, 280, 34, 40
"""Widths of the names and of a panel, height of a row and of what stands above the first, in units of the picture."""
STYLE = (
    "text{font:15px system-ui,sans-serif;fill:#1c2430}.ours{font-weight:600}.soft{fill:#55606e;font-size:13px}"
    "line{stroke:#5f6b7a;stroke-width:2}circle{fill:#5f6b7a}.ours line{stroke:#0b63b5;stroke-width:3}.ours circle{fill:#0b63b5}"
    ".grid{stroke:#dfe3e8;stroke-width:1}.page{fill:#fff}"
)


def picture(told: Mapping[str, Any]) -> str:
    """Return the result of an evaluation as SVG, without popularity: so far left that the others would lie on one another."""
    figures = told["mean"][ALL]["figures"]
    names = [name for name in TITLES if name in figures and name != POPULARITY]
    width, height = NAMES + PANEL * len(PANELS), TOP + ROW * len(names) + 46
    said = (
        f"Mean over {len(told['windows'])} held-out windows; lines: 95% intervals of {told['resamples']} resamples of households"
    )
    box = f'viewBox="0 0 {width} {height}" role="img" aria-label="{_spoken(figures, names)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<style>{STYLE}</style><rect class="page" width="{width}" height="{height}"/>',
        f'<text class="soft" x="8" y="{height - 10}">{escape(said)}</text>',
        *(f'<text{_kind(n)} x="8" y="{_height(i) + 5}">{escape(TITLES[n].strip("*"))}</text>' for i, n in enumerate(names)),
    ]
    for number, measure in enumerate(PANELS):
        parts += _panel(measure, [figures[name][measure] for name in names], names, NAMES + PANEL * number)
    return "\n".join([*parts, "</svg>", ""])


def _panel(measure: str, values: list[list[float]], names: list[str], left: int) -> list[str]:
    """Return a measure's points and intervals; the axis reaches from the lowest to the highest of all."""
    low, high = min(v[1] for v in values), max(v[2] for v in values)
    scale = (PANEL - 90) / max(high - low, 1e-9)
    places = [[left + 10 + (x - low) * scale for x in v] for v in values]
    bottom = TOP + ROW * len(names)
    parts = [
        f'<text class="ours" x="{left + 10}" y="24">{COLUMNS[measure]}</text>',
        f'<line class="grid" x1="{left}" x2="{left}" y1="10" y2="{bottom}"/>',
    ]
    for row, (name, value, (point, start, end)) in enumerate(zip(names, values, places, strict=True)):
        y = _height(row)
        parts.append(
            f'<g{_kind(name)}><line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"/><circle cx="{point:.1f}" cy="{y}" r="5"/>'
            f'<text class="soft" x="{left + PANEL - 60}" y="{y + 5}">{value[0]:.4f}</text></g>'
        )
    return parts


def _height(row: int) -> int:
    return TOP + ROW * row + ROW // 2


def _kind(name: str) -> str:
    return ' class="ours"' if name == OURS else ""


def _spoken(figures: Mapping[str, Any], names: list[str]) -> str:
    told = [f"{TITLES[n].strip('*')} {', '.join(f'{COLUMNS[m]} {figures[n][m][0]:.3f}' for m in PANELS)}" for n in names]
    return escape("; ".join(told), quote=True)


def main() -> int:
    """Read the last evaluation, write the picture."""
    source: Path = load_config(CONF).home / "evaluate.json"
    if not source.is_file():
        raise DataError("no evaluation to draw", where=str(source), do="make evaluate")
    PICTURE.write_text(picture(json.loads(source.read_text())))
    say(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
