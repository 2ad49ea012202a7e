"""The doors of training, evaluation, promotion and the champion."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from jobs import champion, evaluate, promote, train
from tests.support.online import copied_lake
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.errors import BundleError, MachineError, NotPromotedError
from propensity.models import registry

ROOT = Path(__file__).parents[2]


def arguments(**more: object) -> Namespace:
    return Namespace(region=REGION, score_date=SCORE_DATE, force=False, verdict=None, **more)


def test_training_again_finds_nothing_to_do() -> None:
    lake, made = shared()
    verdict = train.body(lake, arguments(device="auto"))
    assert verdict == {
        "skipped": True,
        "version": made.version,
        "digest": made.digest,
        "epochs": made.epochs,
        "features": made.features,
        "categories": made.categories,
    }


def test_cuda_is_an_error_where_there_is_none_even_when_nothing_is_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MachineError, match="CUDA"):
        train.body(shared()[0], arguments(device="cuda", processes=1))


def test_nothing_to_do_needs_no_torch(tmp_path: Path) -> None:
    lake, made = shared()
    script = (
        "import sys, json, datetime, train; from propensity.config import load_config; from propensity.storage import Lake;"
        "from argparse import Namespace;"
        f"lake = Lake(load_config({str(lake.config.folder)!r}, {str(lake.config.home.parent)!r}));"
        f"a = Namespace(region={REGION!r}, score_date=datetime.date.fromisoformat('{SCORE_DATE}'), force=False, device='auto');"
        "v = train.body(lake, a); print(json.dumps([v, sorted({'torch', 'sklearn', 'pyspark'} & set(sys.modules))]))"
    )
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "jobs"))
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    verdict, heavy = json.loads(ran.stdout)
    assert verdict["version"] == made.version
    assert heavy == []


def test_a_damaged_version_is_not_taken_for_done(tmp_path: Path) -> None:
    lake, made = shared()
    weights = made.folder / "weights.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-1])
        with pytest.raises(BundleError):
            train.body(lake, arguments(device="cpu", processes=1))
    finally:
        weights.write_bytes(kept)


def test_evaluating_again_finds_nothing_to_do_and_force_computes_again() -> None:
    lake, made = shared()
    first = evaluate.body(lake, arguments(version=made.version))
    again = evaluate.body(lake, arguments(version=made.version))
    assert again == {**first, "skipped": True}
    forced = arguments(version=made.version)
    forced.force = True
    assert evaluate.body(lake, forced) == {**first, "skipped": False}


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(BundleError, match="no such version"):
        evaluate.body(shared()[0], arguments(version="20250630-0000000000"))


def test_a_refusal_is_an_answer_and_a_region_without_champion_says_so(tmp_path: Path) -> None:
    lake, made = copied_lake(tmp_path), shared()[1]
    evaluate.body(lake, arguments(version=made.version))
    verdict = promote.body(lake, arguments(version=made.version))
    assert (verdict["promoted"], verdict["digest"]) == (False, made.digest)
    assert "does not beat" in str(verdict["reason"])
    with pytest.raises(NotPromotedError, match="no model has been promoted"):
        champion.body(lake, Namespace(region="alps"))
    registry.crown(lake, "alps", None, "v", "d", SCORE_DATE, "by hand")
    assert champion.body(lake, Namespace(region="alps"))["version"] == "v"
