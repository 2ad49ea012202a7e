"""Row-wise Adagrad and its lazy average: the same as the plain way, whatever the batch, the threads and the operations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from tests.support.sparse import to_batch
from tests.unit.test_network import small_network
from torch import Tensor, nn

from propensity.models.network import to_tensors
from propensity.models.row_optimiser import EPSILON, Columns, RowwiseAdagrad, Transposer
from propensity.models.row_steps import SparseCrossEntropy
from propensity.models.steps import Average

FEATURES, WIDTH, RATE, AVERAGING = 12, 21, 0.1, 0.9
ROWS = st.lists(st.sets(st.integers(0, FEATURES - 1)), min_size=1, max_size=6)


def entries(users: list[set[int]], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, values, offsets of users with these features."""
    rows = np.array([row for user in users for row in sorted(user)], np.int32)
    values = np.random.default_rng(seed).normal(size=len(rows)).astype(np.float32)
    return rows, values, np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int32)


def some_steps(count: int = 9) -> list[tuple[Columns, np.ndarray, Tensor]]:
    """Return batches as columns and as matrices (B, D), with gradients of the bags (B, H)."""
    random, transposer, result = np.random.default_rng(5), Transposer(FEATURES), []
    for step in range(count):
        users = [set(random.choice(FEATURES, random.integers(0, 4), replace=False).tolist()) for _ in range(4)]
        rows, values, offsets = entries(users, step)
        dense = csr_matrix((values, rows, offsets), shape=(4, FEATURES)).toarray()
        gradients = torch.from_numpy(random.normal(size=(4, WIDTH)).astype(np.float32))
        result.append((transposer.columns(rows, values, offsets), dense, gradients))
    return result


def fresh() -> nn.Module:
    torch.manual_seed(1)
    return nn.Embedding(FEATURES, WIDTH)


@given(ROWS, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_columns_are_the_transposed_batch(users: list[set[int]], seed: int) -> None:
    rows, values, offsets = entries(users, seed)
    transposer = Transposer(FEATURES)
    for _ in range(2):  # the second time must not see the first
        got = Columns(*(part.numpy() for part in vars(transposer.columns(rows, values, offsets)).values()))
        matrix = csr_matrix((got.scales, got.users, got.starts), shape=(len(got.unique), len(users))).toarray()
        wanted = csr_matrix((values, rows, offsets), shape=(len(users), FEATURES)).toarray().T
        assert len(set(got.unique.tolist())) == len(got.unique)
        np.testing.assert_array_equal(matrix, wanted[got.unique])
        assert np.count_nonzero(wanted) == len(values)


@pytest.mark.parametrize("averaging", [0.0, AVERAGING])
@pytest.mark.parametrize("way", ["_compiled", "_with_torch"])
def test_a_step_is_the_plain_one_and_the_average_the_eager_one(way: str, averaging: float) -> None:
    plain, ours = fresh(), fresh()
    eager, lazy = Average(plain, averaging), fresh()
    optimiser = RowwiseAdagrad(ours.weight, lazy.weight if averaging else None, RATE, averaging, threads=2)
    optimiser._compiled = getattr(optimiser, way)  # type: ignore[method-assign]
    squares = torch.zeros(FEATURES)
    for columns, dense, gradients in some_steps():
        gradient = torch.from_numpy(dense).T @ gradients
        squares += gradient.square().mean(1)
        with torch.no_grad():
            plain.weight -= RATE * gradient / (squares.sqrt()[:, None] + EPSILON)
        eager.update(plain)
        optimiser.step(columns, gradients)
    optimiser.catch_up()
    torch.testing.assert_close(ours.weight, plain.weight, rtol=1e-5, atol=1e-6)
    if averaging:
        torch.testing.assert_close(lazy.weight, eager.network.weight, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(lazy.weight, ours.weight, atol=1e-3)


def test_threads_change_no_bit() -> None:
    found = []
    for threads in (1, 2, 5):
        ours, average = fresh(), fresh()
        optimiser = RowwiseAdagrad(ours.weight, average.weight, RATE, AVERAGING, threads)
        for columns, _, gradients in some_steps():
            optimiser.step(columns, gradients)
        optimiser.catch_up()
        found.append((ours.weight, average.weight))
    for weight, average in found[1:]:
        assert torch.equal(weight, found[0][0])
        assert torch.equal(average, found[0][1])


def test_rows_without_a_feature_in_the_batch_stay() -> None:
    ours = fresh()
    before = ours.weight.detach().clone()
    columns, dense, gradients = some_steps(1)[0]
    RowwiseAdagrad(ours.weight, None, RATE, 0.0, 1).step(columns, gradients)
    touched = dense.any(0)
    assert torch.equal(ours.weight[~touched], before[~touched])
    assert (ours.weight[touched] != before[touched]).any(1).all()


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_loss_and_gradient_are_those_of_dense_targets(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (8 * torch.randn(5, 7, generator=random)).requires_grad_()
    targets = (torch.rand(5, 7, generator=random) < 0.3).float()
    wanted = nn.functional.binary_cross_entropy_with_logits(logits, targets)
    got = SparseCrossEntropy.apply(logits, targets.view(-1).nonzero().view(-1))
    torch.testing.assert_close(got, wanted)
    (expected,), (found,) = (torch.autograd.grad(3 * loss, logits) for loss in (wanted, got))
    torch.testing.assert_close(found, expected)


def test_the_network_takes_its_own_bag() -> None:
    network, encoder = small_network()
    batch = to_tensors(encoder.encode(to_batch([{33: 0.5, 65: 0.5, 100: 3.0}, {}, {35: 1.0}])))
    with torch.no_grad():
        assert torch.equal(network(batch, network.bag(batch)), network(batch))
