"""What a family of models is to the recipe: a module with ``HISTORY`` and ``learn(task) -> Learned``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.config import Config
from propensity.features.csr import FloatArray
from propensity.features.tokens import Vocabulary
from propensity.models.data import Examples
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Encoder
from propensity.models.supply import Supply
from propensity.pipeline.predictor import SparsePredictor

FAMILIES = {
    "propensity_network": "propensity.models.propensity_training",
    "field_embedding": "propensity.models.field_embedding_training",
    "xgboost": "propensity.models.boosting_training",
}
"""``models.kind`` -> the module that trains it.  Its ``HISTORY`` says whether it wants the history path's pairs."""
STREAMING = {"propensity_network"}
"""The families that can read their rows from storage in every epoch, and train in several processes."""


@dataclass(frozen=True)
class Task:
    """What there is to learn from."""

    config: Config
    encoder: Encoder
    """Features and categories of the model, fitted."""
    vocabulary: Vocabulary
    windows: Sequence[Examples]
    """The customers of each label window but the held-out one, newest first; the newest chooses what there is to choose."""
    device: str
    """cpu or cuda, already known to be there."""
    progress: Callable[[str], None]
    team: Team = ALONE
    """The processes that train together, for a family that can."""
    streams: tuple[Supply, Supply] | None = None
    """All windows but the newest, and all windows, where rows are read from storage; `windows` is then the newest alone, or as
    many of its customers as fit into memory."""


@dataclass(frozen=True)
class Learned:
    """A trained model and how it came about."""

    predictor: SparsePredictor
    training: Mapping[str, Any]
    """For the manifest, without times: `epochs`, the passes or rounds that were kept, and `choosing`, one entry a pass."""
    validation: FloatArray
    """(N, C) logits of the newest window's customers, by a model that did not learn from that window; calibration does."""
