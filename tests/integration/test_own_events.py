"""The walk-through of docs/own_events/README.md, command by command, on a data set of another shape than the demo's."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from propensity.config import load_config
from propensity.contracts import SCORES, TOKENS
from propensity.storage import Lake

PATIENCE = 1800
"""Seconds: a busy machine takes five times as long as a calm one, and time decides no test."""
pytestmark = [pytest.mark.spark, pytest.mark.airflow, pytest.mark.timeout(2 * PATIENCE)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own_events" / "README.md"


def commands() -> list[str]:
    """Every command of the page's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def run(line: str, home: Path) -> str:
    """Run one line as it stands, but below `home`, on free ports, and with the Python that runs the tests."""
    words = shlex.split(line.replace("var/own_events", str(home / "own_events")))
    settings = {"PROPENSITY_HOME": str(home), "AIRFLOW_PORT": "0", "POSTGRES_PORT": "0"}
    while "=" in words[0]:
        key, _, value = words.pop(0).partition("=")
        settings[key] = value
    if words[:2] == ["make", "demo"]:  # what the Makefile runs, without making the environment that the tests run in
        words = [sys.executable, "-m", "ops", "demo", "--score-date", settings["SCORE_DATE"]]
    elif words[0] == ".venv/bin/python":
        words[0] = sys.executable
    environment = os.environ | settings
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The output of every command, and the home they worked in."""
    home = tmp_path_factory.mktemp("walk")
    return home, [run(line, home) for line in commands()]


def test_the_page_has_its_two_commands(walked):
    _, said = walked
    assert len(said) == 2
    assert "events in 7 files" in said[0]


def test_three_markets_with_text_ids_are_scored(walked):
    home, said = walked
    lake = Lake(load_config(ROOT / "docs" / "own_events" / "conf", home))
    names = {row["token"]: row["value"] for row in lake.read_rows(TOKENS).to_pylist() if row["field"] == "topic"}
    for region in ("alps", "coast", "plains"):
        rows = lake.read_rows(SCORES, region=region, score_date="2025-07-20").to_pylist()
        assert len(rows) == 120
        assert {row["user_id"][: len(region) + 1] for row in rows} == {f"{region}-"}
        assert len({row["run_id"] for row in rows}) == 1
        topics = {names[c] for row in rows for c in row["categories"]}
        foreign = {t for t in topics if "special" in t and not t.startswith(region)}
        assert not foreign, "a market was scored with another market's categories"
        assert region in said[1]


def test_every_score_row_keeps_its_ten_best_in_order(walked):
    home, _ = walked
    lake = Lake(load_config(ROOT / "docs" / "own_events" / "conf", home))
    for row in lake.read_rows(SCORES).to_pylist():
        assert len(row["categories"]) == len(set(row["categories"])) == 10
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert all(0 <= score <= 1 for score in row["scores"])
