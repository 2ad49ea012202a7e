"""The propensity network: a sparse feed-forward net over everything, plus a path for each category's own history.

``softmax([yes, no])`` with cross-entropy equals ``sigmoid(yes - no)`` with binary cross-entropy; the network computes
the folded logit ``yes - no``, and :func:`yes_no` unfolds it.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from propensity.features.csr import FloatArray
from propensity.models.bag import weighted_bag
from propensity.models.encoding import Encoded, Moments


@dataclass(frozen=True)
class NetworkInput:
    """An encoded batch of B users as tensors."""

    rows: Tensor
    """(N,) rows of the embedding."""
    values: Tensor
    """(N,)."""
    offsets: Tensor
    """(B + 1,)."""
    pair_user: Tensor
    """(P,)."""
    pair_category: Tensor
    """(P,)."""
    pair_values: Tensor
    """(P, F)."""
    activity: Tensor
    """(B, A)."""

    def to(self, device: torch.device) -> "NetworkInput":
        """Return the same on another device."""
        return NetworkInput(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def to_tensors(encoded: Encoded) -> NetworkInput:
    """Return the batch as tensors; only what Arrow holds read-only is copied."""
    sparse, pairs = encoded.sparse, encoded.pairs
    offsets = sparse.offsets.astype(sparse.indices.dtype)
    arrays = (sparse.indices, sparse.values, offsets, pairs.user, pairs.category, pairs.values, pairs.activity)
    return NetworkInput(*(torch.from_numpy(a if a.flags.writeable else a.copy()) for a in arrays))


class PropensityNetwork(nn.Module):
    """D features, C categories, F history values a pair, hidden widths H and W -> logits (B, C)."""

    prior: Tensor
    """(C,) popularity logits."""
    history_mean: Tensor
    history_scale: Tensor
    history_none: Tensor
    activity_mean: Tensor
    activity_scale: Tensor

    def __init__(
        self,
        features: int,
        hidden: int,
        history: int,
        activity: int,
        prior: Tensor,
        history_hidden: int = 32,
        dropout: float = 0.0,
    ) -> None:
        """Take the popularity logits `prior` (C,), which the output's bias starts from; `history_hidden` is W."""
        super().__init__()
        categories = len(prior)
        self.embedding = nn.EmbeddingBag(features, hidden, mode="sum", include_last_offset=True)
        self.embedding_bias = nn.Parameter(torch.zeros(hidden))
        self.hidden = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden + activity, categories)
        self.dropout = nn.Dropout(dropout)
        self.history_weight = nn.Embedding(categories, history)
        if history:  # categories without any channel leave nothing for the history path to see
            self.history_values = nn.Linear(history, history_hidden)
            self.history_category = nn.Embedding(categories, history_hidden)
            self.history_profile = nn.Linear(hidden, history_hidden, bias=False)
            self.history_hidden = nn.Linear(history_hidden, history_hidden)
            self.history_output = nn.Linear(history_hidden, 1, bias=False)
            nn.init.zeros_(self.history_category.weight)
        self.register_buffer("prior", prior.clone())
        self.register_buffer("history_mean", torch.zeros(history))
        self.register_buffer("history_scale", torch.ones(history))
        self.register_buffer("activity_mean", torch.zeros(activity))
        self.register_buffer("activity_scale", torch.ones(activity))
        self.register_buffer("history_none", torch.zeros(1, history))
        nn.init.normal_(self.embedding.weight, std=0.01)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.history_weight.weight)
        with torch.no_grad():
            self.output.bias.copy_(prior)

    def forward(self, batch: NetworkInput, bag: Tensor | None = None) -> Tensor:
        """Return the folded logits (B, C); `bag`, when it is given, is what :meth:`bag` said."""
        hidden = self.profile(batch, bag)
        logits = self.sparse(batch, hidden)
        if len(batch.pair_user) == 0:
            return logits
        flat = batch.pair_user * logits.shape[1] + batch.pair_category
        # Every pair is there once, so the sum has one order only and the result is the same each time.
        return logits.reshape(-1).index_add(0, flat, self.history(batch, hidden)).view_as(logits)

    def bag(self, batch: NetworkInput) -> Tensor:
        """Return each user's sum of the rows of his features: (B, H)."""
        return weighted_bag(self.embedding.weight, batch.rows, batch.offsets, batch.values)

    def profile(self, batch: NetworkInput, bag: Tensor | None = None) -> Tensor:
        """Return what is known of each user beside his history in single categories: (B, H)."""
        bag = self.bag(batch) if bag is None else bag
        first = self.dropout(torch.relu(bag + self.embedding_bias))
        return cast(Tensor, self.dropout(torch.relu(self.hidden(first))))

    def sparse(self, batch: NetworkInput, hidden: Tensor) -> Tensor:
        """Return what the sparse path says of all categories: (B, C)."""
        activity = (batch.activity - self.activity_mean) * self.activity_scale
        return cast(Tensor, self.output(torch.cat([hidden, activity], dim=1)))

    def history(self, batch: NetworkInput, hidden: Tensor) -> Tensor:
        """Return what the history path adds to each pair's logit: (P,)."""
        none = (self.history_none - self.history_mean) * self.history_scale
        values = (batch.pair_values - self.history_mean) * self.history_scale
        own = ((values - none) * self.history_weight(batch.pair_category)).sum(1)
        user = self.history_profile(hidden)[batch.pair_user]
        first = torch.relu(self.history_values(values) + self.history_category(batch.pair_category) + user)
        shared: Tensor = self.history_output(torch.relu(self.history_hidden(first)))
        total: Tensor = own + shared.squeeze(1)
        return total

    @torch.no_grad()
    def standardise(self, history: Moments, activity: Moments, none: FloatArray) -> None:
        """Keep the training data's moments of history values (F,) and activity (A,), and the values (1, F) of no history."""
        self.history_mean.copy_(torch.from_numpy(history.mean))
        self.history_scale.copy_(torch.from_numpy(history.scale()))
        self.history_none.copy_(torch.from_numpy(none))
        self.activity_mean.copy_(torch.from_numpy(activity.mean))
        self.activity_scale.copy_(torch.from_numpy(activity.scale()))


def yes_no(logits: Tensor) -> Tensor:
    """Return the ``[yes, no]`` view (B, C, 2) of folded logits (B, C): its softmax is (p, 1 - p)."""
    return torch.stack([logits / 2, -logits / 2], dim=-1)


def fold(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output layer (C, H), (C,) equal to one with ``[yes, no]`` rows in turn: (2C, H), (2C,)."""
    return weight[0::2] - weight[1::2], bias[0::2] - bias[1::2]
