"""Small charts as inline SVG: no library, no script; colours, dashes and hatching come from the page's style sheet.

Whatever a colour tells is told by a dash, a shape or a word, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 78, 34, 44, 66


@dataclass(frozen=True)
class Line:
    """One line of a chart: its class in the style sheet gives colour and dashes."""

    title: str
    style: str
    points: Sequence[tuple[float, float]]
    marks: bool = False
    """Whether each point has a mark."""


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, and where its ticks are; it reaches from the first to the last."""

    title: str
    ticks: Sequence[float]
    form: str = ".1f"
    """How a tick is written; `%` writes a share as a percentage without needless zeros."""
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies."""
        low, high = self._of(self.ticks[0]), self._of(self.ticks[-1])
        return (self._of(value) - low) / (high - low)

    def told(self, value: float) -> str:
        """Return a tick's text."""
        return f"{value * 100:.6g}%" if self.form == "%" else f"{value:{self.form}}"

    def _of(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


@dataclass(frozen=True)
class Bars:
    """One row of bars, side by side with those of other rows."""

    title: str
    style: str
    heights: Sequence[float]


def even(low: float, high: float, steps: int = 5) -> list[float]:
    """Return ticks at equal distances; `high` is made larger where it is not above `low`."""
    top = high if high > low else low + 1
    return [low + (top - low) * i / steps for i in range(steps + 1)]


def line_chart(title: str, says: str, lines: Sequence[Line], x: Axis, y: Axis) -> str:
    """Return a chart with its legend as a ``<figure>``; `says` is what somebody who cannot see it is told."""
    legend = [(_sample(line), line.title) for line in lines]
    return _figure(title, says, "".join([*_upright(x), *_grid(y), *_names(x), *(_line(line, x, y) for line in lines)]), legend)


def bar_chart(title: str, says: str, rows: Sequence[Bars], labels: Sequence[str], x: str, y: Axis) -> str:
    """Return a chart of bars, a group for each of `labels`; the heights of the first row are written above."""
    step = (WIDTH - LEFT - RIGHT) / len(labels)
    middles = [LEFT + step * (at + 0.5) for at in range(len(labels))]
    parts = [bar for at, row in enumerate(rows) for bar in _bars(row, y, middles, step * 0.8 / len(rows), at - len(rows) / 2)]
    tops = [_up(y, max(row.heights[at] for row in rows)) - 7 for at in range(len(labels))]
    told = [
        f'<text class="tick mid value" x="{x:.1f}" y="{top:.1f}">{height:.1f}</text>'
        for x, top, height in zip(middles, tops, rows[0].heights, strict=True)
    ]
    sample = '<svg viewBox="0 0 28 12" aria-hidden="true"><rect class="{}" x="4" y="1" width="20" height="10"/></svg>'
    marks = list(zip(middles, labels, strict=True))
    legend = [(sample.format(row.style), row.title) for row in rows]
    return _figure(title, says, "".join([*_grid(y), *_ticks(marks, x), *parts, *told]), legend)


def _bars(row: Bars, y: Axis, middles: Sequence[float], width: float, shift: float) -> list[str]:
    """Return a row's bars; each begins `shift` widths from the middle of its group."""
    places = [(middle + width * shift, _up(y, height)) for middle, height in zip(middles, row.heights, strict=True)]
    size = [f'y="{top:.1f}" width="{width:.1f}" height="{HEIGHT - BOTTOM - top:.1f}"' for _, top in places]
    return [f'<rect class="{row.style}" x="{x:.1f}" {rest}/>' for (x, _), rest in zip(places, size, strict=True)]


def _figure(title: str, says: str, body: str, legend: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<li>{sample}{escape(name)}</li>" for sample, name in legend)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(says)}">{body}</svg><ul class="legend">{items}</ul></figure>'
    )


def _sample(line: Line) -> str:
    mark = f'<circle class="{line.style}" cx="14" cy="6" r="4"/>' if line.marks else ""
    return f'<svg viewBox="0 0 28 12" aria-hidden="true"><line class="{line.style}" x1="0" y1="6" x2="28" y2="6"/>{mark}</svg>'


def _across(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value)


def _up(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(value)


def _grid(y: Axis) -> list[str]:
    """Return the lines across with the y axis' figures and name."""
    parts = []
    for value in y.ticks:
        height = _up(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{height + 6:.1f}">{y.told(value)}</text>')
    return [*parts, f'<text class="tick" x="8" y="20">{escape(y.title)}</text>']


def _upright(x: Axis) -> list[str]:
    """Return the lines upwards, which a logarithmic axis needs."""
    places = [_across(x, value) for value in x.ticks] if x.logarithmic else []
    return [f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>' for at in places]


def _names(x: Axis) -> list[str]:
    return _ticks([(_across(x, value), x.told(value)) for value in x.ticks], x.title)


def _ticks(marks: Sequence[tuple[float, str]], title: str) -> list[str]:
    parts = [f'<text class="tick mid" x="{at:.1f}" y="{HEIGHT - BOTTOM + 29}">{escape(text)}</text>' for at, text in marks]
    return [*parts, f'<text class="tick mid" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}">{escape(title)}</text>']


def _line(line: Line, x: Axis, y: Axis) -> str:
    places = [(_across(x, a), _up(y, b)) for a, b in line.points]
    drawn = f'<polyline class="{line.style}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in places)}"/>'
    dots = (f'<circle class="{line.style}" cx="{a:.1f}" cy="{b:.1f}" r="4.5"/>' for a, b in places)
    return drawn + ("".join(dots) if line.marks else "")
