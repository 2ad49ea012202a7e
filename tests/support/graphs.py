"""ONNX graphs of models made elsewhere: one that torch exports, one put together by hand."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

Maker = Callable[[np.ndarray], np.ndarray]


def dense(features: int, categories: int, probabilities: bool = False) -> tuple[bytes, Maker]:
    """Return a network that torch exports, and torch's own answer (B, C) to dense rows (B, D)."""
    torch.manual_seed(1)
    parts = [torch.nn.Linear(features, 8), torch.nn.ReLU(), torch.nn.Linear(8, categories)]
    network = torch.nn.Sequential(*parts, *([torch.nn.Sigmoid()] if probabilities else [])).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        axes = {"rows": {0: "users"}, "answer": {0: "users"}}
        names = {"input_names": ["rows"], "output_names": ["answer"], "dynamic_axes": axes}
        torch.onnx.export(network, (torch.zeros(2, features),), buffer, dynamo=False, **names)

    def answer(table: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(table)).numpy()

    return buffer.getvalue(), answer


def sparse(features: int, categories: int, index: int = TensorProto.INT64) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Return a linear model over indices, values and offsets, its weights (D, C) and its bias (C,)."""
    draw = np.random.default_rng(2).normal
    weights, bias = draw(size=(features, categories)), draw(size=categories)
    constants = {"weights": weights, "bias": bias, "none": np.zeros((1, categories)), "axis": np.array([1]), "first": np.array(0)}
    nodes = [
        helper.make_node("Gather", ["weights", "indices"], ["mine"]),
        helper.make_node("Cast", ["values"], ["exact"], to=TensorProto.DOUBLE),
        helper.make_node("Unsqueeze", ["exact", "axis"], ["column"]),
        helper.make_node("Mul", ["mine", "column"], ["products"]),
        # Sums over rows as differences of running sums, in float64: other rows leave no trace beyond its rounding.
        helper.make_node("CumSum", ["products", "first"], ["running"]),
        helper.make_node("Concat", ["none", "running"], ["padded"], axis=0),
        helper.make_node("Gather", ["padded", "offsets"], ["edges"]),
        helper.make_node("Slice", ["edges", "one", "many", "zero"], ["ends"]),
        helper.make_node("Slice", ["edges", "zero", "last", "zero"], ["starts"]),
        helper.make_node("Sub", ["ends", "starts"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["answer"], to=TensorProto.FLOAT),
    ]
    constants |= {"one": np.array([1]), "many": np.array([2**62]), "zero": np.array([0]), "last": np.array([-1])}
    inputs = [("indices", index), ("values", TensorProto.FLOAT), ("offsets", TensorProto.INT64)]
    graph = helper.make_graph(
        nodes, "sparse", [helper.make_tensor_value_info(name, kind, [name]) for name, kind in inputs],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["users", categories])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    return saved(graph), weights, bias


def saved(graph: onnx.GraphProto, *domains: str) -> bytes:
    """Return a graph as a model of standard operators and of other domains."""
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
