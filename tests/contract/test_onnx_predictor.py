"""A model made elsewhere keeps the contract of predictors, and says what its maker says."""

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from propensity.errors import BundleError
from propensity.features.csr import SparseBatch
from propensity.models import onnx_model
from propensity.models.adoption import Adopted, Foreign, adopt
from propensity.models.onnx_model import FILE, Convention, OnnxPredictor, from_bundle
from propensity.models.ragged import owners
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import SparsePredictor
from tests.contract.predictors import PredictorContract
from tests.support import graphs
from tests.support.trained import REGION, SCORE_DATE, shared

Lists = tuple[list[int], list[int]]


def lists(single: bool) -> Lists:
    """Return features and categories of the trained model in an order of the maker's own."""
    bundle = load_bundle(shared()[1].folder)
    draw = np.random.default_rng(3)
    features, categories = bundle.tensors["feature_ids"], bundle.tensors["categories"]
    return draw.permutation(features).tolist(), draw.permutation(categories).tolist()[: 1 if single else None]


def adopted(folder: Path, graph: bytes, known: Lists, convention: Convention) -> Adopted:
    for name, content in zip(("features", "categories"), known, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "made.onnx").write_bytes(graph)
    foreign = Foreign(folder / "made.onnx", folder / "features.json", folder / "categories.json", convention)
    return adopt(shared()[0], REGION, SCORE_DATE, foreign)


@cache
def bundle_of(kind: str, single: bool) -> Path:
    known = lists(single)
    sizes = len(known[0]), len(known[1])
    graph = {
        "logits": lambda: graphs.dense(*sizes)[0],
        "probabilities": lambda: graphs.dense(*sizes, probabilities=True)[0],
        "sparse": lambda: graphs.sparse(*sizes)[0],
    }[kind]()
    convention = Convention("sparse", "logits") if kind == "sparse" else Convention("dense", kind)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        made = adopted(Path(folder), graph, known, convention)
    return shared()[0].config.home / "models" / REGION / made.version


def table_of(batch: SparseBatch, predictor: OnnxPredictor, features: list[int]) -> np.ndarray:
    """Return rows as the maker has them: dense, in the maker's own order."""
    column = {feature: at for at, feature in enumerate(features)}
    table = np.zeros((len(batch), len(features)), np.float32)
    table[owners(batch.offsets), [column[int(i)] for i in batch.indices]] = batch.values
    return table


class TestDense(PredictorContract):
    graph = "logits"
    single = False

    @pytest.fixture
    def folder(self) -> Path:
        return bundle_of(self.graph, self.single)

    def test_it_says_what_its_maker_says(self, predictor: OnnxPredictor, batch: SparseBatch) -> None:
        features, categories = lists(self.single)
        answer = graphs.dense(len(features), len(categories), self.graph == "probabilities")[1]
        wanted = answer(table_of(batch, predictor, features))[:, np.argsort(categories)]
        got = predictor.predict_batch(batch) if self.graph == "probabilities" else predictor.raw(batch).logits
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)

    def test_large_batches_go_in_parts(
        self, predictor: OnnxPredictor, batch: SparseBatch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = predictor.predict_batch(batch)
        seen: list[int] = []
        run = OnnxPredictor._run
        monkeypatch.setattr(onnx_model, "CELLS", 3 * len(predictor.features))
        monkeypatch.setattr(OnnxPredictor, "_run", lambda self, rows: seen.append(len(rows)) or run(self, rows))
        self.same(predictor.predict_batch(batch), whole)
        assert max(seen) == 3
        assert sum(seen) == len(batch)


class TestProbabilities(TestDense):
    graph = "probabilities"


class TestOneOutput(TestDense):
    single = True


class TestSparse(PredictorContract):
    single = False

    @pytest.fixture
    def folder(self) -> Path:
        return bundle_of("sparse", self.single)

    def test_it_says_what_its_maker_says(self, predictor: OnnxPredictor, batch: SparseBatch) -> None:
        features, categories = lists(self.single)
        _, weights, bias = graphs.sparse(len(features), len(categories))
        wanted = (table_of(batch, predictor, features).astype(float) @ weights + bias)[:, np.argsort(categories)]
        np.testing.assert_allclose(predictor.raw(batch).logits, wanted, rtol=1e-5, atol=1e-5)


class TestSparseOneOutput(TestSparse):
    single = True


def test_indices_may_be_int32(tmp_path: Path) -> None:
    known = lists(single=True)
    wide, narrow = (graphs.sparse(len(known[0]), 1, kind)[0] for kind in (TensorProto.INT64, TensorProto.INT32))
    folders = [tmp_path / name for name in ("wide", "narrow")]
    for folder in folders:
        folder.mkdir()
    made = [adopted(f, g, known, Convention("sparse", "logits")) for f, g in zip(folders, (wide, narrow), strict=True)]
    goldens = [load_bundle(shared()[0].config.home / "models" / REGION / m.version).golden.expected for m in made]
    np.testing.assert_array_equal(*goldens)


def test_a_bundle_whose_parts_do_not_fit_is_refused() -> None:
    bundle = load_bundle(bundle_of("logits", single=False))
    parts = vars(bundle)
    half = {FILE: bundle.model_files[FILE][: len(bundle.model_files[FILE]) // 2]}
    columns = {**bundle.tensors, "columns": np.zeros_like(bundle.tensors["columns"])}
    other = {**bundle.manifest, "onnx": {"input": "sparse", "output": "logits", "missing": "zero"}}
    changes = [("model_files", half), ("model_files", {}), ("tensors", columns), ("manifest", other), ("tensors", {})]
    for name, value in changes:
        with pytest.raises(BundleError, match="fit together"):
            from_bundle(type(bundle)(**{**parts, name: value}))


def test_missing_may_be_not_a_number(tmp_path: Path) -> None:
    from onnx import helper

    known = lists(single=True)
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["rows"], ["lacks"]),
            helper.make_node("Cast", ["lacks"], ["counted"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["counted"], ["answer"], axes=[1], keepdims=1),
        ],
        "share of missing features",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["users", len(known[0])])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["users", 1])],
    )
    made = adopted(tmp_path, graphs.saved(graph), known, Convention("dense", "probabilities", "nan"))
    bundle = load_bundle(shared()[0].config.home / "models" / REGION / made.version)
    predictor: SparsePredictor = from_bundle(bundle)
    batch = bundle.golden.batch
    wanted = 1 - np.diff(batch.offsets) / len(known[0])
    np.testing.assert_allclose(predictor.predict_batch(batch)[:, 0], wanted, atol=1e-6)
