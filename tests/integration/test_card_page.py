"""The model card in a real browser: wide, narrow, dark, without script; its table is sorted and searched."""

import os

import pytest
from ops.browser import chromium
from tests.support.evaluated import evaluated

from propensity.evaluation.card import render_card
from propensity.evaluation.records import OURS

# A test machine may have neither a sandbox nor a way out to the makers of the browser.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.environ.get("PROPENSITY_NO_BROWSER") == "1", reason="PROPENSITY_NO_BROWSER=1 leaves browser tests out"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    manifest, evaluation = evaluated()
    path = tmp_path_factory.mktemp("card") / "model_card.html"
    path.write_text(render_card(manifest, evaluation, "The coast"), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield browser
        browser.close()


def names(page):
    return page.locator("#categories tbody tr:visible th").all_inner_texts()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_the_page_fits_and_asks_nobody(browser, address, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(246, 247, 249)") == (scheme == "light")
    crossing = page.evaluate(
        """() => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
             const boxes = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
             return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
               p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom).map(([b]) => `${a} ${b}`));
           })"""
    )
    assert crossing == [], "no two labels of a chart lie on each other"
    assert asked == [address]
    assert complaints == []
    page.close()


def test_a_person_sorts_the_categories(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    shown = names(page)
    head = page.get_by_role("columnheader", name="category", exact=True)
    button = head.get_by_role("button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page) == sorted(shown)
    button.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page) == sorted(shown, reverse=True)
    area = page.locator("#categories thead th").nth(4)
    area.get_by_role("button").click()
    assert area.get_attribute("aria-sort") == "descending"
    assert head.get_attribute("aria-sort") is None
    told = {c["name"]: c[OURS] for c in evaluated()[1]["categories"]}
    with_area = [told[name] for name in names(page) if told[name] is not None]
    assert with_area == sorted(with_area, reverse=True)
    assert [told[name] for name in names(page)][: len(with_area)] == with_area, "those without a figure come last"
    area.get_by_role("button").click()
    assert [told[name] for name in names(page)][: len(with_area)] == sorted(with_area)
    page.close()


def test_a_person_searches_the_categories(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(address)
    shown = names(page)
    wanted = shown[-1]
    page.get_by_label("Search").fill(f"  {wanted.upper()} ")
    assert names(page) == [name for name in shown if wanted.lower() in name.lower()]
    assert page.get_by_role("status").inner_text() == f"{len(names(page))} of {len(shown)} shown"
    page.get_by_label("Search").fill("no such category")
    assert names(page) == []
    page.get_by_label("Search").fill("")
    assert names(page) == shown
    page.close()


def test_without_script_everything_can_be_read(browser, address):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    assert len(names(page)) == len(evaluated()[1]["categories"])
    assert page.get_by_label("Search").is_hidden()
    assert page.locator("#categories thead button").count() == 0
    page.context.close()
