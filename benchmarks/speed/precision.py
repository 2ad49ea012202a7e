"""What scoring in fewer bits gains and how far it deviates, one thread: at the reference shape, and the trained undivided model.

The trained model's rows are those of the undivided benchmark's held-out window (``make evaluate`` makes them).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks.running import ROOT
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.config import load_config
from propensity.contracts import FEATURES
from propensity.engine.precision import EVERY, Measured, Sample
from propensity.engine.precision import measure as measured
from propensity.engine.worker_model import Champion
from propensity.pipeline.bundle import load_bundle
from propensity.storage import DataFile, Lake

UNDIVIDED = ROOT / "benchmarks" / "undivided"
USERS = {False: 16_384, True: 4_096}
"""In a bucket, by whether less is wanted."""


def at_reference(home: Path, history: bool, users: int) -> list[Measured]:
    """Return the figures of random weights at the reference shape."""
    lake, champion = reference_lake(home, Shape(users, buckets=1, history=history), "auto")
    [file] = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    return _measured(lake, champion, file)


def trained(home: Path) -> list[Measured]:
    """Return the figures of the newest undivided model on customers it never saw; nothing where it was not made."""
    conf = home / "undivided"
    conf.mkdir(parents=True, exist_ok=True)
    for file in UNDIVIDED.glob("*.yaml"):
        (conf / file.name).write_text(file.read_text())
    models = yaml.safe_load((UNDIVIDED / "models.yaml").read_text())
    (conf / "models.yaml").write_text(yaml.safe_dump({**models, "top_k": 50, "scoring": {"precision": "auto"}}))
    lake = Lake(load_config(conf))
    folders = sorted((lake.config.home / "models" / "all").glob("*"))
    if not folders:
        return []
    manifest = load_bundle(folders[-1])
    files = lake.files(FEATURES, region="all", score_date=manifest.manifest["held_out"])
    largest = max(files, key=lambda file: file.rows)
    return _measured(lake, Champion(folders[-1].name, manifest.digest, folders[-1]), largest)


def _measured(lake: Lake, champion: Champion, file: DataFile) -> list[Measured]:
    return measured(file, Sample(lake, champion, EVERY, lake.config.models.scoring.sample))


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the figures of every model, and the load."""
    before = load()
    models = {
        "reference shape, plain network": at_reference(home, history=False, users=USERS[fast]),
        "reference shape, both paths": at_reference(home, history=True, users=USERS[fast]),
        "undivided, trained": trained(home),
    }
    found = {name: [asdict(one) for one in figures] for name, figures in models.items() if figures}
    return {"models": found, "load": [before, load()]}


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    lines = []
    for name, figures in result["models"].items():
        for one in figures:
            gain = figures[0]["seconds"] / one["seconds"]
            apart = f"{one['largest']:.1e}", f"{one['p99']:.1e}", f"{one['same_top']:.4f}"
            lines.append([name, one["precision"], f"{gain:.2f}", *apart])
    title = ["model", "precision", "× float32", "largest deviation", "p99", "same 50 categories"]
    return [*rows_of(title, lines), "", f"Load average {result['load'][0]:.1f} to {result['load'][1]:.1f}."]
