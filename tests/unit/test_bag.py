"""The input layer's own gradient is torch's."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from propensity.models.bag import weighted_bag


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 2**32))
def test_sum_and_gradient_are_those_of_torch(lengths: list[int], width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    rows = torch.from_numpy(random.integers(0, 12, sum(lengths)).astype(np.int32))
    values = torch.from_numpy(random.standard_normal(sum(lengths)).astype(np.float32))
    start = torch.from_numpy(random.standard_normal((12, width)).astype(np.float32))
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    got = weighted_bag(ours, rows, offsets, values)
    dense = torch.zeros(len(lengths), 12).index_put_(
        (torch.repeat_interleave(offsets.diff()), rows.long()), values, accumulate=True
    )
    wanted = dense @ theirs
    torch.testing.assert_close(got, wanted)
    weights = torch.from_numpy(random.standard_normal(got.shape).astype(np.float32))
    (got * weights).sum().backward()  # type: ignore[no-untyped-call]
    (wanted * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad)
