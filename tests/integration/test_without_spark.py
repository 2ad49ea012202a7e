"""A small region's day runs where there is no Spark at all: every job of the scoring DAG, and labels."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.online import crowned_lake
from tests.support.scores import in_lake, published
from tests.support.trained import REGION, SCORE_DATE, shared

ROOT = Path(__file__).parents[2]
HEAVY = {"pyspark", "py4j", "torch", "great_expectations", "scipy", "sklearn", "xgboost", "fastapi", "numba"}
ABSENT = """
import contextlib, importlib, io, json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "py4j"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Absent())
def run(name, *arguments):
    sys.argv = [name, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = importlib.import_module(name).main()
    assert status == 0, said.getvalue()
    told = said.getvalue().splitlines()[-1]
    return json.loads(told[told.index("{"):])
"""
DAY = """
region, day, version, digest = sys.argv[1:]
at, window, model = (f"--score-date={day}",), ("--purpose=scoring",), (f"--version={version}", f"--digest={digest}")
here = (f"--region={region}", *at)
landing = run("land", *at, *window, "--force")["landing"]
done = [run("champion", f"--region={region}")["version"] == version]
done += [not run("gate", "--stage=events", f"--landing={landing}", *here, *window)["skipped"]]
done += [not run("features", *here, *window)["skipped"], not run("labels", *here, "--force")["skipped"]]
scored = run("score", *here, *model)
staged = f"--run-id={scored['run_id']}"
done += [not scored["skipped"], not run("drift", *here, *model, staged)["skipped"]]
done += [not run("gate", "--stage=scores", *here, *window, staged)["skipped"], not run("publish", *here, staged)["skipped"]]
print(json.dumps({"done": done, "run_id": scored["run_id"], "spark": sorted({"pyspark", "py4j"} & set(sys.modules))}))
"""


def test_a_whole_day_needs_no_spark(tmp_path, database_address):
    lake, made = crowned_lake(tmp_path), shared()[1]
    places = {"PROPENSITY_CONF": lake.config.folder, "PROPENSITY_HOME": lake.config.home.parent}
    places |= {"PROPENSITY_DATABASE_URL": database_address, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'jobs'}"}
    command = [sys.executable, "-c", ABSENT + DAY, REGION, SCORE_DATE.isoformat(), made.version, made.digest]
    environment = os.environ | {name: str(value) for name, value in places.items()}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["spark"] == []
    assert told["done"] == [True] * 8, "each job had something to do, and did it"
    rows = published(database_address, REGION, SCORE_DATE.isoformat())
    assert rows == in_lake(lake, REGION, SCORE_DATE.isoformat())
    assert {row[-1] for row in rows} == {told["run_id"]}


def test_what_needs_no_heavy_library_imports_none():
    """A job's imports are its start: these take from a quarter of a second to seconds each.  (Pandas is imported by pyarrow.)"""
    jobs = ("land", "champion", "gate", "features", "labels", "score", "publish")
    code = f"import json, sys, {', '.join(jobs)}; print(json.dumps(sorted(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'jobs'}"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert HEAVY & set(json.loads(ran.stdout)) == set()
