"""The top-K benchmark: every kernel names the highest, and one that does not is seen."""

import numpy as np
import pytest
from benchmarks.speed import top_k
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("name", top_k.KERNELS)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32))
def test_every_kernel_names_the_highest(name: str, width: int, k: int, values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = (random.integers(0, values, (3, width)) - values // 2).astype(np.float32) / 8
    top_k.check(logits, top_k.KERNELS[name](logits, min(k, width)))


@pytest.mark.parametrize("columns", [[[0, 1]], [[2, 2]], [[1, 2]], [[2, 0]]])
def test_another_answer_is_seen(columns: list[list[int]]) -> None:
    logits = np.array([[1.0, 2.0, 3.0]], np.float32)
    top_k.check(logits, np.array([[2, 1]]))
    with pytest.raises(SystemExit, match="does not name the highest"):
        top_k.check(logits, np.array(columns))


def test_the_table_is_ours_and_theirs():
    logits = np.random.default_rng(0).random((4, 20), dtype=np.float32)
    found = top_k.contest({"reference": logits, "rising": np.sort(logits, axis=1)}, 5, 1)
    lines = top_k.table({"kernels": found, "shape": [4, 20, 5], "rounds": 1, "load": [0.0, 0.0]})
    assert lines[2].startswith(f"| {top_k.OURS} |")
    assert lines[2].split("|")[3].strip() == "1.0"
    assert len(lines) == 2 + len(top_k.KERNELS) + 2
