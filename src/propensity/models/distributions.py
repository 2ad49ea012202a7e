"""What the features and scores of some customers look like, counted in fixed bins: counts of parts add up to those of the whole.

The same counter runs over the training window, whose counts go into the bundle, and in every scoring task, whose counts go into
the footer of its file; `evaluation.drift` compares them.  A *group* is one channel of one field: ``purchase.category.count_28``.
"""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensity.config import MAX_CHANNELS, Config, Features
from propensity.features.csr import IntArray, SparseBatch
from propensity.features.tokens import Vocabulary
from propensity.models.feature_map import IdMap

if TYPE_CHECKING:
    from propensity.pipeline.predictor import Scores, SparsePredictor

FEATURE_IDS = "feature_ids"
"""The array of every family of models that takes rows of a feature map: which features it knows."""
FORMAT = 1
"""Counts up when the bins or the keys change: counts of different formats are not compared."""
LOWEST_OCTAVE, OCTAVES = -6, 10
VALUE_BINS = 2 * OCTAVES + 3
"""Below zero; under 2^-6; half octaves from 2^-6 to 2^4; from there on."""
ENTRY_BINS = 11
"""Features of a group that one customer has: 0, 1, 2-3, 4-7, … 512 and more."""
SCORE_OCTAVES = 16
SCORE_BINS = 2 * SCORE_OCTAVES
"""Octaves of the probability below one half and, mirrored, of its complement above: steps of about 0.7 in the logit."""

Counts = dict[str, Any]
"""As JSON: `customers`; histograms of every group's `values` and of how many `entries` a customer has in it; by field `fields`,
[entries, those that the model does not know]; `recency`, the highest value of that channel; `scores`."""


@dataclass(frozen=True)
class Groups:
    """Which group each feature id belongs to: G groups of F fields."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    """``event_type.field``, in the configuration's order."""
    field_of: npt.NDArray[np.int16]
    """(T + 1,) the field of each token, F for one that no field has; the last entry stands for tokens beyond."""
    group_of: npt.NDArray[np.int16]
    """((F + 1) * MAX_CHANNELS,) the group of each field and slot, G where there is none."""
    recency: int
    """The slot of the recency channel, -1 without one."""


def groups_of(config: Config, vocabulary: Vocabulary) -> Groups:
    """Return the groups of the configuration's features and where the vocabulary's tokens belong."""
    fields, channels = config.features.fields, config.features.channel_names()
    field_of = np.full(len(vocabulary) + 1, len(fields), np.int16)
    places: dict[str, int] = {}
    for at, field in enumerate(fields):
        field_of[vocabulary.of(field.event_type, field.field)["token"].to_numpy()] = at
        own = Features(fields=(field,), history_days=config.features.history_days).channel_names()
        places |= {f"{field.event_type}.{field.field}.{c}": at * MAX_CHANNELS + channels.index(c) for c in own}
    group_of = np.full((len(fields) + 1) * MAX_CHANNELS, len(places), np.int16)
    group_of[list(places.values())] = np.arange(len(places))
    recency = channels.index("recency") if "recency" in channels else -1
    return Groups(tuple(places), tuple(f"{f.event_type}.{f.field}" for f in fields), field_of, group_of, recency)


def known_features(predictor: "SparsePredictor") -> IntArray | None:
    """Return the feature ids that a model knows, (D,) ascending; None for one that does not list them."""
    ids = predictor.tensors().get(FEATURE_IDS)
    return None if ids is None else np.asarray(ids, np.int32)


class DayCounter:
    """Adds up batches of customers.  Memory is that of the bins, whatever is added."""

    def __init__(self, groups: Groups, feature_ids: IntArray | None) -> None:
        """Take what :func:`known_features` returns; without a list every feature counts as known."""
        self._groups, self._known = groups, None if feature_ids is None else IdMap(feature_ids)
        width = len(groups.names) + 1
        self._customers = 0
        self._own = np.zeros(width, np.int64)
        self._values = np.zeros((width, VALUE_BINS), np.int64)
        self._entries = np.zeros((width, ENTRY_BINS), np.int64)
        self._fields = np.zeros((len(groups.fields) + 1, 2), np.int64)
        self._largest = np.zeros(MAX_CHANNELS, np.float32)
        self._pairs, self._highest = np.zeros(SCORE_BINS, np.int64), np.zeros(SCORE_BINS, np.int64)
        self._expected, self._sources = np.zeros(1, np.float64), Tally[str]()
        self._widths: set[int] = set()

    def add(self, batch: SparseBatch, scores: "Scores") -> None:
        """Count B customers: their features as stored, and their scores as delivered."""
        # Compiled code is a worker's business: the driver, who asks for groups only, need not load it.
        from propensity.models.distributions_kernel import count_features, count_scores
        from propensity.pipeline.kernels import usable

        groups, known = self._groups, self._known
        unknown = np.zeros(len(batch.indices), bool) if known is None else known.positions(batch.indices) < 0
        rows = (usable(batch.indices), usable(batch.values), usable(batch.offsets))
        sums = (self._own, self._values, self._entries, self._fields, self._largest)
        count_features(rows, groups.field_of, groups.group_of, unknown, *sums)
        count_scores(usable(scores.probabilities), self._pairs, self._highest, self._expected)
        self._customers += len(batch)
        self._widths.add(scores.probabilities.shape[1])
        self._sources.update(scores.sources())

    def counts(self) -> Counts:
        """Return what was added so far, as JSON."""
        groups = self._groups
        return {
            "format": FORMAT,
            "customers": self._customers,
            "values": dict(zip(groups.names, self._values.tolist(), strict=False)),
            "entries": dict(zip(groups.names, self._entries.tolist(), strict=False)),
            "fields": dict(zip((*groups.fields, "other"), self._fields.tolist(), strict=True)),
            "recency": float(self._largest[groups.recency]) if groups.recency >= 0 else 0.0,
            "scores": {
                "widths": sorted(self._widths),
                "pairs": self._pairs.tolist(),
                "highest": self._highest.tolist(),
                "expected": float(self._expected[0]),
                "sources": dict(sorted(self._sources.items())),
            },
        }


def added(parts: Sequence[Counts]) -> Counts:
    """Return the counts of all parts' customers together; parts are of the same groups."""
    first, *rest = parts
    total = first
    for part in rest:
        total = {key: _joined(key, total[key], part[key]) for key in total}
    return total


def _joined(key: str, one: Any, other: Any) -> Any:
    if key == "format":
        return one
    if key == "recency":
        return max(one, other)
    if key == "widths":
        return sorted({*one, *other})
    if isinstance(one, Mapping):
        return {name: _joined(name, one.get(name, 0), other.get(name, 0)) for name in sorted({*one, *other})}
    if isinstance(one, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    return one + other
