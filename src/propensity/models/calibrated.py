"""A model whose logits are calibrated before anybody sees them, and the thresholds that belong to them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from propensity.errors import BundleError
from propensity.features.csr import IntArray, SparseBatch
from propensity.models.calibration import Calibration, stretch
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.kernels import usable
from propensity.pipeline.predictor import Raw, SparsePredictor
from propensity.pipeline.thresholds import Thresholds
from propensity.pipeline.transformer import Tensors

SLOPE, OFFSET, THRESHOLDS = "calibration.slope", "calibration.offset", "thresholds"
OURS = (SLOPE, OFFSET, THRESHOLDS)
SETTINGS = "calibration"
"""The manifest's entry."""
NO_PROMISE = np.float32(2.0)
"""Above every probability: nobody is picked.  A bundle holds finite numbers only, so it is not infinity there."""


class CalibratedPredictor(SparsePredictor):
    """Any family's model with a slope and an offset for each category.  Who gets the region's popularity keeps it as it is."""

    thresholds: Thresholds

    def __init__(self, inner: SparsePredictor, calibration: Calibration, thresholds: Thresholds) -> None:
        """Raise ValueError when slopes, offsets and thresholds are not those of the model's categories."""
        self.inner, self.calibration, self.thresholds = inner, calibration, thresholds
        self.kind = inner.kind
        _check(len(inner.categories), calibration, thresholds)
        self._slope, self._offset = usable(calibration.slope), usable(calibration.offset)

    @property
    def categories(self) -> IntArray:
        """Return the categories' token ids (C,), ascending."""
        return self.inner.categories

    def raw(self, many: SparseBatch) -> Raw:
        """Return the calibrated logits (B, C)."""
        raw = self.inner.raw(many)
        logits = usable(raw.logits)
        stretch(logits, raw.source, self._slope, self._offset)
        return Raw(logits, raw.source)

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        values = self.thresholds.values
        kept = np.where(np.isinf(values), NO_PROMISE, values)
        return {**self.inner.tensors(), SLOPE: self.calibration.slope, OFFSET: self.calibration.offset, THRESHOLDS: kept}

    def files(self) -> Mapping[str, bytes]:
        """Return the files that the model keeps."""
        return self.inner.files()

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        told = {"precisions": list(self.thresholds.precisions), "confidence": self.thresholds.confidence}
        return {**self.inner.describe(), SETTINGS: told}


def uncalibrated(predictor: SparsePredictor) -> SparsePredictor:
    """Return the family's own model."""
    return predictor.inner if isinstance(predictor, CalibratedPredictor) else predictor


def bare(bundle: Bundle) -> Bundle:
    """Return a bundle as its family knows it: without the arrays of calibration."""
    return replace(bundle, tensors={name: array for name, array in bundle.tensors.items() if name not in OURS})


def restored(bundle: Bundle, predictor: SparsePredictor) -> SparsePredictor:
    """Return a family's predictor with the calibration that the bundle has, if any.

    Raise BundleError when only parts of it are there or they do not fit together.
    """
    found = [name for name in OURS if name in bundle.tensors]
    if not found and SETTINGS not in bundle.manifest:
        return predictor
    try:
        slope, offset, kept = (np.array(bundle.tensors[name]) for name in OURS)
        told: Mapping[str, Any] = bundle.manifest[SETTINGS]
        values = np.where(kept == NO_PROMISE, np.float32(np.inf), kept)
        thresholds = Thresholds(tuple(told["precisions"]), told["confidence"], values)
        return CalibratedPredictor(predictor, Calibration(slope, offset), thresholds)
    except (KeyError, TypeError, ValueError) as error:
        line = " ".join(f"{type(error).__name__} {error}".split())[:200]
        what = f"the calibration's parts do not fit together: {line}"
        raise BundleError(what, where=str(bundle.path), do="train again") from None


def _check(categories: int, calibration: Calibration, thresholds: Thresholds) -> None:
    """Raise ValueError that says what does not fit."""
    arrays = {SLOPE: calibration.slope, OFFSET: calibration.offset, THRESHOLDS: thresholds.values}
    shapes = {SLOPE: (categories,), OFFSET: (categories,), THRESHOLDS: (len(thresholds.precisions), categories)}
    wrong = [f"{n} {a.dtype} {a.shape}" for n, a in arrays.items() if a.dtype != np.float32 or a.shape != shapes[n]]
    if wrong:
        raise ValueError(f"of another shape or type: {', '.join(wrong)}")
    if not (calibration.slope > 0).all() or not np.isfinite(calibration.slope + calibration.offset).all():
        raise ValueError("slopes are not all above 0, or not finite")
    values, shares = thresholds.values, (*thresholds.precisions, thresholds.confidence)
    if not ((values > 0) & ((values <= 1) | np.isinf(values))).all():
        raise ValueError("thresholds are no probabilities")
    if not all(isinstance(p, float) and 0 < p < 1 for p in shares) or (np.diff(thresholds.precisions) <= 0).any():
        raise ValueError(f"precisions {thresholds.precisions} or confidence {thresholds.confidence} are none"[:120])
