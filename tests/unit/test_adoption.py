"""A model made elsewhere is taken over when it fits, and refused in one clear line when it does not."""

import json
import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs import adopt as job
from jobs import evaluate
from onnx import TensorProto, helper, numpy_helper
from tests.support import graphs
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.errors import DataError
from propensity.features import tokens
from propensity.features.csr import to_arrow
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import load_bundle

NAMES = ["order.topic.recency", "order.brand.count_30", "order.topic.count_10"]


def columns(count: int = 12) -> list[str]:
    """Return names of features as a maker lists them."""
    vocabulary = tokens.load(shared()[0])
    words = {name: sorted(tokens.names(vocabulary, *name.split(".")[:2]).values()) for name in NAMES}
    return [f"{name}={word}" for name in NAMES for word in words[name]][:count]


def outputs(count: int = 3) -> list[str]:
    return sorted(tokens.names(tokens.load(shared()[0]), "order", "topic").values(), reverse=True)[:count]


def arguments(folder: Path, graph: bytes | None = None, **changes: Any) -> Namespace:
    """Write what a maker hands over, and return the job's arguments."""
    given = {"features": columns(), "categories": outputs(), "input": "dense", "output": "logits", "missing": "zero"} | changes
    for name in ("features", "categories"):
        given[name] = given[name] if isinstance(given[name], Path) else write(folder / f"{name}.json", json.dumps(given[name]))
    made = graphs.dense(12, 3)[0] if graph is None else graph
    (folder / "made.onnx").write_bytes(made)
    common = {"region": REGION, "score_date": SCORE_DATE, "force": False, "rows": None, "onnx": folder / "made.onnx"}
    return Namespace(**{**common, **given})


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refused(folder: Path, graph: bytes | None = None, **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        job.body(shared()[0], arguments(folder, graph, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_adopted_model_is_a_version_like_any_other(tmp_path: Path) -> None:
    lake = shared()[0]
    verdict = job.body(lake, arguments(tmp_path))
    assert (verdict["features"], verdict["categories"], verdict["skipped"]) == (12, 3, False)
    folder = lake.config.home / "models" / REGION / str(verdict["version"])
    assert job.body(lake, arguments(tmp_path)) == {**verdict, "skipped": True}
    given = Namespace(region=REGION, score_date=SCORE_DATE, force=False, version=verdict["version"])
    told = evaluate.body(lake, given)
    assert told["table"]["model"]["macro_auc"] > 0
    assert "onnx: categories 3, features 12" in (folder / "model_card.html").read_text()


def test_names_lead_to_the_features_and_categories_that_they_name(tmp_path: Path) -> None:
    lake = shared()[0]
    verdict = job.body(lake, arguments(tmp_path))
    pipeline = load_pipeline(lake.config.home / "models" / REGION / str(verdict["version"]))
    answer = graphs.dense(12, 3)[1]
    for at, column in enumerate(columns()):
        name, word = column.split("=")
        value = 4.0
        row = np.zeros((1, 12), np.float32)
        row[0, at] = np.exp(-value / 28) if name.endswith("recency") else np.log1p(value)
        wanted = dict(zip(outputs(), answer(row)[0], strict=True))
        words = tokens.names(tokens.load(lake), "order", "topic")
        got = {words[int(c)]: v for c, v in zip(pipeline.categories, pipeline.predict_raw({name: {word: value}}), strict=True)}
        assert got == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_a_csv_list_and_ids_do_as_well(tmp_path: Path) -> None:
    lake = shared()[0]
    by_name = job.body(lake, arguments(tmp_path))
    bundle = load_bundle(lake.config.home / "models" / REGION / str(by_name["version"]))
    order = np.argsort(bundle.tensors["columns"])
    ids = bundle.tensors["feature_ids"][order]
    listed = write(tmp_path / "features.csv", "".join(f"{i}\n" for i in ids))
    words = write(tmp_path / "categories.csv", "".join(f'"{word}"\n' for word in outputs()))
    assert job.body(lake, arguments(tmp_path, features=listed, categories=words)) == {**by_name, "skipped": True}


def test_golden_rows_are_the_given_ones(tmp_path: Path) -> None:
    lake, made = shared()
    rows = load_bundle(made.folder).golden.batch
    indices, values = to_arrow(rows)
    pq.write_table(pa.table({"indices": indices, "values": values}), tmp_path / "rows.parquet")
    names = [f"order.topic.recency={word}" for word in outputs(12)]
    given = arguments(tmp_path, rows=tmp_path / "rows.parquet", features=names)
    verdict = job.body(lake, given)
    golden = load_bundle(lake.config.home / "models" / REGION / str(verdict["version"])).golden.batch
    kept = {tuple(golden.rows(i, i + 1).indices.tolist()) for i in range(len(golden))}
    assert kept <= {tuple(rows.rows(i, i + 1).indices.tolist()) for i in range(len(rows))}
    assert len(golden) >= 3


def operator(domain: str) -> bytes:
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["users", 12])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["users", 3])
    node = helper.make_node("Oracle", ["rows"], ["answer"], domain=domain)
    return graphs.saved(helper.make_graph([node], "custom", [rows], [answer]), domain)


def outside() -> bytes:
    model = onnx.load_model_from_string(graphs.dense(12, 3)[0])
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")
    return model.SerializeToString()


def hidden_outside() -> bytes:
    """Return a graph whose weights in another file are inside a constant's attribute."""
    model = onnx.load_model_from_string(graphs.dense(12, 3)[0])
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "far")
    onnx.external_data_helper.set_external_data(tensor, "far.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["far"], value=tensor))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (lambda: b"", "no whole ONNX graph"),
        (lambda: b"no graph", "this is no ONNX file"),
        (lambda: operator("com.maker"), r"operators that only the maker's runtime has .*for example com\.maker\.Oracle"),
        (outside, "weights lie in another file"),
        (hidden_outside, "weights lie in another file"),
        (lambda: graphs.dense(11, 3)[0], "does not take 12 columns"),
        (lambda: graphs.dense(12, 4)[0], r"answers \(1, 4\) to 1 rows, not \(1, 3\)"),
        (lambda: graphs.sparse(12, 3)[0], "a dense graph has one float32 input"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(tmp_path: Path, graph: Callable[[], bytes], says: str) -> None:
    assert re.search(says, refused(tmp_path, graph()))


def test_a_dense_graph_given_as_sparse_is_refused(tmp_path: Path) -> None:
    assert "a sparse graph has indices" in refused(tmp_path, input="sparse")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (lambda: {"features": [*columns(11), "order.topic.recency=nowhere"]}, "for example order.topic.recency=nowhere"),
        (lambda: {"features": [*columns(11), 31]}, "columns that the features table never has (1 in all"),
        (lambda: {"features": [*columns(11), -1]}, "columns that the features table never has"),
        (lambda: {"features": [*columns(11), columns(1)[0]]}, "entries stand twice (1 in all)"),
        (lambda: {"features": []}, "no list of ids or words"),
        (lambda: {"features": {"a": 1}}, "no list of ids or words"),
        (lambda: {"features": [1.5]}, "no list of ids or words"),
        (lambda: {"categories": ["a", "b", "c"]}, "outputs that are no category (3 in all"),
        (lambda: {"categories": [10**6, *outputs(2)]}, "for example 1000000"),
        (lambda: {"categories": Path("/nowhere.json")}, "cannot be read"),
        (lambda: {"rows": Path("/nowhere.parquet"), "force": True}, "these are no feature rows"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, changes: Callable[[], dict[str, Any]], says: str) -> None:
    assert says in refused(tmp_path, **changes())


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["users", 12])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["users", 3])
    logs = helper.make_node("Log", ["few"], ["answer"])
    nodes = [helper.make_node("Gemm", ["rows", "weights"], ["few"]), logs]
    weights = numpy_helper.from_array(np.full((12, 3), -1, np.float32), "weights")
    graph = graphs.saved(helper.make_graph(nodes, "logs", [rows], [answer], [weights]))
    assert "the graph answers what is no number" in refused(tmp_path, graph)
    assert job.body(shared()[0], arguments(tmp_path, graphs.dense(12, 3)[0]))["features"] == 12
