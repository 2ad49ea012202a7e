"""Hypothesis strategies for sparse batches."""

import numpy as np
from hypothesis import strategies as st

from propensity.features.csr import SparseBatch


def to_batch(rows: list[dict[int, float]]) -> SparseBatch:
    """Return rows of {feature id: value} as a batch."""
    flat = [sorted(row.items()) for row in rows]
    return SparseBatch(
        np.array([i for row in flat for i, _ in row], np.int32),
        np.array([v for row in flat for _, v in row], np.float32),
        np.concatenate([[0], np.cumsum([len(row) for row in flat])]).astype(np.int64),
    ).check()


def to_rows(batch: SparseBatch) -> list[dict[int, float]]:
    """Return a batch as rows of {feature id: value}."""
    spans = zip(batch.offsets[:-1], batch.offsets[1:], strict=True)
    return [dict(zip(batch.indices[a:b].tolist(), batch.values[a:b].tolist(), strict=True)) for a, b in spans]


def rows(highest: int, least: int = 0) -> st.SearchStrategy[list[dict[int, float]]]:
    """Return a strategy for rows, empty ones among them, with ids up to `highest`."""
    values = st.floats(0.0625, 8, width=32)
    return st.lists(st.dictionaries(st.integers(0, highest), values, max_size=12), min_size=least, max_size=6)
