"""Every kind of step, fitted on something small, with what it may be given; and the smallest model there can be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from propensity.features.csr import IntArray, SparseBatch
from propensity.pipeline.decayed_counts import DecayedCounts
from propensity.pipeline.lookup import VocabularyLookup
from propensity.pipeline.numeric import Clip, Decay, DropZeros, Log1p
from propensity.pipeline.pipeline import Step
from propensity.pipeline.predictor import MODEL, Raw, SparsePredictor
from propensity.pipeline.standardise import Standardise
from propensity.pipeline.text import Normalise, Tokenise, TruncateOrPad
from propensity.pipeline.transformer import Record, Tensors
from propensity.pipeline.vectoriser import Vectoriser
from tests.support.sparse import to_batch

WORDS = st.sampled_from(["tea", "Tea", "oat milk", "ale", "日本", ""]) | st.text(max_size=4)
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
LISTS = st.lists(WORDS, max_size=6)
MAPS = st.dictionaries(WORDS, NUMBERS, max_size=6)
AGO = st.lists(st.integers(0, 400) | st.floats(0, 400), max_size=5)
NO_FEATURES: tuple[Any, ...] = (True, 3 + 1j, b"tea", {"tea"}, object())
"""What no step takes, and the vectoriser neither."""


@dataclass(frozen=True)
class RecordCase:
    """A step over records, the vectoriser among them."""

    make: Callable[[], Step]
    """Return the step, fitted on `training`."""
    values: Mapping[str, st.SearchStrategy[Any]]
    """What its features may be, by name."""
    columns: Mapping[str, str]
    """The features' types in a DataFrame."""
    training: Sequence[Record]
    wrong: Sequence[Any]
    """What no feature of its may be."""

    def many(self) -> st.SearchStrategy[list[Record]]:
        """Return a strategy for records with nulls, missing features and features of other steps."""
        features = {name: st.none() | values for name, values in self.values.items()}
        return st.lists(st.fixed_dictionaries({}, optional={**features, "other": st.just([b"not mine"])}), max_size=5)


@dataclass(frozen=True)
class SparseCase:
    """A step over sparse rows."""

    make: Callable[[], Step]
    training: SparseBatch

    def many(self) -> st.SearchStrategy[SparseBatch]:
        """Return a strategy for rows, empty ones among them, in either precision."""
        rows = st.lists(st.dictionaries(st.integers(0, 200), st.floats(-50, 50, width=32), max_size=8), max_size=5)
        return st.builds(in_precision, rows, st.sampled_from([np.float32, np.float64]))


def in_precision(rows: list[dict[int, float]], precision: Any) -> SparseBatch:
    batch = to_batch(rows)
    return SparseBatch(batch.indices, batch.values.astype(precision), batch.offsets)


BOTH = ("f", "g")
TEXTS: Sequence[Record] = (
    {"f": "Oat milk, tea", "g": ["tea", "Tea"], "h": {"tea": 1.5, "TEA": 2.0}},
    {"f": "", "g": []},
    {"f": None, "g": ["ale", "tea", "日本", "rum"], "h": {}},
)
LISTED: Sequence[Record] = ({"f": ["tea", "ale", "tea"], "g": ["red"]}, {"f": [], "g": None}, {}, {"f": ["tea", "rum"]})
EVENTS: Sequence[Record] = ({"f": [0.0, 3.0, 90.5], "g": {"tea": [1.0], "ale": []}}, {"f": []}, {"f": None, "g": {}})
MIXED: Sequence[Record] = (
    {"n": 3.5, "s": "ios", "l": ["tea", "ale", "tea"], "m": {"tea": 2.0, "ale": 0.0}},
    {"n": 0.0, "s": None, "l": []},
    {"m": {"rum": -1.5}},
)
ROWS = to_batch([{1: 1.0, 33: 0.0, 64: -2.5}, {}, {1: 3.0, 2: 7.0, 64: 4.0}, {2: 7.0}])
STRINGS = dict.fromkeys(BOTH, "array<string>")

CASES: Mapping[str, RecordCase | SparseCase] = {
    "tokenise": RecordCase(
        lambda: Tokenise(("f",), separator=","), {"f": WORDS}, {"f": "string"}, TEXTS, [*NO_FEATURES, 3, ["tea"], {"tea": 1}]
    ),
    "normalise": RecordCase(
        lambda: Normalise(("f", "g", "h")),
        {"f": WORDS, "g": LISTS, "h": MAPS},
        {"f": "string", "g": "array<string>", "h": "map<string,double>"},
        TEXTS,
        [*NO_FEATURES, 3, ["tea", 3], {"tea": "milk"}, {3: 1.0}, {"tea": float("nan")}, {"tea": 10**400}, {"tea": True}],
    ),
    "vocabulary_lookup": RecordCase(
        lambda: VocabularyLookup(BOTH, unknown="?").fit(LISTED),
        dict.fromkeys(BOTH, LISTS), STRINGS, LISTED, [*NO_FEATURES, 3, "tea", ["tea", None], {"tea": 1}],
    ),
    "truncate_or_pad": RecordCase(
        lambda: TruncateOrPad(BOTH, 3, kept="last"),
        dict.fromkeys(BOTH, LISTS), STRINGS, LISTED, [*NO_FEATURES, 3, "tea", [3.0], {"tea": 1}],
    ),
    "decayed_counts": RecordCase(
        lambda: DecayedCounts(BOTH, 28),
        {"f": AGO, "g": st.dictionaries(WORDS, AGO, max_size=4)},
        {"f": "array<double>", "g": "map<string,array<double>>"},
        EVENTS,
        [*NO_FEATURES, 3, "tea", [-1], [True], ["3"], [None], [float("nan")], [10**400], {"tea": 3}, {"tea": [-1]}, {3: [1]}],
    ),
    "vectorise": RecordCase(
        lambda: Vectoriser.fitted(MIXED),
        {"n": NUMBERS, "s": WORDS, "l": LISTS, "m": MAPS},
        {"n": "double", "s": "string", "l": "array<string>", "m": "map<string,double>"},
        MIXED,
        [*NO_FEATURES, float("nan"), float("inf"), ["tea", 3], {"tea": "milk"}, {"tea": None}, {"tea": float("inf")}],
    ),
    "log1p": SparseCase(lambda: Log1p((0, 1)), ROWS),
    "decay": SparseCase(lambda: Decay(28), ROWS),
    "clip": SparseCase(lambda: Clip(-1, 2.5, (1,)), ROWS),
    "drop_zeros": SparseCase(DropZeros, ROWS),
    "standardise": SparseCase(lambda: Standardise().fit(ROWS), ROWS),
}  # fmt: skip


class Same(SparsePredictor):
    """A model that says the same of everybody, about three categories."""

    kind = "test"

    def __init__(self, logit: float = 0.0) -> None:
        self.logit = logit

    @property
    def categories(self) -> IntArray:
        return np.arange(3, dtype=np.int32)

    def raw(self, many: SparseBatch) -> Raw:
        return Raw(np.full((len(many), 3), self.logit, np.float32), np.full(len(many), MODEL))

    def describe(self) -> dict[str, object]:
        return {"shape": {"features": 0, "categories": 3}}

    def tensors(self) -> Tensors:
        return {"w": np.arange(6, dtype=np.float32)}

    def files(self) -> dict[str, bytes]:
        return {"model.json": b"{}"}
