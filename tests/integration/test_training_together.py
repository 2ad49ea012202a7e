"""Two processes, started by the job itself as torchrun does, reach what one reaches: from memory and from storage."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.trained import REGION, SCORE_DATE, make_tables

ROOT = Path(__file__).parents[2]
NETWORK = {"hidden": 16, "max_epochs": 4, "patience": 4, "dropout": 0.0, "batch_size": 64}
ROWS = {"embedding_optimiser": "rowwise_adagrad", "embedding_learning_rate": 0.02}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with features and labels of some windows, its configuration beside it."""
    folder = tmp_path_factory.mktemp("together")
    make_tables(folder, 120)
    return folder


def train(folder: Path, processes: int, **models: Any) -> subprocess.CompletedProcess[str]:
    """Run the job on changed settings."""
    path = folder / "conf" / "models.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | models))
    environment = {
        **os.environ, "PROPENSITY_CONF": str(folder / "conf"), "PROPENSITY_HOME": str(folder / "home"),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'jobs'}",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "jobs" / "train.py"), "--region", REGION, "--score-date", SCORE_DATE.isoformat()]
    options = ["--device", "cpu", "--force", "--processes", str(processes), "--verdict", str(folder / "verdict.json")]
    return subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False, timeout=300)


def trained(folder: Path, processes: int, **models: Any) -> dict[str, Any]:
    """Return what the manifest says of the training."""
    done = train(folder, processes, **models)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads((folder / "verdict.json").read_text())
    assert done.stdout.count("done {") == processes // 2 + 1  # the first process and whoever started it, nobody else
    (manifest,) = (folder / "home").glob(f"**/{verdict['version']}/pipeline.json")
    return json.loads(manifest.read_text())["training"]


@pytest.mark.parametrize(
    ("network", "rows_in_memory"), [(NETWORK, 10**6), (NETWORK | ROWS, 1)], ids=["every weight, memory", "rows, storage"]
)
def test_two_processes_reach_what_one_reaches(home: Path, network: dict[str, Any], rows_in_memory: int) -> None:
    settings = {"propensity_network": network, "rows_in_memory": rows_in_memory, "shuffle_rows": 200}
    alone, together = (trained(home, processes, **settings) for processes in (1, 2))
    assert (alone["processes"], together["processes"]) == (1, 2)
    # Another order of the rows, and some steps more where processes have unequal shares: as good, not equal.
    assert min(epoch["loss"] for epoch in together["choosing"]) < 1.02 * min(epoch["loss"] for epoch in alone["choosing"])
    assert max(epoch["micro_ap"] for epoch in together["choosing"]) > 0.95 * max(epoch["micro_ap"] for epoch in alone["choosing"])


def test_the_line_and_the_status_of_a_refusal_come_through(home: Path) -> None:
    done = train(home, 2, kind="xgboost")
    assert done.returncode == 2
    assert "error: models.kind: xgboost trains in one process" in done.stderr
