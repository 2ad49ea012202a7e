"""A model at the reference shape of the speed figures, with random weights: 200,000 features, 256 hidden, 2,000 categories.

A customer has about 100 features.  With `history` a category's token has six channels and the history path takes part; without
it the network is the plain one that the peers' formulations have.
"""

import json

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS, Models
from propensity.features.windows import RECENCY_DAYS
from propensity.models.encoding import Encoder
from propensity.models.feature_map import FeatureMap
from propensity.models.history import HistoryEncoder
from propensity.models.propensity import PropensityPredictor
from propensity.pipeline.numeric import Decay, DropZeros, Log1p
from propensity.pipeline.pipeline import Pipeline, Step
from propensity.pipeline.vectoriser import Block, Name, Vectoriser

FEATURES, HIDDEN, CATEGORIES, NON_ZEROS, TOP = 200_000, 256, 2_000, 100, 50
CHANNELS = ("count_7", "count_28", "count_91", "count_364", "recency", "interval")


def reference_pipeline(history: bool, features: int = FEATURES, hidden: int = HIDDEN, categories: int = CATEGORIES) -> Pipeline:
    """Return the pipeline: words ``w0``, ``w1`` … of the field `purchase.category` (categories first) and its channels."""
    random = np.random.default_rng(0)
    channels = CHANNELS if history else ()
    stored = len(CHANNELS)
    tokens = np.arange(features // stored + 1, dtype=np.int32)
    ids = (tokens[:, None] * np.int32(MAX_CHANNELS) + np.arange(stored, dtype=np.int32)).ravel()[:features].astype(np.int32)
    encoder = Encoder(FeatureMap(ids), HistoryEncoder(tokens[:categories], channels, tuple(range(len(channels))), 364))
    predictor = PropensityPredictor(encoder, _weights(random, encoder, hidden))
    words = Block(tuple(f"w{token}" for token in tokens), tokens * np.int32(MAX_CHANNELS))
    names = {f"purchase.category.{channel}": Name("purchase.category", slot) for slot, channel in enumerate(CHANNELS)}
    steps: list[Step] = [
        Vectoriser(names, {"purchase.category": words}),
        DropZeros(),
        Log1p((0, 1, 2, 3, 5)),
        Decay(RECENCY_DAYS, (4,)),
    ]
    return Pipeline(steps, predictor)


def plain_pipeline() -> Pipeline:
    """Return the plain network behind a vectoriser alone: one raw feature, `tokens`, a map from words to values."""
    predictor = reference_pipeline(history=False).predictor
    ids = predictor.tensors()["feature_ids"]
    block = Block(tuple(f"w{at}" for at in range(len(ids))), ids)
    return Pipeline([Vectoriser({"tokens": Name("words")}, {"words": block})], predictor)


def plain_requests(count: int, seed: int = 1) -> list[str]:
    """Return customers of :func:`plain_pipeline` as JSON, each with NON_ZEROS words at random."""
    random = np.random.default_rng(seed)
    chosen = (np.sort(random.choice(FEATURES, NON_ZEROS, replace=False)) for _ in range(count))
    return [json.dumps({"tokens": {f"w{at}": float(value) for at, value in zip(row, random.random(NON_ZEROS), strict=True)}})
            for row in chosen]  # fmt: skip


def _weights(random: np.random.Generator, encoder: Encoder, hidden: int) -> dict[str, npt.NDArray[np.float32]]:
    history = encoder.history
    width, activity, categories = history.width, history.activity_width, len(history.categories)

    def normal(*shape: int, scale: float = 0.08) -> npt.NDArray[np.float32]:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    weights = {
        "embedding.weight": normal(len(encoder.features), hidden, scale=0.05), "embedding_bias": normal(hidden, scale=0.01),
        "hidden.weight": normal(hidden, hidden), "hidden.bias": normal(hidden, scale=0.01),
        "output.weight": normal(categories, hidden + activity), "output.bias": normal(categories, scale=1.0),
        "history_weight.weight": normal(categories, width), "prior": normal(categories, scale=1.0), "history_mean": normal(width),
        "history_scale": 1 + np.abs(normal(width)), "history_none": history.none(), "activity_mean": normal(activity),
        "activity_scale": 1 + np.abs(normal(activity)),
    }  # fmt: skip
    if width:
        inner = Models().propensity_network.history_hidden
        weights |= {
            "history_values.weight": normal(inner, width, scale=0.3), "history_values.bias": normal(inner),
            "history_category.weight": normal(categories, inner), "history_profile.weight": normal(inner, hidden),
            "history_hidden.weight": normal(inner, inner, scale=0.2), "history_hidden.bias": normal(inner),
            "history_output.weight": normal(1, inner, scale=0.3),
        }  # fmt: skip
    return weights


def reference_requests(pipeline: Pipeline, count: int, seed: int = 1, non_zeros: int = NON_ZEROS) -> list[str]:
    """Return customers as JSON: words at random, a third of them categories; each word has all channels, in natural units."""
    random = np.random.default_rng(seed)
    names = list(pipeline.vectoriser.names)
    words = pipeline.vectoriser.blocks["purchase.category"].words
    categories = len(pipeline.categories)
    result = []
    for _ in range(count):
        each = -(-non_zeros // len(names))
        own = random.choice(categories, each // 3, replace=False)
        other = categories + random.choice(len(words) - 1 - categories, each - each // 3, replace=False)
        chosen = [words[at] for at in np.concatenate([own, other])]
        values = random.integers(1, 20, (len(names), len(chosen))).astype(float)
        record = {name: dict(zip(chosen, row.tolist(), strict=True)) for name, row in zip(names, values, strict=True)}
        result.append(json.dumps(record))
    return result
