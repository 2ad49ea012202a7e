"""The jobs on a real Spark: the same files as without it, nothing to do the second time, bad input refused once.

One Spark start serves the session's in-process tests; the doors are tried as processes of their own.
"""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.drift import champion_of
from tests.support.online import NEWEST, copied_lake
from tests.support.scores import in_lake, published, score_lake, stage
from tests.support.shop import FIRST, land_here, make_shop
from tests.support.tasks import ten_times_but_three
from tests.support.trained import REGION

from propensity.config.scoring import Scoring
from propensity.contracts import ACTIVITY, FEATURES, LABELS, TOKENS
from propensity.delivery.publish import publish
from propensity.engine import worker_model
from propensity.engine.buckets import map_cheaply
from propensity.engine.features import make_features, make_labels
from propensity.engine.landing import commit, land
from propensity.engine.scoring import SMALL as SMALL_SCORING
from propensity.engine.scoring import score_region
from propensity.errors import DataError, PropensityError
from propensity.events.landing import commit_landing, days_needed, plan_landing
from propensity.events.synthetic import generate, write
from propensity.storage import Lake

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
SCORE_DATE = FIRST + dt.timedelta(days=55)
SMALL = {"features": {"history_days": 30, "horizon_days": 7}, "models": {"train_windows": 2}}
SHORT_FIELDS = [
    {"event_type": "order", "field": "topic", "count": [10, 30], "recency": True, "interval": True},
    {"event_type": "order", "field": "brand", "count": [30], "value": [30]},
]


def shop(folder, **changes):
    return make_shop(
        folder, customers=5, features={**SMALL["features"], "fields": SHORT_FIELDS}, models=SMALL["models"], **changes
    )


def land_on_spark(lake, days):
    landing = plan_landing(lake, days)
    rows = land(lake, landing, small=0)
    for region in lake.config.region_names:
        commit_landing(lake, landing.id, region)
    return rows


def test_spark_lands_the_very_files_that_one_process_does(tmp_path):
    spark, plain = shop(tmp_path / "a"), shop(tmp_path / "b")
    days = days_needed(spark.config, SCORE_DATE, "training")
    rows = land_on_spark(spark, days)
    land_here(plain, days)
    assert spark.files(ACTIVITY) == plain.files(ACTIVITY)
    assert rows == sum(f.rows for f in spark.files(ACTIVITY))
    assert plan_landing(spark, days) is None


def bytes_of(lake, *contracts):
    """Return what the committed files of these tables hold, by their paths."""
    return {f.path: Path(lake.path(c.name, f.path)).read_bytes() for c in contracts for f in lake.files(c)}


def test_features_and_labels_of_every_date_are_those_of_the_date_alone(tmp_path):
    lake, alone = shop(tmp_path / "a"), shop(tmp_path / "b")
    days = days_needed(lake.config, SCORE_DATE, "training")
    for each in (lake, alone):
        land_here(each, days)
    dates = [SCORE_DATE - dt.timedelta(days=7 * k) for k in (1, 2, 3)]
    assert make_features(lake, "alps", dates, force=False, small=0)
    assert make_labels(lake, "alps", dates, force=False, small=0)
    for date in dates:
        make_features(alone, "alps", [date], force=False)  # without Spark
        make_labels(alone, "alps", [date], force=False)
    for contract in (FEATURES, LABELS):
        assert lake.files(contract) == alone.files(contract)
    assert make_features(lake, "alps", dates, force=False, small=0) is None
    assert make_labels(lake, "alps", dates, force=False, small=0) is None
    assert bytes_of(lake, FEATURES, LABELS) == bytes_of(alone, FEATURES, LABELS)


def test_forced_features_have_the_same_bytes(tmp_path):
    lake = shop(tmp_path)
    land_here(lake, days_needed(lake.config, SCORE_DATE, "scoring"))
    make_features(lake, "coast", [SCORE_DATE], force=False, small=0)
    before = {f.path: Path(lake.path("features", f.path)).read_bytes() for f in lake.files(FEATURES)}
    make_features(lake, "coast", [SCORE_DATE], force=True, small=0)
    assert {f.path: Path(lake.path("features", f.path)).read_bytes() for f in lake.files(FEATURES)} == before


def test_a_day_that_lands_again_rebuilds_the_dates_that_see_it_and_no_other(tmp_path):
    lake = shop(tmp_path)
    land_here(lake, days_needed(lake.config, SCORE_DATE, "training"))
    early, late = FIRST + dt.timedelta(days=34), SCORE_DATE
    make_features(lake, "alps", [early, late], force=False, small=0)
    before = {f.partition["score_date"]: f.path for f in lake.files(FEATURES)}
    changed = lake.read_rows(ACTIVITY, region="alps").num_rows
    events = generate(5, FIRST, 60, seed=0)
    write(lake.config.home / "raw", events.slice(0, len(events) * 3 // 4))  # the last days lose all their events
    land_here(lake, days_needed(lake.config, SCORE_DATE, "training"))
    assert lake.read_rows(ACTIVITY, region="alps").num_rows != changed
    make_features(lake, "alps", [early, late], force=False, small=0)
    after = {f.partition["score_date"]: f.path for f in lake.files(FEATURES)}
    assert after[early.isoformat()] == before[early.isoformat()]
    assert after[late.isoformat()] != before[late.isoformat()]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_spark_scores_the_very_files_that_one_process_does(tmp_path, precision):
    staged = {}
    for name, small in (("spark", 0), ("here", SMALL_SCORING)):
        lake = copied_lake(tmp_path / name)
        bounds = Scoring(precision=precision, max_deviation=1, min_same_top=0.01)
        lake = Lake(lake.config.model_copy(update={"models": lake.config.models.model_copy(update={"scoring": bounds})}))
        worker_model._models.clear()
        staged[name], skipped = score_region(lake, REGION, NEWEST, champion_of(lake), force=False, small=small)
        assert not skipped
        assert bool(worker_model._models) == (name == "here")
        staged[name, "bytes"] = {f.path: Path(lake.path("scores", f.path)).read_bytes() for f in staged[name].files}
    assert staged["spark"] == staged["here"]
    assert staged["spark", "bytes"] == staged["here", "bytes"]


def test_spark_copies_the_rows_that_one_process_does(tmp_path, database_address):
    lake = score_lake(tmp_path)
    runs = {"spark": 0, "here": 2**20}
    found = {}
    for name, small in runs.items():
        staged = stage(lake, "run1", users=501, files=3)
        size = sum(file.size for file in staged.files)

        def run_tasks(copy, files, shared, size=size, small=small):
            return map_cheaply(lake.config, copy, files, shared, "files copied", size, small)

        assert not publish(lake, staged, database_address, run_tasks, force=True).skipped
        found[name] = published(database_address)
    assert found["spark"] == found["here"] == in_lake(lake)
    assert len(found["here"]) == 501


@pytest.mark.parametrize("small", [0, 1])
def test_a_refusal_in_a_task_comes_back_as_itself(tmp_path, small):
    config = shop(tmp_path).config
    assert map_cheaply(config, ten_times_but_three, [1, 2, 4], 10, "test", 1, small) == [10, 20, 40]
    with pytest.raises(PropensityError) as caught:
        map_cheaply(config, ten_times_but_three, [1, 2, 3, 4], 10, "test", 1, small)
    assert type(caught.value) is DataError
    assert str(caught.value) == "item 3: no good (2 in all) for example x. To do: mend it"


def job(lake, name, *arguments):
    home = lake.config.home.parent
    environment = os.environ | {
        "PROPENSITY_CONF": str(lake.config.folder), "PROPENSITY_HOME": str(home), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'jobs'}",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("features", ["--region", "atlantis", "--score-date", "2025-02-01", "--purpose", "scoring"], "unknown region"),
        ("features", ["--region", "alps", "--score-date", "2025-02-30", "--purpose", "scoring"], "'2025-02-30' is not a date"),
        ("features", ["--region", "alps", "--score-date", "2025-02-01", "--purpose", "scoring"], "have not landed (30 in all)"),
        ("land", ["--score-date", "2024-12-01", "--purpose", "scoring"], "no events before 2024-12-01"),
        (
            "score",
            ["--region", "alps", "--score-date", "2025-02-01", "--version", "v", "--digest", "d"],
            "no features for 2025-02-01",
        ),
    ],
)
def test_a_times_but_threed_job_is_one_line_and_exit_2(tmp_path, name, arguments, says):
    lake = shop(tmp_path)
    done = job(lake, name, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (lake.config.home / "lake").exists()


def test_no_java_is_one_line(tmp_path):
    lake = shop(tmp_path)
    land_here(lake, days_needed(lake.config, SCORE_DATE, "scoring"))
    code = "import os, runpy, sys; os.environ['PATH'] = '/nowhere'; os.environ.pop('JAVA_HOME', None); sys.argv = sys.argv[1:]; "
    code += "import propensity.engine.features as engine; engine.make_features.__defaults__ = (0,); "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = os.environ | {"PROPENSITY_CONF": str(lake.config.folder), "PROPENSITY_HOME": str(lake.config.home.parent)}
    day = ["--score-date", SCORE_DATE.isoformat(), "--purpose", "scoring"]
    command = [sys.executable, "-c", code, str(ROOT / "jobs" / "features.py"), "--region", "alps", *day]
    path = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'jobs'}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment | path)
    assert done.returncode == 3
    assert "no Java found" in done.stderr
    assert "apt-get install" in done.stderr


def by_name(lake, region):
    """Activity with the tokens' texts: their ids depend on which landing met them first."""
    names = {row["token"]: (row["field"], row["value"]) for row in lake.read_rows(TOKENS).to_pylist()}
    rows = lake.read_rows(ACTIVITY, region=region).to_pylist()
    return sorted((r["user_id"], *names[r["token"]], r["event_date"], r["count"], r["value"]) for r in rows)


def test_a_landing_whose_month_another_one_changed_lands_what_is_still_due(tmp_path):
    lake, whole = shop(tmp_path / "a"), shop(tmp_path / "b")
    days = [FIRST + dt.timedelta(days=n) for n in range(50)]
    early, late = plan_landing(lake, days[:40]), plan_landing(lake, days)
    land(lake, early)
    land(lake, late)  # both are made from the same, empty, state
    assert commit(lake, early.id, "alps")
    assert commit(lake, late.id, "alps")
    assert not commit(lake, early.id, "alps"), "an old landing must not undo a newer one"
    land_here(whole, days)
    assert by_name(lake, "alps") == by_name(whole, "alps")
    assert plan_landing(lake, days, regions=["alps"]) is None
    assert plan_landing(lake, days).regions == ("alps", "coast", "plains")
