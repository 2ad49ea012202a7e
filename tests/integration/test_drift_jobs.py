"""Drift through the real jobs: kept each day, and where its gate is set, a run ends there and nothing is published."""

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path

import pytest
import yaml
from tests.support.drift import TOMORROW, as_it_was, champion_of, put_tomorrow, words_renamed
from tests.support.online import copied_lake
from tests.support.postgres import database
from tests.support.scores import in_lake, published
from tests.support.trained import REGION

from propensity.config import load_config
from propensity.contracts import DRIFT, SCORES
from propensity.storage import Lake

RULE = {
    "expect": "ExpectColumnValuesToBeBetween",
    "says": "the words of a field are others than in training; mend the export",
    "args": {"column": "field_unknown_share", "max_value": 0.9},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory, postgres_server):
    """The small trained lake with a drift gate that is set, and a database."""
    folder = tmp_path_factory.mktemp("drift_jobs")
    copied = copied_lake(folder)
    conf = folder / "conf"
    conf.mkdir()
    for path in copied.config.folder.glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        (conf / path.name).write_text(yaml.safe_dump(content | {"drift": [RULE]} if path.stem == "quality" else content))
    with database(postgres_server, "drift_jobs") as address:
        yield Lake(load_config(conf, folder / "home")), address


def run(shop, name, *more):
    """Run a job's main in this process; return its status, its verdict and its line of error."""
    lake, address = shop
    verdict, said = lake.config.home / "verdict.json", io.StringIO()
    verdict.unlink(missing_ok=True)
    places = {
        "PROPENSITY_CONF": lake.config.folder,
        "PROPENSITY_HOME": lake.config.home.parent,
        "PROPENSITY_DATABASE_URL": address,
    }
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        for key, value in places.items():
            patch.setenv(key, str(value))
        where = ["--region", REGION, "--score-date", str(TOMORROW), "--verdict", str(verdict)]
        patch.setattr(sys, "argv", [name, *where, *more])
        status = importlib.import_module(name).main()
    return status, json.loads(verdict.read_text()) if verdict.is_file() else None, said.getvalue()


def score(shop):
    champion = champion_of(shop[0])
    model = ["--version", champion.version, "--digest", champion.digest]
    status, verdict, said = run(shop, "score", *model)
    assert status == 0, said
    return [*model, "--run-id", verdict["run_id"]]


def test_a_day_that_drifted_is_kept_and_stopped_before_it_is_published(shop):
    lake, address = shop
    put_tomorrow(lake, as_it_was)
    calm = score(shop)
    status, verdict, said = run(shop, "drift", *calm)
    assert (status, verdict["compared"], verdict["checks"]) == (0, True, 1), said
    assert run(shop, "drift", *calm)[1]["skipped"]
    assert run(shop, "publish", *calm[4:])[0] == 0
    assert Path(verdict["docs"]).is_file()
    before = published(address, REGION, str(TOMORROW)), in_lake(lake, REGION, str(TOMORROW)), lake.version(SCORES)
    assert before[0]

    put_tomorrow(lake, words_renamed)
    drifted = score(shop)
    for job, arguments in (("drift", drifted), ("publish", drifted[4:])):  # the latter as somebody may try it by hand
        status, verdict, line = run(shop, job, *arguments)
        assert line.count("\n") == 1
        assert (status, verdict) == (2, None)
        assert f"error: gate drift, {REGION}, {TOMORROW}" in line
        assert "the words of a field are others than in training; mend the export" in line
        assert "for example order.brand, field_unknown_share 1.0" in line
    assert (published(address, REGION, str(TOMORROW)), in_lake(lake, REGION, str(TOMORROW)), lake.version(SCORES)) == before
    rows = lake.read_rows(DRIFT, region=REGION, score_date=str(TOMORROW)).to_pylist()
    found = {(r["measure"], r["group"]): r for r in rows}
    assert {r["run_id"] for r in rows} == {drifted[-1]}
    assert found["field_unknown_share", "order.brand"]["value"] == 1
    assert found["field_unknown_share", "order.brand"]["at_most"] == 0.9
