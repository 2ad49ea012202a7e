"""From sparse feature rows to what the network takes, in numpy, for training and scoring alike."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.features.csr import FloatArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder, Pairs
from propensity.pipeline.predictor import MODEL, PRIOR, PROFILE, SourceArray


@dataclass(frozen=True)
class Encoded:
    """B users, ready for the network."""

    sparse: SparseBatch
    """Dense rows of the feature map instead of feature ids."""
    pairs: Pairs
    dropped: int
    """Unknown features, dropped."""

    def __len__(self) -> int:
        """Return the number of users B."""
        return len(self.sparse)

    def known(self) -> npt.NDArray[np.bool_]:
        """Return (B,): whether the model knows any feature of the user."""
        return (np.diff(self.sparse.offsets) > 0) | (np.diff(self.pairs.offsets) > 0)

    def source(self) -> SourceArray:
        """Return (B,) what the two-path network's scores come from, as positions in SCORE_SOURCES."""
        return np.where(np.diff(self.pairs.offsets) > 0, MODEL, np.where(self.known(), PROFILE, PRIOR))

    def take(self, order: npt.NDArray[np.int64]) -> "Encoded":
        """Return the users at positions `order`, in that order."""
        return Encoded(self.sparse.take(order), self.pairs.take(order), 0)


class Encoder:
    """Feature map and history path's input together."""

    def __init__(self, features: FeatureMap, history: HistoryEncoder) -> None:
        self.features = features
        self.history = history

    def encode(self, batch: SparseBatch) -> Encoded:
        """Return the batch as the network takes it."""
        sparse, dropped = self.features.dense_rows(batch)
        return Encoded(sparse, self.history.encode(batch), dropped)


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of the columns of something (N, F)."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    def scale(self) -> npt.NDArray[np.float64]:
        """Return what to multiply deviations by (F,): 0 for a column that never varies."""
        constant = self.std < 1e-6
        return np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, self.std))


def moments(values: FloatArray) -> Moments:
    """Return the moments of the columns, added up in float64."""
    if len(values) == 0:
        return Moments(np.zeros(values.shape[1]), np.zeros(values.shape[1]))
    return Moments(values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64))
