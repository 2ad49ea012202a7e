"""The propensity network in fewer bits or on a GPU, for batches: torch's matrix products between compiled loops in 32 bits.

What it says deviates from the exact predictor, which is what one customer has online; by how much, :mod:`models.deviation` tells
for the trained model.  A run that wants it says so (``models.scoring.precision`` and ``device``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding_bag, linear, pad

from propensity.errors import BundleError, MachineError
from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.batch_kernel import Found, finish, look_up, room_for
from propensity.models.calibrated import CalibratedPredictor, uncalibrated
from propensity.models.propensity import PropensityPredictor
from propensity.models.rounded import Place, rounded
from propensity.pipeline.kernels import usable
from propensity.pipeline.predictor import Raw, SparsePredictor
from propensity.pipeline.transformer import Tensors

TYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
TABLE = "embedding.weight"
"""By far the largest: 100 MB in 16 bits at the reference shape, all others together 1.3."""
USED = (TABLE, "embedding_bias", "hidden.weight", "hidden.bias", "output.weight", "output.bias")
"""Weights that matrix products take; the history path stays in 32 bits."""
MULTIPLE = 32


class ReducedPredictor(SparsePredictor):
    """A trained propensity network, calibrated or not, whose matrices are kept and multiplied in 16 bits, or on a GPU."""

    def __init__(self, exact: SparsePredictor, precision: str, device: str = "cpu", place: Place | None = None) -> None:
        """Map the table's 16 bits on the CPU where a `place` to keep them is given, else hold them.

        Raise BundleError for another family of models, MachineError without such a device or where they cannot be kept.
        """
        network = uncalibrated(exact)
        if not isinstance(network, PropensityPredictor):
            what, do = f"{exact.kind} cannot be scored in {precision} on {device}", "leave models.scoring at float32 and cpu"
            raise BundleError(what, where="models.yaml", do=do)
        self.exact, self.kind, self.thresholds = exact, exact.kind, exact.thresholds
        self._sparse, self._own = network.compiled
        self._type, self._device = TYPES[precision], _device(device)
        slope, offset = _calibration(exact)
        self._slope = slope
        weights = {name: torch.from_numpy(network.weights[name]) for name in USED}
        # Calibration is part of the output layer, and its width a multiple of what a matrix unit takes: 1.2 us a row, not 2.1.
        output, bias = weights["output.weight"], weights["output.bias"]
        self._spare = -output.shape[1] % MULTIPLE
        weights["output.weight"] = pad(output * torch.from_numpy(slope)[:, None], (0, self._spare))
        weights["output.bias"] = bias * torch.from_numpy(slope) + torch.from_numpy(offset)
        if place is not None and self._device.type == "cpu" and self._type != torch.float32:
            weights[TABLE] = rounded(place, network.weights[TABLE], self._type)
        self._weights = {name: weight.to(self._device, self._type) for name, weight in weights.items()}

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

    def products(self, found: Found) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the profile (B, H) and what the sparse path says, calibrated (B, C): both float32, on the CPU."""
        entries = int(found.offsets[-1])
        given = found.rows[:entries], found.values[:entries], found.offsets, found.standardised
        hidden, logits = self.multiply(*(torch.from_numpy(array).to(self._device) for array in given))
        return hidden.cpu(), logits.cpu()

    @torch.inference_mode()
    def multiply(
        self, rows: torch.Tensor, values: torch.Tensor, offsets: torch.Tensor, standardised: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what :meth:`products` does from what rows have (:class:`Found`), all of it on the predictor's device."""
        weights, scales, table = self._weights, values.to(self._type), self._weights[TABLE]
        bag = embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=scales, include_last_offset=True)
        first = bag.add_(weights["embedding_bias"]).relu_()
        hidden = linear(first, weights["hidden.weight"], weights["hidden.bias"]).relu_()
        last = torch.cat([hidden, standardised.to(self._type)], dim=1)
        return hidden.float(), linear(last, weights["output.weight"], weights["output.bias"]).float()

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps, exact."""
        return self.exact.tensors()

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        return self.exact.describe()


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        where, do = "models.yaml, scoring.device", "set it to cpu, or score where there is a GPU"
        raise MachineError("CUDA was asked for and this machine has none", where=where, do=do)
    return torch.device(name)


def _calibration(predictor: SparsePredictor) -> tuple[FloatArray, FloatArray]:
    """Return slopes (C,) and offsets (C,); those that change nothing for a predictor that is not calibrated."""
    if isinstance(predictor, CalibratedPredictor):
        return usable(predictor.calibration.slope), usable(predictor.calibration.offset)
    size = len(predictor.categories)
    return np.ones(size, np.float32), np.zeros(size, np.float32)
