"""The network's arithmetic: folding, the history path, empty rows."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.sparse import to_batch
from torch import nn

from propensity.models.encoding import Encoder, Moments, moments
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder
from propensity.models.network import PropensityNetwork, fold, to_tensors, yes_no

LOGITS = hnp.arrays(np.float64, (3, 4), elements=st.floats(-30, 30))


def small_network() -> tuple[PropensityNetwork, Encoder]:
    torch.manual_seed(3)
    history = HistoryEncoder(np.array([1, 2, 5], np.int32), ("days_28", "recency", "interval"), (0, 1, 2), 364)
    encoder = Encoder(FeatureMap(np.arange(40, dtype=np.int32) * 5), history)
    network = PropensityNetwork(40, 6, history.width, history.activity_width, torch.tensor([-1.0, 0.5, -3.0])).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    network.standardise(moments(np.random.default_rng(0).normal(size=(50, history.width)).astype(np.float32)),
                        Moments(np.ones(1), np.full(1, 2.0)), history.none())  # fmt: skip
    return network, encoder


@given(LOGITS)
def test_folded_sigmoid_is_the_softmax_of_yes_and_no(logits: np.ndarray) -> None:
    folded = torch.from_numpy(logits)
    torch.testing.assert_close(torch.softmax(yes_no(folded), -1)[..., 0], torch.sigmoid(folded), rtol=1e-12, atol=1e-14)


@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(-3, 3)), st.integers(0, 100))
def test_folded_loss_gradient_and_scores_are_those_of_yes_no_rows(hidden: np.ndarray, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(6, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 2, (5, 3), generator=generator)
    inputs = torch.from_numpy(hidden).requires_grad_()
    pairs = (inputs @ weight.T + bias).view(5, 3, 2)
    loss = nn.functional.cross_entropy(pairs.reshape(-1, 2), 1 - targets.reshape(-1))
    (gradient,) = torch.autograd.grad(loss, inputs)
    folded_weight, folded_bias = fold(weight, bias)
    logits = inputs @ folded_weight.T + folded_bias
    folded_loss = nn.functional.binary_cross_entropy_with_logits(logits, targets.double())
    (folded_gradient,) = torch.autograd.grad(folded_loss, inputs)
    torch.testing.assert_close(folded_loss, loss)
    torch.testing.assert_close(folded_gradient, gradient)
    torch.testing.assert_close(torch.sigmoid(logits), torch.softmax(pairs, -1)[..., 0])


def test_the_history_path_adds_to_its_own_category_only() -> None:
    network, encoder = small_network()
    # Feature 33 (token 1, slot 1) is no multiple of 5, so only the history path sees it.
    batch = to_tensors(encoder.encode(to_batch([{33: 0.5, 100: 1.0}, {100: 1.0}])))
    with torch.no_grad():
        difference = network(batch) - network.sparse(batch, network.profile(batch))
    assert abs(float(difference[0, 0])) > 1e-3
    assert difference[0, 1:].tolist() == [0.0, 0.0]
    assert difference[1].tolist() == [0.0, 0.0, 0.0]


def test_the_same_history_says_other_things_of_other_customers_and_categories() -> None:
    network, encoder = small_network()
    # Token 1 and token 2 with the same history, for a customer of whom more is known and for one of whom nothing is.
    batch = to_tensors(encoder.encode(to_batch([{33: 0.5, 65: 0.5, 100: 3.0}, {33: 0.5, 65: 0.5}])))
    with torch.no_grad():
        network.history_weight.weight.zero_()
        (first, second), (third, fourth) = network.history(batch, network.profile(batch)).view(2, 2).tolist()
    assert batch.pair_values[0].tolist() == batch.pair_values[2].tolist()
    assert abs(first - second) > 1e-3
    assert abs(first - third) > 1e-3
    assert abs(second - fourth) > 1e-3


def test_a_column_that_never_varies_is_left_out() -> None:
    assert Moments(np.zeros(2), np.array([0.0, 4.0])).scale().tolist() == [0.0, 0.25]


def test_a_fresh_network_says_what_is_popular() -> None:
    network = PropensityNetwork(40, 6, 3, 0, torch.tensor([-1.0, 0.5])).eval()
    encoder = Encoder(FeatureMap(np.arange(40, dtype=np.int32)), HistoryEncoder(np.array([500, 501], np.int32), (), (), 364))
    network.history_none = torch.zeros(1, 3)
    with torch.no_grad():
        logits = network(to_tensors(encoder.encode(to_batch([{1: 1.0}, {}]))))
    torch.testing.assert_close(logits, torch.tensor([[-1.0, 0.5]] * 2))
