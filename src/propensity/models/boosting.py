"""XGBoost over the same sparse rows: a booster of its own file format, its margins added to the popularity logits.

What a row does not have is missing, which a tree knows how to follow; a stored zero is zero.  This is so in training, in batches
and online, because all of them hand over rows in CSR form.  Margins are sums over trees in their order, whoever else is there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import xgboost as xgb

from propensity.errors import BundleError, DataError
from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.models.mapped import MappedPredictor
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.transformer import Tensors

KIND = "xgboost"
FILE = "model.ubj"
FEATURE_IDS, CATEGORIES, PRIOR = "feature_ids", "categories", "prior"
BASE_SCORE = 0.5
"""A margin of 0: what the trees are added to is the popularity, which is ours to add."""


def matrix(rows: SparseBatch, features: int) -> sp.csr_matrix:
    """Return rows of the feature map as a matrix (B, D); stored zeros stay stored."""
    return sp.csr_matrix((rows.values, rows.indices, rows.offsets), shape=(len(rows), features))


class BoostingPredictor(MappedPredictor):
    """A trained booster."""

    kind = KIND

    def __init__(self, features: FeatureMap, categories: IntArray, prior: FloatArray, model: bytes) -> None:
        """Take the popularity logits `prior` (C,) and the booster as XGBoost's UBJSON; raise ValueError when they do not fit."""
        super().__init__(features, categories, prior)
        self.model = model
        self._booster = _booster(model)
        found = (self._booster.num_features(), _outputs(self._booster))
        if found != (len(features), len(categories)) or prior.shape != (len(categories),) or prior.dtype != np.float32:
            raise ValueError(f"a booster of {found} features and outputs, not {len(features)} and {len(categories)}")

    def logits(self, rows: SparseBatch) -> FloatArray:
        """Return popularity logits and margins together (B, C)."""
        margins = self._booster.inplace_predict(matrix(rows, len(self.features)), predict_type="margin")
        total: FloatArray = self.prior + np.asarray(margins, np.float32).reshape(len(rows), len(self.categories))
        return total

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return {PRIOR: self.prior, FEATURE_IDS: self.features.ids, CATEGORIES: self.categories}

    def files(self) -> Mapping[str, bytes]:
        """Return the booster."""
        return {FILE: self.model}

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        shape = {
            "features": len(self.features),
            "rounds": self._booster.num_boosted_rounds(),
            "categories": len(self.categories),
        }
        return {"shape": shape, "base_score": BASE_SCORE}


def _booster(model: bytes) -> xgb.Booster:
    # XGBoost trusts its own files: it refuses most bytes that it did not write, but some end the process, none at all among them.
    # What stands before it is the bundle's digest, which is checked when the file is read.
    if not model:
        raise ValueError("the booster is empty")
    booster = xgb.Booster()
    booster.load_model(bytearray(model))
    # One thread: a row online is done before a second one would have started, and on Spark every core has a task.
    booster.set_param({"nthread": 1})
    return booster


def _outputs(booster: xgb.Booster) -> int:
    """Return how many margins a row gets."""
    nobody = sp.csr_matrix((1, booster.num_features()), dtype=np.float32)
    return int(np.asarray(booster.inplace_predict(nobody, predict_type="margin")).size)


def from_bundle(bundle: Bundle) -> BoostingPredictor:
    """Return the booster in a bundle; raise BundleError when its parts do not fit together."""
    try:
        arrays = bundle.tensors
        features, prior = FeatureMap(arrays[FEATURE_IDS]), np.array(arrays[PRIOR])
        return BoostingPredictor(features, np.array(arrays[CATEGORIES]), prior, bundle.model_files[FILE])
    except (KeyError, TypeError, ValueError, DataError, xgb.core.XGBoostError) as error:
        line = " ".join(str(error).split())[:200]
        raise BundleError(f"the model's parts do not fit together: {line}", where=str(bundle.path), do="train again") from None
