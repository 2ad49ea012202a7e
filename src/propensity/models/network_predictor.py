"""The propensity network as a predictor: bundle <-> network, sparse rows -> logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from propensity.errors import BundleError, DataError
from propensity.features.csr import IntArray, SparseBatch
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder
from propensity.models.network import PropensityNetwork, to_tensors
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.predictor import Raw

KIND = "propensity_network"
FEATURE_IDS, CATEGORIES = "feature_ids", "categories"


class NetworkPredictor:
    """A trained propensity network with its encoder."""

    def __init__(self, network: PropensityNetwork, encoder: Encoder) -> None:
        self.network = network.eval()
        self.encoder = encoder

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.encoder.history.categories.ids

    def predict_raw(self, batch: SparseBatch) -> Raw:
        """Return the logits (B, C); a row without a known feature gets the popularity logits."""
        encoded = self.encoder.encode(batch)
        known = encoded.known()
        with torch.inference_mode():
            logits = self.network(to_tensors(encoded))
            if not known.all():
                logits[torch.from_numpy(~known)] = self.network.prior
        return Raw(logits.numpy(), known)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return every array that the bundle keeps."""
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return {**weights, FEATURE_IDS: self.encoder.features.ids, CATEGORIES: self.categories}

    def describe(self) -> dict[str, Any]:
        """Return what the manifest says about the model."""
        history = self.encoder.history
        shape = {
            "features": len(self.encoder.features),
            "categories": len(self.categories),
            "hidden": self.network.hidden.in_features,
        }
        path = {"channels": list(history.channels), "slots": list(history.slots), "history_days": history.history_days}
        return {"shape": shape, "history": path}


def from_bundle(bundle: Bundle) -> NetworkPredictor:
    """Return the network in a bundle; raise BundleError when its arrays do not fit together."""
    try:
        described: Mapping[str, Any] = bundle.manifest["history"]
        history = HistoryEncoder(
            bundle.tensors[CATEGORIES], tuple(described["channels"]), tuple(described["slots"]), int(described["history_days"])
        )
        encoder = Encoder(FeatureMap(bundle.tensors[FEATURE_IDS]), history)
        weights = {k: torch.from_numpy(np.array(v)) for k, v in bundle.tensors.items() if k not in (FEATURE_IDS, CATEGORIES)}
        hidden = int(bundle.manifest["shape"]["hidden"])
        network = PropensityNetwork(len(encoder.features), hidden, history.width, history.activity_width, weights["prior"])
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError, DataError) as error:
        line = " ".join(str(error).split())[:200]
        raise BundleError(f"the model's parts do not fit together: {line}", where=str(bundle.path), do="train again") from None
    return NetworkPredictor(network, encoder)
