"""A model made elsewhere, as an ONNX graph: rows go in dense or sparse, logits or probabilities come out.

``dense``   one float32 input (B, D): a column a feature; what a row does not have is 0, or not a number when `missing` says nan.
``sparse``  three inputs by name: `indices` (N,) int32 or int64, columns; `values` (N,) float32; `offsets` (B + 1,) int64.

The graph's own columns and outputs may be in any order: the bundle keeps which feature and which category each of them is.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from propensity.errors import BundleError, DataError
from propensity.features.csr import FloatArray, IntArray, SparseBatch
from propensity.models.feature_map import FeatureMap
from propensity.models.mapped import MappedPredictor
from propensity.models.ragged import owners
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.transformer import Tensors

KIND = "onnx"
FILE = "model.onnx"
FEATURE_IDS, CATEGORIES, COLUMNS, OUTPUTS = "feature_ids", "categories", "columns", "outputs"
CELLS = 1 << 22
"""Cells of a dense input at most, 16 MiB: a larger batch goes in parts."""
SURE = 1e-7
"""Probabilities nearer to 0 or 1 than that count as that near: their logits stay finite."""
INDICES, VALUES, OFFSETS = "indices", "values", "offsets"
FAILURES = (
    onnx_errors.Fail, onnx_errors.InvalidArgument, onnx_errors.InvalidGraph, onnx_errors.InvalidProtobuf, onnx_errors.NoModel,
    onnx_errors.NotImplemented, onnx_errors.RuntimeException, onnx_errors.NoSuchFile, onnx_errors.EPFail,
    RuntimeError, ValueError, KeyError, TypeError, IndexError,
)  # fmt: skip
"""What a graph that does not fit raises: onnxruntime's classes have no common base."""

Runtime: TypeAlias = Any


@dataclass(frozen=True)
class Convention:
    """How the graph wants rows and what it answers."""

    input: Literal["dense", "sparse"]
    output: Literal["logits", "probabilities"]
    missing: Literal["zero", "nan"] = "zero"
    """What a dense row holds where it has no feature."""

    def __post_init__(self) -> None:
        """Raise ValueError for a word that is none of these."""
        known = {"input": ("dense", "sparse"), "output": ("logits", "probabilities"), "missing": ("zero", "nan")}
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {', '.join(words)}")


class OnnxPredictor(MappedPredictor):
    """A graph and what its columns and outputs are."""

    kind = KIND

    def __init__(
        self,
        features: FeatureMap,
        columns: IntArray,
        categories: IntArray,
        outputs: IntArray,
        graph: bytes,
        convention: Convention,
    ) -> None:
        """Take for each row of the feature map its column (D,) and for each category, ascending, its output (C,).

        Raise ValueError when they are no permutations, or the graph does not load or does not answer (1, C) to an empty row.
        """
        for name, places, count in (("columns", columns, len(features)), ("outputs", outputs, len(categories))):
            if not np.array_equal(np.sort(places), np.arange(count)):
                raise ValueError(f"{name} are not 0 to {count - 1}, each once")
        if len(features) == 0 or len(categories) == 0 or (np.diff(categories) <= 0).any():
            raise ValueError("there is no feature, no category, or categories do not ascend")
        super().__init__(features, categories, np.zeros(len(categories), np.float32))
        self.columns, self.outputs, self.graph, self.convention = columns, outputs, graph, convention
        self._session = session(graph)
        self._feeds = _input_types(self._session, convention)
        nobody = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(2, np.int64))
        self.prior = self._run(nobody)[0]

    def logits(self, rows: SparseBatch) -> FloatArray:
        """Return the graph's logits (B, C), asked for in parts of a bounded size; the prior is its answer to an empty row."""
        size = max(CELLS // len(self.features), 1)
        parts = [rows.rows(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, rows: SparseBatch) -> FloatArray:
        """Return the logits (B, C) of rows of the feature map; raise ValueError for an answer of another shape."""
        columns = self.columns[rows.indices]
        if self.convention.input == "dense":
            table = np.full((len(rows), len(self.features)), np.nan if self.convention.missing == "nan" else 0, np.float32)
            table[owners(rows.offsets), columns] = rows.values
            feed: dict[str, Any] = dict.fromkeys(self._feeds, table)
        else:
            given: dict[str, Any] = {INDICES: columns, VALUES: rows.values, OFFSETS: rows.offsets}
            feed = {name: given[name].astype(kind) for name, kind in self._feeds.items()}
        answer = np.asarray(self._session.run([self._session.get_outputs()[0].name], feed)[0])
        wanted = (len(rows), len(self._categories))
        if answer.shape != wanted and not (answer.shape == wanted[:1] and wanted[1] == 1):
            raise ValueError(f"the graph answers {answer.shape} to {len(rows)} rows, not {wanted}")
        return self._logits(answer.reshape(wanted)[:, self.outputs])

    def _logits(self, answer: Any) -> FloatArray:
        if self.convention.output == "logits":
            logits: FloatArray = answer.astype(np.float32, copy=False)
            return logits
        share = np.clip(answer.astype(np.float64), SURE, 1 - SURE)
        folded: FloatArray = (np.log(share) - np.log1p(-share)).astype(np.float32)
        return folded

    def tensors(self) -> Tensors:
        """Return every array that the bundle keeps."""
        places = {COLUMNS: self.columns, OUTPUTS: self.outputs}
        return {FEATURE_IDS: self.features.ids, CATEGORIES: self.categories, **places}

    def files(self) -> Mapping[str, bytes]:
        """Return the graph."""
        return {FILE: self.graph}

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says about the model."""
        return {"shape": {"features": len(self.features), "categories": len(self.categories)}, "onnx": asdict(self.convention)}


def session(graph: bytes) -> Runtime:
    """Return the graph ready to run, on one thread: on Spark every core has a task of its own."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _input_types(runtime: Runtime, convention: Convention) -> dict[str, Any]:
    """Return the type of each input by name; raise ValueError when the inputs are not those of the convention."""
    found = {given.name: given.type for given in runtime.get_inputs()}
    if convention.input == "dense":
        if list(found.values()) != ["tensor(float)"]:
            raise ValueError(f"a dense graph has one float32 input, this one has {found}")
        return dict.fromkeys(found, np.float32)
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}
    allowed = {INDICES: ("tensor(int32)", "tensor(int64)"), VALUES: ("tensor(float)",), OFFSETS: ("tensor(int64)",)}
    if set(found) != set(allowed) or any(found[name] not in allowed[name] for name in allowed):
        raise ValueError(f"a sparse graph has indices (int32 or int64), values (float32), offsets (int64), this one {found}")
    return {name: kinds[kind] for name, kind in found.items()}


def from_bundle(bundle: Bundle) -> OnnxPredictor:
    """Return the model in a bundle; raise BundleError when its parts do not fit together."""
    try:
        arrays = {name: np.array(array) for name, array in bundle.tensors.items()}
        convention = Convention(**bundle.manifest["onnx"])
        features = FeatureMap(arrays[FEATURE_IDS])
        graph = bundle.model_files[FILE]
        return OnnxPredictor(features, arrays[COLUMNS], arrays[CATEGORIES], arrays[OUTPUTS], graph, convention)
    except (*FAILURES, DataError) as error:
        line = " ".join(str(error).split())[:200]
        raise BundleError(f"the model's parts do not fit together: {line}", where=str(bundle.path), do="adopt it again") from None
