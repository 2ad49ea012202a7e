"""The field-embedding network as it scores, everywhere: compiled, row by row.  Neither torch nor Spark is needed.

A *field* is one named raw feature, such as ``purchase.type.count_28``: its words have embeddings of width E.  A row's words of
one field are averaged, each embedding times the word's value (a word that is there or not has the value 1); a field without a
word gives zeros.  The averages side by side go through a feed-forward network.  Fields may have any number of words, so nothing
is cut off or padded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from propensity.errors import BundleError, DataError
from propensity.features.csr import IntArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.kernels import compiled, dense, positions, rectify, usable
from propensity.pipeline.predictor import Raw, SparsePredictor, source_of
from propensity.pipeline.transformer import Tensors

KIND = "field_embedding"
FEATURE_IDS, CATEGORIES, FIELDS = "feature_ids", "categories", "feature_fields"
EMBEDDING, PRIOR = "embedding.weight", "prior"
NO_TABLE = np.zeros(0, np.int32)


class Weights(NamedTuple):
    """What the compiled code works with."""

    table: Any
    """Feature id -> row, or empty."""
    ids: Any
    """(D,) feature ids, ascending."""
    field: Any
    """(D,) the field of each row."""
    fields: int
    embedding: Any
    """(D, E)."""
    layers: Any
    """The feed-forward layers, (in, out) each: transposed."""
    biases: Any
    prior: Any
    """(C,)."""


@compiled
def score_rows(indices: Any, values: Any, offsets: Any, weights: Any, logits: Any, known: Any) -> None:
    """Write the logits (B, C) of B rows, and whether the model knows any feature of each (B,)."""
    width = weights.embedding.shape[1]
    counts = np.zeros(weights.fields, np.int64)
    for b in range(len(offsets) - 1):
        first = np.zeros(weights.fields * width, np.float64)
        found = average(indices[offsets[b] : offsets[b + 1]], values[offsets[b] : offsets[b + 1]], weights, counts, first)
        known[b] = found > 0
        if found > 0:
            forward(first, weights, logits[b])
        else:
            logits[b, :] = weights.prior


# Sums are kept in float64: an average over hundreds of features and two layers in float32 deviated from torch by 1.8e-7 at the
# 99th percentile, and the network is small.


@compiled
def average(ids: Any, values: Any, weights: Any, counts: Any, result: Any) -> int:
    """Write each field's average (fields * E,); return how many features the model knows.  `counts` is room to work in."""
    field_of, embedding = weights.field, weights.embedding
    width = embedding.shape[1]
    counts[:] = 0
    found = 0
    rows = np.empty(len(ids), np.int64)
    positions(weights.table, weights.ids, ids, rows)
    for i in range(len(ids)):
        row = rows[i]
        if row >= 0:
            field = field_of[row]
            counts[field] += 1
            found += 1
            start = field * width
            value = np.float64(values[i])
            for j in range(width):
                result[start + j] += value * embedding[row, j]
    for field in range(len(counts)):
        if counts[field] > 1:
            for j in range(field * width, (field + 1) * width):
                result[j] /= counts[field]
    return found


@compiled
def forward(inputs: Any, weights: Any, logits: Any) -> None:
    """Write what the feed-forward network says (C,)."""
    hidden = inputs
    for at in range(len(weights.layers)):
        following = weights.biases[at].astype(np.float64)
        dense(hidden, weights.layers[at], following)
        if at < len(weights.layers) - 1:
            rectify(following)
        hidden = following
    logits[:] = hidden


class FieldEmbeddingPredictor(SparsePredictor):
    """A trained field-embedding network."""

    kind = KIND

    def __init__(self, features: FeatureMap, categories: IntArray, fields: Sequence[str], weights: Tensors) -> None:
        """Take the weights by the names that the network of training gives them, and :data:`FIELDS` (D,), each row's field.

        Raise ValueError when they do not fit together.
        """
        self.features = features
        self.fields = tuple(fields)
        self.weights = dict(weights)
        self._categories = categories
        self._compiled = _check(self)

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self._categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the popularity logits."""
        logits = np.empty((len(many), len(self.categories)), np.float32)
        known = np.empty(len(many), np.bool_)
        score_rows(usable(many.indices), usable(many.values), usable(many.offsets), self._compiled, logits, known)
        return Raw(logits, source_of(known))

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return {**self.weights, FEATURE_IDS: self.features.ids, CATEGORIES: self.categories}

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        layers = self._compiled.layers
        shape = {
            "features": len(self.features),
            "fields": len(self.fields),
            "dimension": self._compiled.embedding.shape[1],
            "hidden": [layer.shape[1] for layer in layers[:-1]],
            "categories": len(self.categories),
        }
        return {"shape": shape, "fields": list(self.fields)}


def layer_names(weights: Tensors) -> list[str]:
    """Return the names of the feed-forward layers, first to last, without ``.weight`` and ``.bias``."""
    count = sum(name.startswith("layers.") and name.endswith(".weight") for name in weights)
    return [f"layers.{at}" for at in range(count)]


def _check(model: FieldEmbeddingPredictor) -> Weights:
    """Return the weights for compiled code; raise ValueError when one is of another shape or type than the others need."""
    given, names = model.weights, layer_names(model.weights)
    rows, dimension = given[EMBEDDING].shape
    sizes = [len(model.fields) * dimension, *(given[f"{name}.weight"].shape[0] for name in names)]
    expected = {EMBEDDING: (len(model.features), dimension), PRIOR: (len(model.categories),), FIELDS: (rows,)}
    for at, name in enumerate(names):
        expected |= {f"{name}.weight": (sizes[at + 1], sizes[at]), f"{name}.bias": (sizes[at + 1],)}
    kinds = {name: np.int32 if name == FIELDS else np.float32 for name in expected}
    wrong = sorted(set(given) ^ set(expected)) + [n for n in expected if n in given and given[n].shape != expected[n]]
    wrong += [name for name in expected if name in given and given[name].dtype != kinds[name]]
    field = given[FIELDS]
    if wrong or not names or sizes[-1] != len(model.categories):
        raise ValueError(f"weights of another shape or type: {', '.join(wrong[:5])}")
    if (np.diff(model.categories) <= 0).any() or (rows and not 0 <= field.min() <= field.max() < len(model.fields)):
        raise ValueError("categories do not ascend, or a feature's field is none")
    return Weights(
        table=NO_TABLE if model.features.table is None else model.features.table,
        ids=model.features.ids,
        field=np.array(field),
        fields=len(model.fields),
        embedding=np.array(given[EMBEDDING], order="C"),
        layers=tuple(np.array(given[f"{name}.weight"].T, order="C") for name in names),
        biases=tuple(np.array(given[f"{name}.bias"]) for name in names),
        prior=np.array(given[PRIOR]),
    )


def from_bundle(bundle: Bundle) -> FieldEmbeddingPredictor:
    """Return the network in a bundle; raise BundleError when its arrays do not fit together."""
    try:
        weights = {k: np.array(v) for k, v in bundle.tensors.items() if k not in (FEATURE_IDS, CATEGORIES)}
        features, fields = FeatureMap(bundle.tensors[FEATURE_IDS]), [str(name) for name in bundle.manifest["fields"]]
        return FieldEmbeddingPredictor(features, np.array(bundle.tensors[CATEGORIES]), fields, weights)
    except (KeyError, TypeError, ValueError, IndexError, DataError) as error:
        line = " ".join(str(error).split())[:200]
        raise BundleError(f"the model's parts do not fit together: {line}", where=str(bundle.path), do="train again") from None
