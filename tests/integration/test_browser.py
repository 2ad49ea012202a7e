"""The trigger form and the grid, in a real browser."""

import os

import pytest
from ops.browser import chromium

SCORE = "propensity_score"
# A test machine may have neither a sandbox nor a way out to the makers of the browser.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.environ.get("PROPENSITY_NO_BROWSER") == "1", reason="PROPENSITY_NO_BROWSER=1 leaves browser tests out"),
]


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_a_person_triggers_a_run_in_the_form_and_sees_it_finish(scoring, page):
    page.goto(f"{scoring.api.address}/dags/{SCORE}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("#element_score_date").fill("2025-06-16")
    form.get_by_label("Remove coast").click()
    form.get_by_role("button", name="Trigger").click()
    page.get_by_text("Dag run has been successfully triggered").first.wait_for()
    run = scoring.api.runs(SCORE, run_type="manual")[0]
    assert run["conf"] == {"regions": ["alps"], "score_date": "2025-06-16", "force": False}
    assert run["logical_date"] is not None, "the form's own; the score date wins"
    ended = scoring.wait(SCORE, run["dag_run_id"])
    assert ended["state"] == "success", scoring.errors(SCORE, run["dag_run_id"])
    assert ("alps", "2025-06-16") in scoring.published()

    page.goto(f"{scoring.api.address}/dags/{SCORE}/runs/{run['dag_run_id']}")
    page.get_by_role("link", name="each_region.publish").wait_for()
    assert page.get_by_role("link", name="alps").count() >= 6, "a mapped task shows its region"


def test_the_form_does_not_send_an_empty_list_of_regions(scoring, page):
    before = len(scoring.api.runs(SCORE))
    page.goto(f"{scoring.api.address}/dags/{SCORE}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for name in ("alps", "coast"):
        form.get_by_label(f"Remove {name}").click()
    button = form.get_by_role("button", name="Trigger")
    if button.is_enabled():
        button.click()
        page.wait_for_timeout(1500)
    assert len(scoring.api.runs(SCORE)) == before


def test_the_dags_page_is_the_dags_own_text(scoring, page):
    page.goto(f"{scoring.api.address}/dags/{SCORE}")
    page.get_by_label("Dag Docs").first.click()
    page.get_by_text("One region that fails does not stop another").wait_for()
