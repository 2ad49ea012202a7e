"""The /docs page in a real browser: wide, narrow, dark; it asks nobody but the service."""

import contextlib
import os
import threading
import time

import pytest
import uvicorn
from ops.browser import chromium
from ops.process import free_port
from tests.support.online import crowned_lake, online

# A test machine may have neither a sandbox nor a way out to the makers of the browser.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.environ.get("PROPENSITY_NO_BROWSER") == "1", reason="PROPENSITY_NO_BROWSER=1 leaves browser tests out"),
]


@contextlib.contextmanager
def listening(app):
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with listening(online(crowned_lake(tmp_path_factory.mktemp("page"))).app) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "light"), (1440, "dark")])
def test_a_person_reads_the_page_and_sends_a_request(browser, address, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/")
    score = page.locator("article#score")
    score.get_by_label("region").fill("coast")
    score.get_by_label("Request body").fill('{"features": {}, "top_k": 1}')
    score.get_by_role("button", name="Send").click()
    score.get_by_text("200,").wait_for()
    assert '"version"' in score.locator(".result").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {address.removeprefix("http://")}
    score.get_by_label("region").fill("no/such")
    score.get_by_role("button", name="Send").click()
    score.get_by_text("404,").wait_for()
    page.close()
