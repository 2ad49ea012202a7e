"""Compiled loops: a row alone has the very bits it has in any batch, and sums are in float32, first to last."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import rows, to_batch
from tests.support.trained import shared

from propensity.features.csr import SparseBatch, concat
from propensity.models.calibrated import uncalibrated
from propensity.models.loading import load_pipeline
from propensity.models.network_predictor import trained
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.kernels import add_rows, dense, position, positions, rectify

SRC = Path(__file__).parents[2] / "src"


@given(st.lists(st.integers(0, 60), unique=True).map(sorted), st.integers(-5, 70))
def test_position_with_and_without_a_table(known: list[int], wanted: int) -> None:
    ids = np.array(known, np.int32)
    table = np.full((known[-1] if known else 0) + 2, -1, np.int32)
    table[ids] = np.arange(len(ids))
    expected = known.index(wanted) if wanted in known else -1
    assert position(ids, wanted) == expected
    for given_table in (table, np.zeros(0, np.int32)):
        result = np.empty(2, np.int64)
        positions(given_table, ids, np.array([wanted, -1], np.int32), result)
        assert result.tolist() == [expected, -1]


@given(st.integers(0, 9), st.integers(1, 20), st.integers(0, 2**32))
def test_sums_are_near_those_in_float64_and_zeros_change_nothing(count: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = random.standard_normal(count).astype(np.float32) * (random.random(count) < 0.7).astype(np.float32)
    weights = random.standard_normal((count, width)).astype(np.float32)
    start = random.standard_normal(width).astype(np.float32)
    total, every = start.copy(), start.copy()
    dense(inputs, weights, total)
    add_rows(every, weights, np.arange(count), inputs)
    np.testing.assert_array_equal(total, every)
    exact = start + inputs.astype(np.float64) @ weights
    bound = 1e-6 * (np.abs(start) + np.abs(inputs).astype(np.float64) @ np.abs(weights) + 1e-30)
    assert (np.abs(total - exact) <= bound).all()


def test_what_is_no_number_stays_so() -> None:
    values = np.array([-1, 0, 2, np.nan], np.float32)
    rectify(values)
    np.testing.assert_array_equal(values, np.array([0, 0, 2, np.nan], np.float32))


@given(rows(4000, least=1), st.integers(0, 11))
def test_a_row_has_the_same_bits_alone_and_among_others(others: list[dict[int, float]], pick: int) -> None:
    model = load_pipeline(shared()[1].folder).predictor
    golden = load_bundle(shared()[1].folder).golden.batch
    one = golden.rows(pick % len(golden), pick % len(golden) + 1)
    among = model.raw(concat([to_batch(others), one, golden]))
    np.testing.assert_array_equal(model.raw(one).logits[0], among.logits[len(others)])
    assert among.known[len(others)]


@given(rows(4000, least=1))
def test_what_scores_agrees_with_training_code(some: list[dict[int, float]]) -> None:
    model = uncalibrated(load_pipeline(shared()[1].folder).predictor)
    reference = trained(model)  # type: ignore[arg-type]
    ids = model.tensors()["feature_ids"][::7].copy()
    known = SparseBatch(ids, np.ones(len(ids), np.float32), np.array([0, len(ids)]))
    batch = concat([to_batch(some), known])
    got, wanted = model.raw(batch), reference.raw(batch)
    np.testing.assert_array_equal(got.source, wanted.source)
    np.testing.assert_allclose(got.logits, wanted.logits, rtol=2e-6, atol=2e-5)


def test_where_nothing_can_be_kept_it_compiles_anew_and_says_so_once(tmp_path: Path) -> None:
    shutil.copytree(SRC, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "propensity" / "pipeline" / "__pycache__").touch()  # a file where numba wants a folder
    run = "import numpy, propensity.pipeline.kernels as k; print(k.position(numpy.array([2, 5], numpy.int32), 5))"
    environment = {"PYTHONPATH": str(tmp_path / "src"), "HOME": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run([sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "1\n"
    assert told.stderr.count("UserWarning: compiled code cannot be kept here") == 1
