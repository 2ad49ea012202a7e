"""What runs in Spark's tasks for the parity table: a saved bundle scores customers in batch."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.parity_rows import Customers
from propensity.models.loading import load_pipeline
from propensity.pipeline.pipeline import Pipeline

TOP = 50


@dataclass(frozen=True)
class Chunk:
    """Some customers, and where Spark puts their scores."""

    number: int
    size: int
    scores: Path


@dataclass(frozen=True)
class Bundle:
    """What a Spark task loads."""

    folder: Path
    digest: str


@cache
def pipeline_of(bundle: Bundle) -> Pipeline:
    """Return the bundle's pipeline, one in a process."""
    return load_pipeline(bundle.folder, bundle.digest)


def score_chunk(chunk: Chunk, bundle: Bundle) -> int:
    """Score a chunk in a Spark task, in batch."""
    pipeline = pipeline_of(bundle)
    rows = pipeline.prepare(Customers(pipeline.vectoriser).chunk(chunk.number, chunk.size))
    ids, _ = pipeline.predictor.top_k(rows, TOP)
    np.savez(chunk.scores, probabilities=pipeline.predictor.predict_batch(rows), top=ids)
    return chunk.size
