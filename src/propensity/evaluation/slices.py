"""Parts of the held-out window that a model may do well or badly on: pairs bought before or not, large and small categories."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS
from propensity.features.csr import FloatArray, SparseBatch
from propensity.models.feature_map import IdMap
from propensity.models.metrics import Mask

REPEAT, EXPLORE = "repeat", "explore"
SIZES = ("large", "medium", "small")
"""Thirds of the categories, by how many customers acted on them in the training windows."""


@dataclass(frozen=True)
class Slice:
    """Some of the window's (customer, category) pairs."""

    name: str
    mask: Mask
    """(N, C)."""


def acted_before(features: SparseBatch, categories: IdMap) -> Mask:
    """Return for each customer and category whether the customer's feature row has any history in the category: (N, C).

    The history is as long as that of the features; what lies further back counts as never.
    """
    category = categories.positions(features.indices // MAX_CHANNELS)
    at = np.flatnonzero(category >= 0)
    customer = np.searchsorted(features.offsets, at, side="right") - 1
    result = np.zeros((len(features), len(categories)), bool)
    result[customer, category[at]] = True
    return result


def size_of(share: FloatArray) -> npt.NDArray[np.int64]:
    """Return each category's position in SIZES (C,) by its share of customers in the training windows; equal ones by position."""
    order = np.argsort(-share, kind="stable")
    result = np.empty(len(share), np.int64)
    for size, part in enumerate(np.array_split(order, len(SIZES))):
        result[part] = size
    return result


def slices_of(before: Mask, sizes: npt.NDArray[np.int64]) -> list[Slice]:
    """Return the slices of a window: repeat and explore pairs, and categories by size.

    Repeat pairs are those the customer acted on before, explore pairs the others (Li et al., A Next Basket Recommendation
    Reality Check, TOIS 2023).
    """
    shape = before.shape
    by_size = [Slice(name, np.broadcast_to(sizes == i, shape)) for i, name in enumerate(SIZES)]
    return [Slice(REPEAT, before), Slice(EXPLORE, ~before), *by_size]
