"""The model card's charts: gain and lift, precision and recall, reliability, the course of training."""

import math
from collections.abc import Mapping
from typing import Any

from propensity.evaluation.card_tables import TITLES, missing, table
from propensity.evaluation.curves import lift
from propensity.evaluation.plots import Axis, Bars, Line, bar_chart, even, line_chart
from propensity.evaluation.records import DECAYED, OURS, POPULARITY

TENTH = 0.1
LEAST = 1e-4
"""Share at which the reliability chart begins: below it nearly nobody acts."""


def charts(evaluation: Mapping[str, Any]) -> str:
    """Return the charts on the held-out window; those with nothing to show are left out."""
    parts = [_gain, _lift, _precision, _reliability]
    return "".join(part(evaluation) for part in parts)


def reached(evaluation: Mapping[str, Any], name: str, share: float = TENTH) -> float | None:
    """Return the share of buyers that a model reaches with a share of the customers, None where nobody acted."""
    told: dict[str, Any] = evaluation["gain"]
    value: float | None = told[name][list(told["shares"]).index(share)]
    return value


def course(training: Mapping[str, Any]) -> str:
    """Return the chart of training, epoch by epoch; nothing where no course was kept."""
    epochs = [epoch for epoch in training["choosing"] if not missing(epoch.get("micro_ap"))]
    if len(epochs) < 2:
        return ""
    values = [epoch["micro_ap"] for epoch in epochs]
    margin = max((max(values) - min(values)) * 0.15, 0.001)
    first, last = epochs[0]["epoch"], epochs[-1]["epoch"]
    step = max(round((last - first) / 10), 1)
    title = f"validation micro AP; {training['epochs']} epochs were chosen"
    line = Line(title, "line-0", [(epoch["epoch"], epoch["micro_ap"]) for epoch in epochs], marks=True)
    x = Axis("epoch", [*range(first, last, step), last], ".0f")
    y = Axis("micro AP", even(min(values) - margin, max(values) + margin), ".3f")
    says = f"Validation micro AP over {len(epochs)} epochs, highest {max(values):.3f}."
    return line_chart("Course of training", says, [line], x, y)


def tenths(evaluation: Mapping[str, Any]) -> str:
    """Return the gain and lift of every tenth as a table."""
    told = evaluation["gain"]
    if any(missing(value) for value in told[OURS]):
        return ""
    lifts = {name: lift(told[name], tuple(told["shares"])) for name in (OURS, DECAYED)}
    rows = [
        [_ordinal(i), f"{reached(evaluation, OURS, (i + 1) / 10):.1%}", f"{lifts[OURS][i]:.2f}", f"{lifts[DECAYED][i]:.2f}"]
        for i in range(10)
    ]
    head = ["tenth of the customers", "reached up to here", "lift", f"lift of {TITLES[DECAYED]}"]
    return table("Gain and lift by tenths of the customers, likeliest first", head, rows)


def reliability_table(evaluation: Mapping[str, Any]) -> str:
    """Return the reliability chart's numbers."""
    rows = [[f"{said:.3%}", f"{seen:.3%}", f"{pairs:,}"] for said, seen, pairs in evaluation["reliability"]]
    return table("Predicted and observed shares, lowest first", ["mean predicted", "observed", "pairs"], rows)


def _gain(evaluation: Mapping[str, Any]) -> str:
    told = evaluation["gain"]
    if any(missing(value) for value in told[OURS]):
        return ""
    names = {OURS: TITLES[OURS], DECAYED: TITLES[DECAYED], POPULARITY: "popularity, which is chance here"}
    lines = [
        Line(title, f"line-{i}", list(zip(told["shares"], told[n], strict=True))) for i, (n, title) in enumerate(names.items())
    ]
    says = f"The likeliest tenth of the customers holds {reached(evaluation, OURS):.0%} of those who acted."
    return line_chart(
        "Gain: buyers reached by the likeliest customers of each category",
        says,
        lines,
        Axis("share of customers picked", even(0, 1), "%"),
        Axis("share of buyers reached", even(0, 1), "%"),
    )


def _lift(evaluation: Mapping[str, Any]) -> str:
    told = evaluation["gain"]
    if any(missing(value) for value in told[OURS]):
        return ""
    rows = [Bars(TITLES[name], f"bar-{i}", lift(told[name], tuple(told["shares"]))) for i, name in enumerate((OURS, DECAYED))]
    highest = math.ceil(max(max(row.heights) for row in rows) + 0.2)
    y = Axis("times as many buyers as chance", even(0, highest, min(highest, 5)), ".1f" if highest > 5 else ".0f")
    says = "Lift by tenth, likeliest first: " + ", ".join(f"{value:.1f}" for value in rows[0].heights) + "."
    labels = [str(i + 1) for i in range(10)]
    return bar_chart("Lift: each tenth of the customers, likeliest first", says, rows, labels, "tenth of the customers", y)


def _precision(evaluation: Mapping[str, Any]) -> str:
    curves = evaluation["curves"]
    lines = [Line(TITLES[name], f"line-{i}", curves[name]) for i, name in enumerate((OURS, DECAYED, POPULARITY))]
    if not all(line.points for line in lines):
        return ""
    says = f"Average precision: {_words(evaluation, 'micro_ap')}."
    return line_chart(
        "Precision and recall over all pairs",
        says,
        lines,
        Axis("recall: share of all acts found", even(0, 1), "%"),
        Axis("precision: share of picks that are right", even(0, 1), "%"),
    )


def _reliability(evaluation: Mapping[str, Any]) -> str:
    seen = [(said, share) for said, share, _ in evaluation["reliability"] if min(said, share) >= LEAST]
    if not seen:
        return ""
    ticks = [LEAST, 1e-3, 1e-2, 1e-1, 1.0]
    lines = [
        Line("this model, each mark a twentieth of the pairs", "line-0", seen, marks=True),
        Line("perfectly calibrated", "line-2", [(LEAST, LEAST), (1.0, 1.0)]),
    ]
    says = f"Predicted against observed shares; they differ by {evaluation['calibration_error']:.2%} on average."
    return line_chart(
        "Reliability: does 10% mean one in ten?",
        says,
        lines,
        Axis("predicted probability", ticks, "%", logarithmic=True),
        Axis("share that acted", ticks, "%", logarithmic=True),
    )


def _words(evaluation: Mapping[str, Any], measure: str) -> str:
    told = ((TITLES[name], evaluation["table"][name][measure]) for name in (OURS, DECAYED, POPULARITY))
    return ", ".join(f"{title} {value:.3f}" for title, value in told if not missing(value))


def _ordinal(position: int) -> str:
    return f"{position + 1}{('st', 'nd', 'rd')[position] if position < 3 else 'th'}"
