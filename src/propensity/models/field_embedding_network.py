"""The field-embedding network as training code computes it: with torch.  :mod:`propensity.models.field_embedding` scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.models.field_embedding import FIELDS, KIND, FieldEmbeddingPredictor, layer_names
from propensity.models.mapped import MappedPredictor
from propensity.models.ragged import owners
from propensity.pipeline.transformer import Tensors

START = 0.1
"""Standard deviation of fresh embeddings."""


@dataclass(frozen=True)
class FieldInput:
    """B rows as bags of words, one bag for each (row, field)."""

    rows: Tensor
    """(N,) rows of the embedding, by bag."""
    values: Tensor
    """(N,) each word's value over the number of words in its bag, so that a sum is the average."""
    offsets: Tensor
    """(B * fields + 1,)."""

    def to(self, device: torch.device) -> "FieldInput":
        """Return the same on another device."""
        return FieldInput(self.rows.to(device), self.values.to(device), self.offsets.to(device))


def by_field(batch: SparseBatch, field: IntArray) -> SparseBatch:
    """Return rows of the feature map with each row's entries in the order of their fields."""
    order = np.lexsort((field[batch.indices], owners(batch.offsets)))
    return SparseBatch(batch.indices[order], batch.values[order], batch.offsets)


def to_bags(batch: SparseBatch, field: IntArray, fields: int) -> FieldInput:
    """Return what :func:`by_field` gave, or some of its rows, as the network takes it."""
    bag = owners(batch.offsets) * fields + field[batch.indices]
    counts = np.bincount(bag, minlength=len(batch) * fields)
    offsets: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values = batch.values / counts[bag].astype(np.float32)
    return FieldInput(torch.from_numpy(batch.indices.astype(np.int64)), torch.from_numpy(values), torch.from_numpy(offsets))


class FieldEmbeddingNetwork(nn.Module):
    """D features in some fields, E values a feature, hidden widths -> logits (B, C)."""

    prior: Tensor
    """(C,) popularity logits."""

    def __init__(
        self, features: int, fields: int, dimension: int, hidden: Sequence[int], prior: Tensor, dropout: float = 0.0
    ) -> None:
        """Take the popularity logits `prior` (C,), which the output's bias starts from."""
        super().__init__()
        self.fields = fields
        self.embedding = nn.EmbeddingBag(features, dimension, mode="sum", include_last_offset=True)
        sizes = [fields * dimension, *hidden, len(prior)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("prior", prior.clone())
        nn.init.normal_(self.embedding.weight, std=START)
        last = cast(nn.Linear, self.layers[-1])
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(prior)

    def forward(self, batch: FieldInput) -> Tensor:
        """Return the folded logits (B, C)."""
        bags = self.embedding(batch.rows, batch.offsets, per_sample_weights=batch.values)
        hidden: Tensor = self.dropout(bags.view(-1, self.fields * bags.shape[1]))
        for layer in self.layers[:-1]:
            hidden = self.dropout(torch.relu(layer(hidden)))
        return cast(Tensor, self.layers[-1](hidden))


class FieldEmbeddingNetworkPredictor(MappedPredictor):
    """A trained network with what it is for.  The reference that parity is measured against."""

    kind = KIND

    def __init__(
        self, network: FieldEmbeddingNetwork, features: FeatureMap, categories: IntArray, names: Sequence[str], field: IntArray
    ) -> None:
        """Take the fields' `names`, and `field` (D,), the field of each row of the feature map."""
        self.network = network.eval()
        super().__init__(features, categories, network.prior.numpy())
        self.names = tuple(names)
        self.field = field

    def logits(self, rows: SparseBatch) -> FloatArray:
        """Return the network's logits (B, C)."""
        with torch.inference_mode():
            logits: FloatArray = self.network(to_bags(by_field(rows, self.field), self.field, len(self.names))).numpy()
        return logits

    def scorer(self) -> FieldEmbeddingPredictor:
        """Return the predictor with these weights that scores, and is saved."""
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return FieldEmbeddingPredictor(self.features, self.categories, self.names, {**weights, FIELDS: self.field})

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return self.scorer().tensors()

    def describe(self) -> dict[str, object]:
        """Return what the manifest says about the model."""
        return dict(self.scorer().describe())


def trained(predictor: FieldEmbeddingPredictor) -> FieldEmbeddingNetworkPredictor:
    """Return the torch network with a predictor's weights: what training had when it saved them."""
    weights = {name: torch.from_numpy(array.copy()) for name, array in predictor.weights.items() if name != FIELDS}
    rows, dimension = weights["embedding.weight"].shape
    hidden = [weights[f"{name}.weight"].shape[0] for name in layer_names(predictor.weights)[:-1]]
    network = FieldEmbeddingNetwork(rows, len(predictor.fields), dimension, hidden, weights["prior"])
    network.load_state_dict(weights)
    field = predictor.weights[FIELDS]
    return FieldEmbeddingNetworkPredictor(network, predictor.features, predictor.categories, predictor.fields, field)
