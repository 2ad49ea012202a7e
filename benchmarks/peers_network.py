"""The plain sparse feed-forward net of article A: one bag of embeddings, hidden layers, one output for each category.

It is written out here, apart from the project's own network, so that it stays what it is while that one changes.  Settings were
chosen on the validation window of the last origin: hidden 128 and 2e-3 for the input layer, AP 0.361; with the settings of our
own network (64, 5e-4) 0.358.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers import Peers, Progress
from propensity.features.csr import FloatArray
from propensity.models.bag import weighted_bag
from propensity.models.data import Examples, batches, concat_examples, popularity_logits
from propensity.models.training import Fit, Loop, reproducible

HIDDEN, DROPOUT = 128, 0.3
LEARNING_RATE = 2e-3
BATCH, AVERAGING = 256, 0.99
MAX_EPOCHS, PATIENCE = 12, 2


@dataclass(frozen=True)
class Bag:
    """The sparse rows of B customers."""

    rows: Tensor
    values: Tensor
    offsets: Tensor

    def to(self, device: torch.device) -> "Bag":
        """Return the same on another device."""
        return Bag(self.rows.to(device), self.values.to(device), self.offsets.to(device))


class PlainNetwork(nn.Module):
    """D features -> logits (B, C)."""

    def __init__(self, features: int, prior: FloatArray) -> None:
        """Take the popularity logits (C,), which the output's bias starts from."""
        super().__init__()
        self.embedding = nn.EmbeddingBag(features, HIDDEN, mode="sum", include_last_offset=True)
        self.embedding_bias = nn.Parameter(torch.zeros(HIDDEN))
        self.hidden = nn.Linear(HIDDEN, HIDDEN)
        self.output = nn.Linear(HIDDEN, len(prior))
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.embedding.weight, std=0.01)
        nn.init.zeros_(self.output.weight)
        with torch.no_grad():
            self.output.bias.copy_(torch.from_numpy(prior))

    def forward(self, bag: Bag) -> Tensor:
        """Return the logits (B, C)."""
        total = weighted_bag(self.embedding.weight, bag.rows, bag.offsets, bag.values)
        first = self.dropout(torch.relu(total + self.embedding_bias))
        second = self.dropout(torch.relu(self.hidden(first)))
        logits: Tensor = self.output(second)
        return logits


def plain_network(peers: Peers, progress: Progress) -> FloatArray:
    """Return the net's logits (N, C): the validation window chooses the epochs, then every window teaches afresh."""
    validation, *rest = peers.windows
    chosen = _fit(peers, concat_examples(rest), validation, MAX_EPOCHS, progress)
    final = _fit(peers, peers.everything(), None, chosen.best(), progress)
    with torch.inference_mode():
        parts = [final.network(_bag(part)).numpy() for part in batches(peers.test, BATCH)]
    return peers.align(np.concatenate(parts))


def _fit(peers: Peers, examples: Examples, validation: Examples | None, epochs: int, progress: Progress) -> Fit[PlainNetwork]:
    with reproducible(peers.tables.config.models, torch.device("cpu")):
        network = PlainNetwork(len(peers.encoder.features), popularity_logits(examples))
        optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
        return _loop(peers, progress).run(network, optimiser, examples, validation, epochs)


def _loop(peers: Peers, progress: Progress) -> Loop:
    models = peers.tables.config.models
    return Loop(models, BATCH, AVERAGING, PATIENCE, "micro_ap", _bag, torch.device("cpu"), progress)


def _bag(part: Examples) -> Bag:
    sparse = part.encoded.sparse
    offsets = sparse.offsets.astype(sparse.indices.dtype)
    return Bag(*(torch.from_numpy(a if a.flags.writeable else a.copy()) for a in (sparse.indices, sparse.values, offsets)))
