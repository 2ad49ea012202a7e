"""Run the real jobs of a configuration, each in a process of its own, as the scheduler would."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from propensity.config import load_config

ROOT = Path(__file__).parents[1]


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)


def job(conf: Path, name: str, *arguments: str, called: str = "") -> dict[str, Any]:
    """Run one job and return its verdict; end with its exit status when it fails.  Jobs side by side are `called` differently."""
    verdict = load_config(conf).home / "verdicts" / f"benchmark-{name}{called}.json"
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "jobs")])
    environment = {**os.environ, "PROPENSITY_CONF": str(conf), "PYTHONPATH": path}
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments, "--verdict", str(verdict)]
    say(f"job {name}")
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status:
        sys.exit(status)
    result: dict[str, Any] = json.loads(verdict.read_text())
    return result


def make_tables(conf: Path, region: str, score_date: str) -> None:
    """Bring features and labels of every training window about, with their gates."""
    date, place = ["--score-date", score_date], ["--region", region]
    training = ["--purpose", "training"]
    job(conf, "prepare")
    landing = job(conf, "land", *date, *training)["landing"]
    if landing:
        job(conf, "gate", "--stage", "events", *place, *date, *training, "--landing", landing)
    for name, stage in (("features", training), ("labels", [])):
        job(conf, name, *place, *date, *stage)
        job(conf, "gate", "--stage", name, *place, *date, *training)


def make_model(conf: Path, region: str, score_date: str) -> dict[str, Any]:
    """Train and evaluate; return the evaluation's verdict."""
    date, place = ["--score-date", score_date], ["--region", region]
    version = job(conf, "train", *place, *date, "--device", "cpu")["version"]
    return job(conf, "evaluate", *place, *date, "--version", version)
