"""The propensity network as it scores, everywhere: on Spark, online, in evaluation.  Neither torch nor Spark is needed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from propensity.errors import BundleError, DataError
from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap, IdMap
from propensity.models.history import HistoryEncoder
from propensity.models.propensity_kernel import Own, Sparse, score_rows
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.kernels import usable
from propensity.pipeline.predictor import Raw, SparsePredictor
from propensity.pipeline.transformer import Tensors

KIND = "propensity_network"
FEATURE_IDS, CATEGORIES = "feature_ids", "categories"
NO_TABLE = np.zeros(0, np.int32)


class PropensityPredictor(SparsePredictor):
    """A trained propensity network: weights and what they are for."""

    kind = KIND

    def __init__(self, encoder: Encoder, weights: Tensors) -> None:
        """Take the weights by the names that :class:`PropensityNetwork` gives them; raise ValueError when they do not fit."""
        self.encoder = encoder
        self.weights = dict(weights)
        _check(encoder, weights)
        self._sparse = _sparse(encoder, weights)
        self._own = _own(encoder.history, weights)

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.encoder.history.categories.ids

    @property
    def compiled(self) -> tuple[Sparse, Own]:
        """Return both paths' arrays as compiled loops take them."""
        return self._sparse, self._own

    def raw(self, many: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the popularity logits."""
        logits = np.empty((len(many), len(self.categories)), np.float32)
        source = np.empty(len(many), np.uint8)
        score_rows(usable(many.indices), usable(many.values), usable(many.offsets), self._sparse, self._own, logits, source)
        return Raw(logits, source)

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return {**self.weights, FEATURE_IDS: self.encoder.features.ids, CATEGORIES: self.categories}

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        history = self.encoder.history
        hidden = self.weights["embedding.weight"].shape[1]
        shape = {"features": len(self.encoder.features), "categories": len(self.categories), "hidden": hidden}
        path = {"channels": list(history.channels), "slots": list(history.slots), "history_days": history.history_days}
        return {"shape": shape, "history": path}


def _check(encoder: Encoder, weights: Tensors) -> None:
    categories, history, activity = len(encoder.history.categories), encoder.history.width, encoder.history.activity_width
    hidden = weights["embedding.weight"].shape[-1]
    expected = {
        "embedding.weight": (len(encoder.features), hidden), "embedding_bias": (hidden,), "hidden.weight": (hidden, hidden),
        "hidden.bias": (hidden,), "output.weight": (categories, hidden + activity), "output.bias": (categories,),
        "history_weight.weight": (categories, history), "prior": (categories,), "history_mean": (history,),
        "history_scale": (history,), "history_none": (1, history), "activity_mean": (activity,), "activity_scale": (activity,),
    }  # fmt: skip
    if history:
        inner = len(weights["history_values.bias"])
        expected |= {
            "history_values.weight": (inner, history), "history_values.bias": (inner,),
            "history_category.weight": (categories, inner), "history_profile.weight": (inner, hidden),
            "history_hidden.weight": (inner, inner), "history_hidden.bias": (inner,), "history_output.weight": (1, inner),
        }  # fmt: skip
    wrong = [f"{name} {weights[name].shape}" for name, shape in expected.items() if weights[name].shape != shape]
    wrong += [f"{name} {array.dtype}" for name, array in weights.items() if array.dtype != np.float32]
    if wrong:
        raise ValueError(f"weights of another shape or type: {', '.join(wrong[:5])}")


def _sparse(encoder: Encoder, weights: Tensors) -> Sparse:
    return Sparse(
        table=_table(encoder.features),
        ids=encoder.features.ids,
        embedding=np.ascontiguousarray(weights["embedding.weight"]),
        embedding_bias=weights["embedding_bias"],
        hidden=np.ascontiguousarray(weights["hidden.weight"].T),
        hidden_bias=weights["hidden.bias"],
        output=np.ascontiguousarray(weights["output.weight"].T),
        output_bias=weights["output.bias"],
        activity_mean=weights["activity_mean"],
        activity_scale=weights["activity_scale"],
        prior=weights["prior"],
    )


def _own(history: HistoryEncoder, weights: Tensors) -> Own:
    hidden = len(weights["hidden.bias"])
    mean, scale = weights["history_mean"], weights["history_scale"]
    none: FloatArray = ((weights["history_none"][0] - mean) * scale).astype(np.float32)
    inside = history.width > 0
    first = weights["history_values.weight"] if inside else np.zeros((0, 0), np.float32)
    category = weights["history_category.weight"] + weights["history_values.bias"] if inside else np.zeros((0, 0), np.float32)
    profile = weights["history_profile.weight"] if inside else np.zeros((0, hidden), np.float32)
    second = weights["history_hidden.weight"] if inside else np.zeros((0, 0), np.float32)
    bias = weights["history_hidden.bias"] if inside else np.zeros(0, np.float32)
    third = weights["history_output.weight"][0] if inside else np.zeros(0, np.float32)
    return Own(
        table=_table(history.categories),
        ids=history.categories.ids,
        column=history.columns,
        channels=len(history.channels),
        windowed=np.array(history.windowed, np.int64),
        recency=-1 if history.recency is None else history.recency,
        interval=-1 if history.interval is None else history.interval,
        days=float(history.history_days),
        mean=mean,
        scale=scale,
        none=none,
        weight=np.ascontiguousarray(weights["history_weight.weight"]),
        first=np.ascontiguousarray(first.T),
        category=category,
        profile=np.ascontiguousarray(profile.T),
        second=np.ascontiguousarray(second.T),
        second_bias=bias,
        third=np.ascontiguousarray(third),
    )


def _table(ids: IdMap) -> IntArray:
    return NO_TABLE if ids.table is None else ids.table


def from_bundle(bundle: Bundle) -> PropensityPredictor:
    """Return the network in a bundle; raise BundleError when its arrays do not fit together."""
    try:
        described: Mapping[str, Any] = bundle.manifest["history"]
        history = HistoryEncoder(
            bundle.tensors[CATEGORIES], tuple(described["channels"]), tuple(described["slots"]), int(described["history_days"])
        )
        encoder = Encoder(FeatureMap(bundle.tensors[FEATURE_IDS]), history)
        weights = {k: usable(v) for k, v in bundle.tensors.items() if k not in (FEATURE_IDS, CATEGORIES)}
        return PropensityPredictor(encoder, weights)
    except (KeyError, TypeError, ValueError, IndexError, DataError) as error:
        line = " ".join(str(error).split())[:200]
        raise BundleError(f"the model's parts do not fit together: {line}", where=str(bundle.path), do="train again") from None
