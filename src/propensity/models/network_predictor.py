"""The propensity network as training code computes it: with torch.  What scores is made of the same weights by :func:`scorer`."""

from collections.abc import Mapping
from typing import Any

import torch

from propensity.features.csr import IntArray, SparseBatch
from propensity.models.encoding import Encoder
from propensity.models.network import PropensityNetwork, to_tensors
from propensity.models.propensity import KIND, PropensityPredictor
from propensity.pipeline.predictor import Raw, SparsePredictor
from propensity.pipeline.transformer import Tensors


class NetworkPredictor(SparsePredictor):
    """A trained propensity network with its encoder.  The reference that parity is measured against."""

    kind = KIND

    def __init__(self, network: PropensityNetwork, encoder: Encoder) -> None:
        self.network = network.eval()
        self.encoder = encoder

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.encoder.history.categories.ids

    def raw(self, many: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the popularity logits."""
        encoded = self.encoder.encode(many)
        known = encoded.known()
        with torch.inference_mode():
            logits = self.network(to_tensors(encoded))
            if not known.all():
                logits[torch.from_numpy(~known)] = self.network.prior
        return Raw(logits.numpy(), encoded.source())

    def scorer(self) -> PropensityPredictor:
        """Return the predictor with these weights that scores, and is saved."""
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return PropensityPredictor(self.encoder, weights)

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        return self.scorer().tensors()

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        return self.scorer().describe()


def trained(predictor: PropensityPredictor) -> NetworkPredictor:
    """Return the torch network with a predictor's weights: what training had when it saved them."""
    weights = {name: torch.from_numpy(array.copy()) for name, array in predictor.weights.items()}
    encoder, hidden = predictor.encoder, weights["embedding.weight"].shape[1]
    history = encoder.history
    network = PropensityNetwork(len(encoder.features), hidden, history.width, history.activity_width, weights["prior"])
    network.load_state_dict(weights)
    return NetworkPredictor(network, encoder)
