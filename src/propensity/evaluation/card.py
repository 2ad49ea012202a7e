"""The model card: one HTML page per version, with no script and nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from propensity.evaluation.card_style import PAGE, STYLE
from propensity.evaluation.plots import Axis, Line, line_chart
from propensity.evaluation.records import BASELINES, DECAYED, OURS, POPULARITY, Figures

CARD = "model_card.html"
TITLES = {OURS: "this model", DECAYED: "own decayed frequency", POPULARITY: "popularity"}
CATEGORIES_SHOWN = 25
Rows = Sequence[Sequence[str]]


def render_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any], region: str) -> str:
    """Return the page for a bundle's manifest and its evaluation; `region` is what people call the region."""
    table = evaluation["table"]
    precision = evaluation["expected_precision"]
    return Template(PAGE).substitute(
        style=STYLE,
        region=escape(region),
        version=escape(str(manifest["version"])),
        lead=_lead(manifest, evaluation),
        tiles=_tiles(table, precision),
        figures=_figures(table, precision),
        curves=_curves(evaluation["curves"]),
        epochs=_epochs(manifest["training"]),
        categories=_categories(evaluation),
        facts=_facts(manifest, evaluation),
    )


def _lead(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    event, field = manifest["label"]
    return (
        f"For each customer, how likely is a <b>{escape(event)}</b> event in each of {manifest['shape']['categories']:,} "
        f"values of <b>{escape(field)}</b> in the next {evaluation['horizon_days']} days. Trained for "
        f"{manifest['score_date']}; judged on {evaluation['customers']:,} customers and the window that begins on "
        f"{evaluation['cutoff']}, which training never saw."
    )


def _tiles(table: Mapping[str, Figures], precision: float) -> str:
    best = {key: max(_number(table[name][key]) for name in BASELINES) for key in ("macro_auc", "micro_ap", "recall")}
    shown = (
        ("macro_auc", "macro AUC", "how well each category ranks its customers; 0.5 is chance"),
        ("micro_ap", "micro AP", "how well all pairs of customer and category are ranked"),
        (
            "recall",
            f"recall at precision {precision:g}",
            f"share of all events found while {precision:.0%} of the picks are right",
        ),
    )
    return "".join(
        f'<div class="tile"><span>{title}</span><strong>{_told(table[OURS][key])}</strong>'
        f"<em>{_number(table[OURS][key]) - best[key]:+.3f} against the best baseline</em><small>{meaning}</small></div>"
        for key, title, meaning in shown
    )


def _figures(table: Mapping[str, Figures], precision: float) -> str:
    keys = {
        "macro_auc": "macro AUC",
        "micro_auc": "micro AUC",
        "micro_ap": "micro AP",
        "recall": f"recall at precision {precision:g}",
    }
    rows = [[TITLES[name], *(_told(table[name][key]) for key in keys)] for name in (OURS, *reversed(BASELINES))]
    return _table(["", *keys.values()], rows)


def _curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    lines = [Line(TITLES[name], f"line-{i}", curves[name]) for i, name in enumerate((OURS, DECAYED, POPULARITY))]
    return line_chart("Precision and recall over all pairs", lines, Axis("recall", 0, 1, 1), Axis("precision", 0, 1, 1))


def _epochs(training: Mapping[str, Any]) -> str:
    course = [epoch for epoch in training["choosing"] if epoch.get("micro_ap") is not None]
    if not course:
        return ""
    values = [epoch["micro_ap"] for epoch in course]
    low, high = min(values), max(values)
    margin = max((high - low) * 0.15, 0.001)
    last = float(course[-1]["epoch"])
    x = Axis("epoch", 1, max(last, 2), 0, ticks=int(max(last - 1, 1)))
    lines = [
        Line(
            f"validation micro AP; {training['epochs']} epochs were chosen",
            "line-0",
            [(e["epoch"], e["micro_ap"]) for e in course],
        )
    ]
    return line_chart("Course of training", lines, x, Axis("micro AP", low - margin, high + margin, 3), marks=True)


def _categories(evaluation: Mapping[str, Any]) -> str:
    ranked = sorted(evaluation["categories"], key=lambda c: -c["buyers"])
    rows = [[c["name"], f"{c['buyers']:,}", _told(c[OURS]), _told(c[DECAYED])] for c in ranked[:CATEGORIES_SHOWN]]
    beyond = len(ranked) - len(rows)
    note = f"<p>and {beyond} more with at least {evaluation['min_positives']} customers.</p>" if beyond > 0 else ""
    return _table(["category", "customers who acted", "AUC", "AUC of own decayed frequency"], rows) + note


def _facts(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    data, training = manifest["data"], manifest["training"]
    windows = data["windows"]
    spans = f"{len(windows)} windows, {windows[-1]} to {windows[0]}" if windows else "windows that were not told"
    sizes = ", ".join(f"{name} {_size(value)}" for name, value in manifest["shape"].items())
    facts = {
        "Learned from": f"{data['rows']:,} rows of customers in {spans}",
        "Model": f"{manifest['kind']}: {sizes}",
        "Trained": f"{training['epochs']} epochs on {training['device']}, seed {training['seed']}",
        "Customers without a known feature": f"{evaluation['without_known_features']:,} (they get the region's popularity)",
        "Bundle": evaluation["digest"],
        "Data": data["digest"],
        "Settings": manifest["config"]["settings"],
    }
    return "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())


def _size(value: Any) -> str:
    return ", ".join(map(_size, value)) if isinstance(value, list) else f"{value:,}"


def _table(head: Sequence[str], rows: Rows) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
