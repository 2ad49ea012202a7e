"""The GPU benchmark: skipped in one line without a GPU; run on the CPU in its place, it sees what does not agree."""

from unittest import mock

import numpy as np
import pytest
import torch
from benchmarks import gpu, gpu_parts
from benchmarks.gpu_parts import Size

from propensity.pipeline.predictor import Raw

SMALL = Size(features=600, hidden=8, categories=20, batches=1)


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--home", str(tmp_path / "gpu")]) == 0
    assert capsys.readouterr().out == "skipped: torch finds no CUDA device on this machine, so nothing was measured\n"
    assert not (tmp_path / "gpu").exists()


def test_every_contender_has_its_line():
    result = gpu.measure("cpu", True, SMALL)
    lines = gpu.table(result)
    for name in ("cpu, float32", "cpu, bfloat16", "cpu, exact", "cpu, float16, gather and products alone"):
        assert any(line.startswith(f"| {name} |") for line in lines), name
    assert all(f["a_second"] > 0 for part in ("training", "scoring") for f in result[part].values())
    assert result["training"]["cpu, float32"]["loss"] > 0


def test_a_device_that_says_something_else_is_not_reported():
    contest = gpu_parts.Scoring(SMALL)
    other = mock.Mock(raw=lambda batch: Raw(contest.exact.raw(batch).logits + 1, np.zeros(len(batch), np.uint8)))
    assert contest.apart(contest.exact) == 0
    assert contest.apart(other) > 0.05
    with (
        mock.patch.object(gpu_parts.Scoring, "apart", return_value=float("nan")),
        pytest.raises(SystemExit, match="deviates by nan; nothing"),
    ):
        gpu.scoring(SMALL, "cpu", 1)


def test_a_device_that_learns_something_else_is_not_reported():
    told = [(1.0, 0.5), (1.0, 0.5), (1.0, 0.5), (1.0, 0.6)]
    with mock.patch.object(gpu_parts, "epoch", side_effect=told), pytest.raises(SystemExit, match=r"loss 0\.60000 on cpu"):
        gpu.training(SMALL, "cpu", 1)
