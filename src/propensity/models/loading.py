"""From a bundle's folder to a pipeline that is ready to score."""

from pathlib import Path

import torch

from propensity.errors import BundleError
from propensity.models import network_predictor
from propensity.pipeline.bundle import load_bundle, replay_golden
from propensity.pipeline.predictor import Pipeline

KINDS = {network_predictor.KIND: network_predictor.from_bundle}


def load_pipeline(folder: Path, digest: str | None = None, threads: int | None = 1) -> Pipeline:
    """Return the pipeline in a bundle's folder, checked against `digest` and its golden rows.

    `threads` is torch's number of threads from now on in this process: 1 where tasks are the unit of parallelism, None to
    leave it.  Raise BundleError when anything is not as it was when the model was trained.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    bundle = load_bundle(folder, digest)
    if bundle.kind not in KINDS:
        raise BundleError(f"unknown kind of model {bundle.kind!r}", where=str(folder), do=f"known are {', '.join(KINDS)}")
    pipeline = Pipeline(KINDS[bundle.kind](bundle))
    replay_golden(bundle, pipeline)
    return pipeline
