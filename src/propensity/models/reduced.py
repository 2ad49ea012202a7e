"""The propensity network in fewer bits, for batches: torch's matrix products in 16 bits between compiled loops in 32.

What it says deviates from the exact predictor, which is what one customer has online; by how much, :mod:`models.deviation` tells
for the trained model.  A run that wants it says so (``models.scoring.precision``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding_bag, linear, pad

from propensity.errors import BundleError
from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.batch_kernel import Found, finish, look_up, room_for
from propensity.models.calibrated import CalibratedPredictor, uncalibrated
from propensity.models.propensity import PropensityPredictor
from propensity.pipeline.kernels import usable
from propensity.pipeline.predictor import Raw, SparsePredictor
from propensity.pipeline.transformer import Tensors

TYPES: Mapping[str, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16}
USED = ("embedding.weight", "embedding_bias", "hidden.weight", "hidden.bias", "output.weight", "output.bias")
"""Weights that matrix products take; the history path stays in 32 bits."""
MULTIPLE = 32


class ReducedPredictor(SparsePredictor):
    """A trained propensity network, calibrated or not, whose matrices are kept and multiplied in 16 bits."""

    def __init__(self, exact: SparsePredictor, precision: str) -> None:
        """Raise BundleError for another family of models."""
        network = uncalibrated(exact)
        if not isinstance(network, PropensityPredictor):
            what, do = f"{exact.kind} cannot be scored in {precision}", "set models.scoring.precision to float32"
            raise BundleError(what, where="models.yaml", do=do)
        self.exact, self.kind, self.thresholds = exact, exact.kind, exact.thresholds
        self._sparse, self._own = network.compiled
        self._type = TYPES[precision]
        slope, offset = _calibration(exact)
        self._slope = slope
        weights = {name: torch.from_numpy(network.weights[name].copy()) for name in USED}
        # Calibration is part of the output layer, and its width a multiple of what a matrix unit takes: 1.2 us a row, not 2.1.
        output, bias = weights["output.weight"], weights["output.bias"]
        self._spare = -output.shape[1] % MULTIPLE
        weights["output.weight"] = pad(output * torch.from_numpy(slope)[:, None], (0, self._spare))
        weights["output.bias"] = bias * torch.from_numpy(slope) + torch.from_numpy(offset)
        self._weights = {name: weight.to(self._type) for name, weight in weights.items()}

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.exact.categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the calibrated logits (B, C)."""
        found = self.look_up(many)
        source = np.empty(len(many), np.uint8)
        hidden, logits = self.products(found)
        finish(logits.numpy(), hidden.numpy(), found, self._sparse, self._own, self._slope, source)
        return Raw(logits.numpy(), source)

    def look_up(self, many: SparseBatch) -> Found:
        """Return what the rows have that the model knows."""
        found = room_for(len(many), len(many.indices), self._own, len(self._own.windowed) + self._spare)
        look_up(usable(many.indices), usable(many.values), usable(many.offsets), self._sparse, self._own, found)
        return found

    @torch.inference_mode()
    def products(self, found: Found) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the profile (B, H) and what the sparse path says, calibrated (B, C): both float32."""
        weights, entries = self._weights, int(found.offsets[-1])
        rows, offsets = torch.from_numpy(found.rows[:entries]), torch.from_numpy(found.offsets)
        values = torch.from_numpy(found.values[:entries]).to(self._type)
        table = weights["embedding.weight"]
        bag = embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)
        first = bag.add_(weights["embedding_bias"]).relu_()
        hidden = linear(first, weights["hidden.weight"], weights["hidden.bias"]).relu_()
        last = torch.cat([hidden, torch.from_numpy(found.standardised).to(self._type)], dim=1)
        return hidden.float(), linear(last, weights["output.weight"], weights["output.bias"]).float()

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps, exact."""
        return self.exact.tensors()

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        return self.exact.describe()


def _calibration(predictor: SparsePredictor) -> tuple[FloatArray, FloatArray]:
    """Return slopes (C,) and offsets (C,); those that change nothing for a predictor that is not calibrated."""
    if isinstance(predictor, CalibratedPredictor):
        return usable(predictor.calibration.slope), usable(predictor.calibration.offset)
    size = len(predictor.categories)
    return np.ones(size, np.float32), np.zeros(size, np.float32)
