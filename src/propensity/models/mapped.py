"""What models over the rows of a feature map have in common: who has no known feature gets the prior."""

from abc import abstractmethod

import numpy as np

from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.pipeline.predictor import Raw, SparsePredictor, source_of


class MappedPredictor(SparsePredictor):
    """A model that takes rows of a feature map and knows nothing of feature ids."""

    def __init__(self, features: FeatureMap, categories: IntArray, prior: FloatArray) -> None:
        """Take the categories' ids (C,), ascending, and the logits of whoever has no known feature (C,)."""
        self.features = features
        self.prior = prior
        self._categories = categories

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self._categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the prior."""
        rows = self.features.dense_rows(many)[0]
        known = np.diff(rows.offsets) > 0
        logits = np.tile(self.prior, (len(many), 1))
        if known.any():
            logits[known] = self.logits(rows)[known]
        return Raw(logits, source_of(known))

    @abstractmethod
    def logits(self, rows: SparseBatch) -> FloatArray:
        """Return the logits (B, C) of rows of the feature map; what is said of empty ones is not used."""
