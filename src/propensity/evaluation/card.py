"""The model card: one HTML page per version, with nothing loaded from elsewhere; it reads without its script, too."""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from propensity.evaluation.card_categories import category_table
from propensity.evaluation.card_charts import charts, course, reliability_table, tenths
from propensity.evaluation.card_figures import main_table, promise_table, rung_table, size_table, slice_table
from propensity.evaluation.card_parts import facts, lead, limits, reading, tiles
from propensity.evaluation.card_script import SCRIPT
from propensity.evaluation.card_style import PAGE, STYLE
from propensity.evaluation.card_verdict import changes_part, verdict_part

CARD = "model_card.html"


def render_card(
    manifest: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    region: str,
    verdict: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> str:
    """Return the page for a bundle's manifest and its evaluation; `region` is what people call the region.

    `verdict` is that of the promotion, when there was one: what verdict.json holds.  `changes` is what changes_against()
    found, when there was a champion that could be scored.
    """
    return Template(PAGE).substitute(
        style=STYLE,
        script=SCRIPT,
        region=escape(region),
        version=escape(str(manifest["version"])),
        lead=lead(manifest, evaluation),
        verdict=verdict_part(verdict),
        tiles=tiles(evaluation),
        reading=reading(manifest),
        figures=main_table(evaluation),
        charts=charts(evaluation),
        numbers=tenths(evaluation) + reliability_table(evaluation),
        slices=slice_table(evaluation),
        sizes=size_table(evaluation),
        rungs=rung_table(evaluation),
        promises=_promises(evaluation),
        categories=category_table(evaluation),
        changes=changes_part(manifest, changes),
        course=course(manifest["training"]),
        facts=facts(manifest, evaluation),
        limits=limits(evaluation),
    )


def _promises(evaluation: Mapping[str, Any]) -> str:
    told = promise_table(evaluation)
    if not told:
        return ""
    says = "Of the customers picked above a category's threshold, how many acted."
    return f"<section><h2>Do thresholds keep their promise?</h2><p>{says}</p>{told}</section>"
