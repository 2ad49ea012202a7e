"""From a trained model and what it said of the validation window to a calibrated one with thresholds."""

from propensity.config import Calibration
from propensity.features.csr import FloatArray
from propensity.models.calibrated import CalibratedPredictor
from propensity.models.calibration import fit_calibration
from propensity.models.data import Examples
from propensity.models.penalised import Strength
from propensity.models.thresholds import Deviations, fit_thresholds
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid


def calibrate(predictor: SparsePredictor, logits: FloatArray, window: Examples, settings: Calibration) -> SparsePredictor:
    """Return the predictor calibrated by out-of-sample logits (N, C) of a window; as it is when the settings say none.

    Customers without a known feature take no part: they get the popularity, which is a share already.
    """
    if settings.method == "none":
        return predictor
    known = window.encoded.known()
    targets, given = window.targets()[known], logits[known]
    strength = Strength(settings.slope_strength, settings.offset_strength)
    calibration = fit_calibration(targets, given, strength, settings.persistence)
    deviations = Deviations(settings.category_deviation, settings.window_deviation)
    said = sigmoid(calibration.apply(given))
    thresholds = fit_thresholds(targets, said, settings.precisions, settings.confidence, deviations)
    return CalibratedPredictor(predictor, calibration, thresholds)
