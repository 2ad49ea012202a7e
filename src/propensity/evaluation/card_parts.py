"""The model card's words: what the model answers, its tiles, how to read the figures, what it was made from."""

from collections.abc import Mapping
from html import escape
from typing import Any

from propensity.evaluation.card_charts import reached
from propensity.evaluation.card_tables import NONE, between, missing, number
from propensity.evaluation.records import BASELINES, DECAYED, OURS


def lead(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Return what the model answers, and when and on what it was judged."""
    event, field = (escape(part) for part in manifest["label"])
    return (
        f"Which customers are likely to act, in what, and soon? For each customer this model tells how likely a <b>{event}</b> "
        f"is in each of {manifest['shape']['categories']:,} values of <b>{field}</b> within {evaluation['horizon_days']} days. "
        f"Trained for {escape(str(manifest['score_date']))}; judged on {evaluation['customers']:,} customers and the "
        f"{evaluation['horizon_days']} days from {evaluation['cutoff']}, which training never saw."
    )


def tiles(evaluation: Mapping[str, Any]) -> str:
    """Return the four figures to remember."""
    figures, intervals = evaluation["table"][OURS], evaluation["intervals"]
    tenth, theirs = reached(evaluation, OURS), reached(evaluation, DECAYED)
    against = "" if missing(tenth) or missing(theirs) else f"{theirs:.0%} by own decayed frequency, 10% by chance"
    error = evaluation["calibration_error"]
    parts = (
        ("buyers reached by a tenth", _percent(tenth), against,
         "of a category's buyers are among its likeliest 10% of customers"),
        ("precision at 10", _percent(figures["precision_at_10"]), _against(evaluation, "precision_at_10", points=True),
         "of each customer's ten likeliest categories were acted on"),
        ("macro AUC", number(figures["macro_auc"]), _against(evaluation, "macro_auc"),
         f"chance that a buyer ranks above another customer; {evaluation['level']:.0%} interval "
         f"{between(intervals['macro_auc']) or NONE}"),
        ("calibration error", NONE if missing(error) else f"{error * 100:.2f} points", _acts(evaluation),
         "how far, on average, a predicted share lies from the observed one"),
    )  # fmt: skip
    return "".join(
        f'<div class="tile"><span>{escape(title)}</span><strong>{value}</strong><em>{escape(note)}</em>'
        f"<small>{escape(meaning)}</small></div>"
        for title, value, note, meaning in parts
    )


def reading(manifest: Mapping[str, Any]) -> str:
    """Return how to read the figures."""
    told = {
        "Buyers": f"Customers with a {manifest['label'][0]} in the category within the window; each is one act.",
        "Baselines": "Popularity gives every customer the same order. Own decayed frequency counts the customer's fortnights "
        "with an act in the category, recent ones weighing more: what many people use. A model must beat both.",
        "AUC": "The chance that a customer who acted has a higher score than one who did not: 0.5 is a coin, 1 is perfect. "
        "Macro: the mean over categories, each counting the same. Micro: all pairs of customer and category together.",
        "AP": "Average precision: the share of picks that are right, averaged over the list from its top.",
        "Recall at a precision": "Pick as many pairs as you can while half (or seven in ten) of the picks are right: "
        "the share of all acts that you find.",
        "Gain and lift": "Take the likeliest tenth of a category's customers. Gain is the share of its buyers you reach; "
        "lift is how many times that of a random tenth.",
        "Calibration": "Of all pairs given 10%, one in ten should act. The error is how far the two lie apart on average.",
        "Interval": "Where the figure lies in most draws of other customers like these (bootstrap). A difference whose "
        "interval holds 0 may be chance: it is marked \u2248.",
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told.items())


def facts(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Return what the version was made from, with the digests that prove it."""
    data, training = manifest["data"], manifest["training"]
    windows = data["windows"]
    spans = f"{len(windows)} windows, {windows[-1]} to {windows[0]}" if windows else "windows that were not told"
    sizes = ", ".join(f"{name} {_size(value)}" for name, value in manifest["shape"].items())
    rows = {
        "Learned from": f"{data['rows']:,} rows of customers in {spans}",
        "Judged on": f"{evaluation['customers']:,} customers, {evaluation['horizon_days']} days from {evaluation['cutoff']}",
        "Model": f"{manifest['kind']}: {sizes}",
        "Trained": f"{training['epochs']} epochs on {training['device']}, seed {training['seed']}",
        "Customers without a known feature": f"{evaluation['without_known_features']:,} (they get the region's popularity)",
        "Intervals": f"{evaluation['resamples']:,} resamples of the customers, both models under the same ones",
        "Bundle": evaluation["digest"],
        "Data": data["digest"],
        "Settings": manifest["config"]["settings"],
    }
    return "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in rows.items())


def limits(evaluation: Mapping[str, Any]) -> str:
    """Return what the model cannot tell."""
    said = (
        "Whom a message moves. It says who is likely to act anyway; only a test with a group left out tells what a message adds.",
        f"What another season brings. These figures are of one window of {evaluation['horizon_days']} days; the intervals are "
        "over customers, not over windows or over training again.",
        "What one customer will do. Probabilities hold on average over many customers.",
        "First acts in a category as well as repeated ones: compare repeat and explore pairs above.",
        f"How well a category ranks in which fewer than {evaluation['min_positives']:,} customers acted: it has no AUC here.",
        "Anything of a category that never stood in the training windows: it gets no chance at all.",
    )
    return "".join(f"<li>{escape(text)}</li>" for text in said)


def _against(evaluation: Mapping[str, Any], measure: str, points: bool = False) -> str:
    """Return the difference to the baseline that is best in this measure, with its interval; a share in percentage points."""
    told = {name: evaluation["table"][name][measure] for name in BASELINES}
    best = max((name for name in told if not missing(told[name])), key=lambda name: told[name], default=None)
    if best is None:
        return ""
    value, low, high = evaluation["differences"][best][measure]
    if missing(value) or missing(low) or missing(high):
        return ""
    if points:
        return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) against the best baseline"
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f}) against the best baseline"


def _acts(evaluation: Mapping[str, Any]) -> str:
    """Return how many acts were expected and how many were observed."""
    sizes = evaluation["calibration_by_size"]
    if any(missing(part["expected"]) for part in sizes):
        return ""
    expected, observed = (sum(part[key] for part in sizes) for key in ("expected", "positives"))
    return f"{expected:,.0f} acts expected, {observed:,} observed"


def _percent(value: float | None) -> str:
    return NONE if value is None or missing(value) else f"{value:.0%}"


def _size(value: Any) -> str:
    return ", ".join(map(_size, value)) if isinstance(value, list) else f"{value:,}"
