"""Training and scoring on a device: nothing is left behind on the CPU.  Tensors without data stand for a GPU's."""

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from tests.support.sparse import to_batch
from tests.support.trained import REGION, shared
from tests.unit.test_network import small_network
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from propensity.config import Models, PropensityNetwork
from propensity.config.scoring import Scoring
from propensity.contracts import FEATURES
from propensity.engine import worker_model
from propensity.engine.precision import Sample, measure
from propensity.engine.worker_model import Champion, model_of
from propensity.errors import MachineError
from propensity.models import reduced
from propensity.models.data import Examples
from propensity.models.field_embedding_network import FieldEmbeddingNetwork, by_field, to_bags
from propensity.models.loading import load_pipeline
from propensity.models.propensity_training import steps_of
from propensity.models.reduced import ReducedPredictor
from propensity.models.steps import WholeSteps
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake

META = torch.device("meta")
PLAIN = torch.optim.Adam
MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.lift_fresh.default)
"""How a tensor comes to a device, and from numpy."""


class OneDevice(TorchDispatchMode):
    """Refuses every operation that takes a tensor off the device, but for a single number."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at what an operation takes, then have it done."""
        for tensor in tree_leaves((args, kwargs or {})):
            if isinstance(tensor, torch.Tensor) and tensor.device != META and tensor.dim() and function not in MOVES:
                raise AssertionError(f"{function} takes a tensor of shape {tuple(tensor.shape)} on {tensor.device}")
        return function(*args, **(kwargs or {}))


def adam(parameters: Any, rate: float = 1e-3, *, fused: bool) -> torch.optim.Optimizer:
    """Return the optimiser without its fused step, which torch has for devices that hold data."""
    return PLAIN(parameters, rate, foreach=fused)


def examples() -> tuple[Examples, torch.nn.Module]:
    """Return some customers, and a network that learns from them."""
    network, encoder = small_network()
    encoded = encoder.encode(to_batch([{33: 0.5, 100: 1.0}, {100: 1.0, 5: 2.0}, {}, {1: 3.0, 195: 1.0}]))
    labels, offsets = np.array([0, 2, 1], np.int64), np.array([0, 1, 3, 3, 3], np.int64)
    return Examples(encoded, labels, offsets, 3), network.train()


def settings(optimiser: str, averaging: float) -> Models:
    return Models(propensity_network=PropensityNetwork(embedding_optimiser=optimiser, averaging=averaging))


@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize("optimiser", ["adam", "rowwise_adagrad"])
def test_a_training_step_stays_on_the_device(optimiser: str, averaging: float) -> None:
    some, network = examples()
    with mock.patch.object(torch.optim, "Adam", adam):
        steps = steps_of(network.to(META), settings(optimiser, averaging))
        prepared = steps.prepare(some)
        with OneDevice():
            loss = steps.step(prepared, 1.0)
            steps.step(prepared, 1.0)
            averaged = steps.averaged()
    assert loss.device == META
    assert {p.device for p in averaged.parameters()} == {META}


def test_a_step_of_the_field_embedding_network_stays_on_the_device() -> None:
    field = np.array([0, 1, 0, 1], np.int32)
    network = FieldEmbeddingNetwork(4, 2, 3, (5,), torch.zeros(2), 0.1).to(META)
    bags = to_bags(by_field(to_batch([{0: 1.0, 1: 2.0}, {3: 1.0}]), field), field, 2)
    some = mock.Mock(spec=Examples, targets=lambda: np.zeros((2, 2), np.float32))
    steps = WholeSteps(network, torch.optim.AdamW(network.parameters(), foreach=True), 0.9, lambda _: bags)
    prepared = steps.prepare(some)
    with OneDevice():
        assert steps.step(prepared, 1.0).device == META


def test_what_is_left_on_the_cpu_is_seen() -> None:
    some, network = examples()
    with mock.patch.object(torch.optim, "Adam", adam):
        steps = steps_of(network.to(META), settings("rowwise_adagrad", 0.0))
    left = replace(steps.prepare(some), acted=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(AssertionError, match="on cpu"), OneDevice():
        steps.step(left, 1.0)


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_scoring_multiplies_on_the_device(precision: str) -> None:
    exact, golden = load_pipeline(shared()[1].folder).predictor, load_bundle(shared()[1].folder).golden.batch
    reduced = ReducedPredictor(exact, precision, "meta")
    found = reduced.look_up(golden)
    given = found.rows[: found.offsets[-1]], found.values[: found.offsets[-1]], found.offsets, found.standardised
    moved = [torch.from_numpy(array).to(META) for array in given]
    with OneDevice():
        hidden, logits = reduced.multiply(*moved)
    assert (hidden.device, logits.device, logits.dtype) == (META, META, torch.float32)
    assert logits.shape == (len(golden), len(exact.categories))


def test_float32_by_torch_is_the_exact_predictor_but_for_rounding() -> None:
    exact, golden = load_pipeline(shared()[1].folder).predictor, load_bundle(shared()[1].folder).golden.batch
    wanted, got = exact.raw(golden), ReducedPredictor(exact, "float32").raw(golden)
    np.testing.assert_allclose(got.logits, wanted.logits, rtol=2e-5, atol=2e-5)
    np.testing.assert_array_equal(got.source, wanted.source)


def on_cuda() -> tuple[Lake, Champion]:
    """Return the shared lake with scoring set to a GPU, and its champion."""
    lake, trained = shared()
    models = lake.config.models.model_copy(update={"scoring": Scoring(device="cuda")})
    champion = Champion(trained.version, trained.digest, trained.folder)
    return Lake(lake.config.model_copy(update={"models": models})), champion


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lake, champion = on_cuda()
    monkeypatch.setattr(worker_model, "_models", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match=r"scoring\.device: CUDA was asked for"):
        model_of(champion, lake.config, "float32")
    assert not isinstance(model_of(champion, lake.config, "float32", "cpu"), ReducedPredictor)
    assert not isinstance(model_of(champion, shared()[0].config, "float32"), ReducedPredictor)


def test_float32_on_another_device_is_measured_against_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lake, champion = on_cuda()
    monkeypatch.setattr(worker_model, "_models", {})
    monkeypatch.setattr(reduced, "_device", lambda _: torch.device("cpu"))  # in the GPU's place
    assert isinstance(model_of(champion, lake.config, "float32"), ReducedPredictor)
    sample, bounds = Sample(lake, champion, ("float32",), 2048), lake.config.models.scoring
    [found] = measure(lake.files(FEATURES, region=REGION)[0], sample)
    assert 0 < found.largest < 1e-5
    assert found.keeps(bounds)
    monkeypatch.setattr(reduced.ReducedPredictor, "products", _doubled)
    [found] = measure(lake.files(FEATURES, region=REGION)[0], sample)
    assert found.largest > 0.02
    assert not found.keeps(bounds)


PRODUCTS = ReducedPredictor.products


def _doubled(predictor: ReducedPredictor, found: Any) -> tuple[torch.Tensor, torch.Tensor]:
    hidden, logits = PRODUCTS(predictor, found)
    return hidden, logits * 2
