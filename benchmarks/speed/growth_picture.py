"""Draw how the cost grows: each axis's cost in multiples of its smallest point's, over the same multiples of its size."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from benchmarks.running import ROOT

PICTURE = ROOT / "docs" / "images" / "growth.svg"
LEFT, TOP, SIDE, NAMES, BELOW = 70, 30, 420, 270, 64
"""Of the square that lines are drawn in: its place, its side, the width of the names right of it, what stands below."""
DOUBLINGS = 5.4
"""How far both axes reach."""
COLOURS = ("#0b63b5", "#8a4fbf", "#c2571a", "#2e7d4f", "#b3261e", "#5f6b7a", "#8a6d00")
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1c2430}.soft{fill:#55606e;font-size:13px}.page{fill:#fff}"
    ".grid{stroke:#dfe3e8;stroke-width:1}.even{stroke:#9aa5b1;stroke-width:2;stroke-dasharray:6 5}"
    "polyline{fill:none;stroke-width:2.5}"
)


def picture(result: Mapping[str, Any]) -> str:
    """Return the result of the growth benchmark as SVG: both axes logarithmic, so that a slope is an exponent."""
    axes = sorted(result["axes"], key=lambda axis: -_reached(axis))
    width, height = LEFT + SIDE + NAMES, TOP + SIDE + BELOW
    told = "; ".join(f"{axis['name']} {axis['fit']['slope']:.2f}" for axis in axes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(f"fitted slopes: {told}", quote=True)}">',
        f'<style>{STYLE}</style><rect class="page" width="{width}" height="{height}"/>',
        *_grid(),
    ]
    label = 0.0
    for number, axis in enumerate(axes):
        # Names stand where their lines end, but never on one another.
        label = max(_y(_reached(axis)) + 5, label + 20)
        parts += _line(axis, COLOURS[number % len(COLOURS)], label)
    below = f'class="soft" x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 42}" text-anchor="middle"'
    beside = f'class="soft" x="{-TOP - SIDE / 2}" y="20" transform="rotate(-90)" text-anchor="middle"'
    parts += [
        f"<text {below}>size, in multiples of the smallest; dashed: cost in proportion</text>",
        f"<text {beside}>processor time, likewise</text>",
    ]
    return "\n".join([*parts, "</svg>", ""])


def _reached(axis: Mapping[str, Any]) -> float:
    """Return how often the cost doubled from the first point to the last."""
    return math.log2(axis["seconds"][-1] / axis["seconds"][0])


def _grid() -> list[str]:
    parts = []
    for step in range(6):
        x, y = _x(step), _y(step)
        parts += [
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + SIDE}"/>',
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="soft" x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">× {2**step}</text>',
            f'<text class="soft" x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">× {2**step}</text>',
        ]
    return [*parts, f'<line class="even" x1="{_x(0):.1f}" y1="{_y(0):.1f}" x2="{_x(5):.1f}" y2="{_y(5):.1f}"/>']


def _line(axis: Mapping[str, Any], colour: str, label: float) -> list[str]:
    places = [
        (_x(math.log2(size / axis["sizes"][0])), _y(math.log2(seconds / axis["seconds"][0])))
        for size, seconds in zip(axis["sizes"], axis["seconds"], strict=True)
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places)
    told = f"{axis['name']}: slope {axis['fit']['slope']:.2f}"
    return [
        f'<polyline points="{points}" stroke="{colour}"/>{dots}',
        f'<text x="{LEFT + SIDE + 14}" y="{label:.1f}" style="fill:{colour}">{escape(told)}</text>',
    ]


def _x(doubled: float) -> float:
    return LEFT + 12 + doubled * (SIDE - 24) / DOUBLINGS


def _y(doubled: float) -> float:
    return TOP + SIDE - 24 - doubled * (SIDE - 40) / DOUBLINGS
