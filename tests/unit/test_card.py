"""The model card: every number on it is one of evaluation.json, and nothing that is missing or hostile breaks it."""

import datetime as dt
import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.evaluated import evaluated
from tests.support.online import copied_lake
from tests.support.pages import Page
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.evaluation.card import CARD, render_card
from propensity.evaluation.card_style import STYLE
from propensity.evaluation.card_tables import difference
from propensity.evaluation.changes import CHAMPION
from propensity.evaluation.curves import lift
from propensity.evaluation.judging import evaluate_version, promote
from propensity.evaluation.records import DECAYED, OURS, POPULARITY, plain
from propensity.evaluation.verdict import SUPERIOR, Test, Verdict
from propensity.models.registry import crown
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import MANIFEST, bundle_digest

TOLD = "micro AP on explore pairs -1.23%"
TEST = Test("not worse", "explore pairs, micro AP", -0.0123, -0.05, TOLD, False, -0.0456, 0.0078, 0.0321)


def card(changes: dict[str, Any] | None = None, **parts: Any) -> Page:
    manifest, evaluation = evaluated()
    return Page(render_card(manifest, {**evaluation, **(changes or {})}, "The coast", **parts))


def champion(evaluation: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    both = {OURS: evaluation["table"][OURS], CHAMPION: evaluation["table"][DECAYED]}
    told = [c for c in evaluation["categories"] if c[OURS] is not None]
    return {
        "manifest": {**manifest, "version": "the-old-one", "score_date": "2016-12-31"},
        "table": both,
        "differences": evaluation["differences"][DECAYED],
        "categories": [{"name": c["name"], OURS: c[OURS], CHAMPION: c[DECAYED]} for c in told],
    }


def verdict(**parts: Any) -> dict[str, Any]:
    told: dict[str, Any] = plain(
        {
            **vars(Verdict("v", "d", "coast", "2017-06-30", "2017-06-20", None, "first", True, "it beats <both>", [])),
            "tests": [vars(TEST)],
            **parts,
        }
    )
    return told


def test_the_page_stands_alone_and_every_part_has_its_place() -> None:
    page = card()
    links = [attrs for tag, attrs in page.tags if tag in {"link", "img", "iframe"} or "src" in attrs]
    assert links == [], "nothing is loaded"
    assert all(str(attrs["href"]).startswith("#") for tag, attrs in page.tags if tag == "a")
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(attrs["href"])[1:] for tag, attrs in page.tags if tag == "a"} <= set(ids)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert sum(tag == "svg" and attrs.get("role") == "img" for tag, attrs in page.tags) == 5
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img")
    assert "$" not in page.text


def test_the_main_table_shows_every_figure_with_its_interval() -> None:
    _, evaluation = evaluated()
    rows = {row[0].split("customers")[0]: row for row in card().table("Figures on")}
    assert len(rows) == 6
    row = card().table("Figures on")[0]
    figures = evaluation["table"]
    low, high = evaluation["intervals"]["macro_auc"]
    assert f"95% interval {low:.3f} to {high:.3f}" in card().text, "on its tile, too"
    assert row[1] == f"{figures[OURS]['macro_auc']:.3f}{low:.3f} to {high:.3f}"
    assert row[2] == f"{figures[DECAYED]['macro_auc']:.3f}"
    assert row[3] == f"{figures[POPULARITY]['macro_auc']:.3f}"
    gap, below, above = evaluation["differences"][DECAYED]["macro_auc"]
    assert row[4].startswith(f"{gap:+.3f}{below:+.3f} to {above:+.3f}")


@pytest.mark.parametrize(
    ("told", "word"), [((0.1, 0.05, 0.2), "better"), ((-0.1, -0.2, -0.05), "worse"), ((0.1, -0.05, 0.2), "not told apart")]
)
def test_a_difference_says_in_a_word_what_it_comes_to(told: tuple[float, float, float], word: str) -> None:
    assert difference(told).says.endswith(word)
    assert difference((None, None, None)).says == ""


def test_every_category_is_there_with_its_numbers_the_largest_first() -> None:
    _, evaluation = evaluated()
    rows = card().table("All ")
    wanted = sorted(evaluation["categories"], key=lambda c: (-c["buyers"], c["name"]))
    assert [row[0] for row in rows] == [c["name"] for c in wanted]
    for row, c in zip(rows, wanted, strict=True):
        assert row[1:4] == [f"{c['buyers']:,}", f"{c['expected']:,.0f}", f"{c['base_rate']:.1%}"]
        assert row[4] == (f"{c[OURS]:.3f}" if c[OURS] is not None else "\u2013")
        assert row[7] == (f"{c['average_precision']:.3f}" if c["average_precision"] is not None else "\u2013")


def test_slices_sizes_and_tenths_show_their_numbers() -> None:
    _, evaluation = evaluated()
    page = card()
    for row, part in zip(page.table("Figures by kind"), evaluation["slices"], strict=True):
        assert row[1] == f"{part['positives']:,}"
        told = part["table"][OURS]["micro_ap"]
        assert row[5].startswith("\u2013" if told is None else f"{told:.3f}")
    for row, part in zip(page.table("Calibration by size"), evaluation["calibration_by_size"], strict=True):
        assert row[1:4] == [f"{part['categories']:,}", f"{part['expected']:,.0f}", f"{part['positives']:,}"]
    lifts = lift(evaluation["gain"][OURS], tuple(evaluation["gain"]["shares"]))
    assert [row[2] for row in page.table("Gain and lift")] == [f"{value:.2f}" for value in lifts]
    seen = [[f"{said:.3%}", f"{share:.3%}", f"{pairs:,}"] for said, share, pairs in evaluation["reliability"]]
    assert page.table("Predicted and observed") == seen
    for row, (name, told) in zip(page.table("The same customers"), evaluation["rungs"].items(), strict=True):
        assert row[0].startswith(name)
        assert row[1:4] == [f"{evaluation['sources'][name]:,}", f"{told['macro_auc']:.3f}", f"{told['micro_ap']:.3f}"]
        assert row[5] == f"{told['calibration_error'] * 100:.2f} points"


def test_the_facts_prove_what_it_was_made_from() -> None:
    manifest, evaluation = evaluated()
    text = card().text
    for told in (manifest["version"], evaluation["digest"], manifest["data"]["digest"], manifest["config"]["settings"]):
        assert told in text
    assert f"{manifest['data']['rows']:,} rows" in text
    assert f"{evaluation['calibration_error'] * 100:.2f} points" in text


def test_the_tiles_show_the_figures_to_remember() -> None:
    _, evaluation = evaluated()
    text, told = card().text, evaluation["gain"]
    assert f"buyers reached by a tenth{told[OURS][told['shares'].index(0.1)]:.0%}" in text
    assert f"precision at 10{evaluation['table'][OURS]['precision_at_10']:.0%}" in text
    best = max((DECAYED, POPULARITY), key=lambda name: evaluation["table"][name]["precision_at_10"])
    gap, low, high = (100 * value for value in evaluation["differences"][best]["precision_at_10"])
    assert f"{gap:+.1f} points ({low:+.1f} to {high:+.1f}) against the best baseline" in text
    observed = int(sum(category["buyers"] for category in evaluation["categories"]))
    assert f"{sum(c['expected'] for c in evaluation['categories']):,.0f} acts expected, {observed:,} observed" in text


def test_names_that_are_hostile_are_shown_as_they_are() -> None:
    manifest, evaluation = evaluated()
    nasty = '</script><script>alert("1")</script> & $style'
    evaluation["categories"][0]["name"] = nasty
    manifest["label"] = ["<b>buy", nasty]
    changes = champion(evaluation, manifest)
    changes["manifest"]["kind"] = nasty
    changes["categories"] = [{"name": nasty, OURS: 0.9, CHAMPION: 0.1}]
    text = render_card(manifest, evaluation, nasty, verdict(reason=nasty, tests=[{**vars(TEST), "told": nasty}]), changes)
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert text.count(html.escape(nasty)) >= 6
    assert nasty in [row[0] for row in page.table("All ")]


def test_thresholds_are_shown_when_there_are_any() -> None:
    _, evaluation = evaluated()
    for category in evaluation["categories"]:
        category.update(threshold=None, picked=None, precision=None)
    assert len(card({**evaluation, "promises": []}).table("All ")[0]) == 8
    assert "promise" not in card({**evaluation, "promises": []}).text
    told = {"precision": 0.5, "confidence": 0.95, "categories": 12, "picked": 2000, "right": 1111, "judged": 9, "above": 7,
            "kept": 8}  # fmt: skip
    evaluation.update(promise=0.5, promises=[told, {**told, "picked": 0, "right": 0}])
    for category in evaluation["categories"]:
        category.update(threshold=0.4321, picked=1234.0, precision=0.5678)
    evaluation["categories"][0].update(threshold=None, picked=0.0, precision=None)
    page = card(evaluation)
    assert page.table("Judged where") == [
        ["50%", "12", "2,000", "55.5%", "7 of 9", "8 of 9"],
        ["50%", "12", "0", "\u2013", "7 of 9", "8 of 9"],
    ]
    rows = page.table("All ")
    assert ["43.2%", "1,234", "57%"] in [row[8:] for row in rows]
    assert ["\u2013", "0", "\u2013"] in [row[8:] for row in rows]


def test_a_verdict_is_told_with_every_test() -> None:
    page = card(verdict=verdict(promoted=False, champion={"version": "the-old-one", "digest": "d"}))
    assert "Not promoted" in page.text
    assert "it beats <both>" in page.text
    assert "the-old-one" in page.text
    better = {**vars(TEST), "name": SUPERIOR}
    rows = card(verdict=verdict(tests=[{**better, "passed": True}, better, vars(TEST)])).table("3 tests")
    assert [row[1][2:] for row in rows] == ["failed", "not shown", "passed"], "what failed comes first; of these one is enough"
    row = page.table("1 tests")[0]
    assert row[0].startswith("not worse")
    assert "failed" in row[1]
    assert row[2] == "-0.0123-0.046 to 0.008"
    assert row[4:] == ["0.0321", TOLD]
    assert "romoted" not in card().text


def test_what_changed_against_the_champion_is_told() -> None:
    manifest, evaluation = evaluated()
    changes = champion(evaluation, manifest)
    page = card(changes=None)
    assert "What changed" not in page.text
    page = Page(render_card(manifest, evaluation, "x", changes=changes))
    rows = page.table("Champion and this model")
    assert rows[0][1:3] == [f"{changes['table'][name]['macro_auc']:.3f}" for name in (CHAMPION, OURS)]
    assert ["score_date", "2016-12-31", str(manifest["score_date"])] in page.table("What the two were made from")
    gained = page.table("Categories that gained most")
    most = max(changes["categories"], key=lambda c: c[OURS] - c[CHAMPION])
    assert gained[0] == [most["name"], *(f"{v:.3f}" for v in (most[CHAMPION], most[OURS])), f"{most[OURS] - most[CHAMPION]:+.3f}"]


def test_a_promotion_writes_its_verdict_and_what_changed_into_the_card(tmp_path: Path) -> None:
    lake, made = copied_lake(tmp_path), shared()[1]
    challenger = bundle_folder(lake.config, REGION, made.version)
    older = Path(shutil.copytree(challenger, challenger.with_name("older")))
    manifest = json.loads((older / MANIFEST).read_text())
    (older / MANIFEST).write_text(json.dumps({**manifest, "version": "older", "score_date": "2024-12-30"}))
    digest = bundle_digest(older)
    crown(lake, REGION, None, "older", str(digest), SCORE_DATE - dt.timedelta(days=7), "by hand")
    evaluate_version(lake, REGION, SCORE_DATE, made.version)
    assert "romoted" not in (challenger / CARD).read_text()
    decision, _ = promote(lake, REGION, SCORE_DATE, made.version)
    page = Page((challenger / CARD).read_text())
    assert decision.reason in page.text
    assert "What changed against champion older" in page.text
    assert all(row[3].endswith("not told apart") for row in page.table("Champion and this model")), "it is the same model"
    assert page.table("What the two were made from") == [["score_date", "2024-12-30", manifest["score_date"]]]


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG 2 has it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_and_lines_stand_out_in_light_and_dark(scheme: int) -> None:
    block = re.findall(r":root \{[^}]*--ink[^}]*\}", STYLE)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for paper in ("page", "card"):
        for ink in ("ink", "soft", "one", "two", "three"):
            low, high = sorted(luminance(colours[name]) for name in (paper, ink))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (paper, ink)


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*path, key))
    elif isinstance(value, float):
        yield path


def test_a_window_with_nothing_to_tell_still_has_a_card() -> None:
    manifest, evaluation = evaluated()
    kept = {"expected_precision", "level"}
    for path in list(numbers(evaluation)):
        if path[0] in kept or path[-2:-1] == ("shares",) or path[-1] == "from":
            continue
        at = evaluation
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = None
    evaluation.update(reliability=[], promises=[], promise=None)
    evaluation["curves"] = {name: [] for name in evaluation["curves"]}
    manifest["training"]["choosing"] = []
    page = Page(render_card(manifest, evaluation, "x"))
    assert "nan" not in re.findall(r"[a-z]+", page.text.lower())
    assert "None" not in page.text
    assert len(page.table("All ")) == len(evaluation["categories"])
    assert not any(tag == "svg" and attrs.get("role") == "img" for tag, attrs in page.tags)
