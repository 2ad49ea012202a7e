"""From a bundle's folder to a pipeline that is ready to score.  A family of models is imported when a bundle is one of it."""

import reprlib
from importlib import import_module
from pathlib import Path

from propensity.errors import BundleError, DataError, MachineError
from propensity.models.calibrated import bare, restored
from propensity.pipeline.bundle import Bundle, load_bundle, refusing, replay_golden
from propensity.pipeline.pipeline import Pipeline
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.steps import steps_of

KINDS = {
    "propensity_network": "propensity.models.propensity",
    "field_embedding": "propensity.models.field_embedding",
    "xgboost": "propensity.models.boosting",
    "onnx": "propensity.models.onnx_model",
}
"""Kind of model -> the module whose ``from_bundle`` makes its predictor.  A model of your own is entered here."""


def load_pipeline(folder: Path, digest: str | None = None) -> Pipeline:
    """Return the pipeline in a bundle's folder, checked against `digest` and its golden rows.

    Raise BundleError when anything is not as it was when the model was trained.
    """
    bundle = load_bundle(folder, digest)
    predictor = predictor_of(bundle)
    with refusing("the model", folder):
        replay_golden(bundle, predictor)
    try:
        return Pipeline(steps_of(bundle), predictor)
    except DataError as error:
        raise BundleError(error.what, where=str(folder), examples=error.examples, do=error.do) from None


def predictor_of(bundle: Bundle) -> SparsePredictor:
    """Return a bundle's predictor.

    Raise BundleError when its kind is unknown or its parts do not fit together, MachineError when what it needs is not installed.
    """
    if bundle.kind not in KINDS:
        what = f"unknown kind of model {reprlib.repr(bundle.kind)}"
        raise BundleError(what, where=str(bundle.path), do=f"known are {', '.join(KINDS)}")
    try:
        family = import_module(KINDS[bundle.kind])
    except ImportError as error:
        do = "install what requirements.txt lists"
        raise MachineError(f"{bundle.kind} cannot be loaded: {error}", where=str(bundle.path), do=do) from None
    with refusing("the model", bundle.path):
        predictor: SparsePredictor = family.from_bundle(bare(bundle))
        return restored(bundle, predictor)
