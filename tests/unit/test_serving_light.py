"""The service needs none of the heavy libraries: it runs where they are not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.online import crowned_lake, online, pipeline_of, record_of
from tests.support.trained import shared

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, json, sys
HEAVY = {"pyspark", "torch", "airflow", "great_expectations", "pandas", "sklearn", "xgboost", "boto3", "scipy", "onnxruntime"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Absent())
from propensity.config import load_config
from propensity.serving.app import create_app
from propensity.serving.regions import Regions
from propensity.storage import Lake
regions = Regions(Lake(load_config()))
regions.refresh()
app = create_app(regions)
body = sys.stdin.buffer.read()
async def ask():
    sent = []
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "POST", "path": "/v1/coast/score", "query_string": b"", "headers": []}
    more = {"http_version": "1.1", "scheme": "http", "server": ("service", 80), "asgi": {"version": "3.0"}}
    await app({**scope, **more}, receive, send)
    return sent
start, end = asyncio.run(ask())
print(json.dumps([start["status"], json.loads(end["body"]), sorted(HEAVY & set(sys.modules))]))
"""


def test_it_scores_where_the_heavy_libraries_are_absent(tmp_path):
    lake = crowned_lake(tmp_path)
    body = {"features": record_of(pipeline_of(lake, shared()[1].version)), "top_k": 5}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PROPENSITY_CONF": str(lake.config.folder)}
    environment["PROPENSITY_HOME"] = str(lake.config.home.parent)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(body).encode(), env=environment, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    status, told, heavy = json.loads(ran.stdout)
    assert (status, heavy) == (200, [])
    assert told == online(lake).post("score", body).json(), "and has the same bits"
