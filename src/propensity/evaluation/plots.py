"""Small line charts as inline SVG: no library, no script; colours come from the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 18, 38, 56


@dataclass(frozen=True)
class Line:
    """One line of a chart: its class in the style sheet gives colour and dashes."""

    title: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, from where to where, with how many decimals."""

    title: str
    low: float
    high: float
    decimals: int
    ticks: int = 5

    def at(self, share: float) -> float:
        """Return the value at a share of the axis."""
        return self.low + (self.high - self.low) * share

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, marks: bool = False) -> str:
    """Return a chart with its legend as a ``<figure>``; the lines also differ in dashes, not in colour alone."""
    body = "".join([*_grid(x, y), *(_line(line, x, y, marks) for line in lines)])
    legend = "".join(
        f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><line class="{line.style}" x1="0" y1="4" x2="28" y2="4"/></svg>'
        f"{escape(line.title)}</li>"
        for line in lines
    )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg><ul class="legend">{legend}</ul></figure>'
    )


def _across(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value)


def _up(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(value)


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for step in range(y.ticks + 1):
        value = y.at(step / y.ticks)
        height = _up(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{height + 6:.1f}">{value:.{y.decimals}f}</text>')
    for step in range(x.ticks + 1):
        value = x.at(step / x.ticks)
        parts.append(
            f'<text class="tick mid" x="{_across(x, value):.1f}" y="{HEIGHT - BOTTOM + 24}">{value:.{x.decimals}f}</text>'
        )
    parts.append(f'<text class="tick mid" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}">{escape(x.title)}</text>')
    parts.append(f'<text class="tick" x="{LEFT - 60}" y="18">{escape(y.title)}</text>')
    return parts


def _line(line: Line, x: Axis, y: Axis, marks: bool) -> str:
    places = [(_across(x, a), _up(y, b)) for a, b in line.points]
    drawn = f'<polyline class="{line.style}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in places)}"/>'
    dots = "".join(f'<circle class="{line.style}" cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in places) if marks else ""
    return drawn + dots
