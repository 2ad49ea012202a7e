"""Make a bundle of a model that was trained elsewhere and comes as an ONNX graph."""

import csv
import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from propensity.config import MAX_CHANNELS, Config
from propensity.contracts import FEATURES
from propensity.errors import DataError
from propensity.features import tokens
from propensity.features.csr import IntArray, SparseBatch, from_arrow
from propensity.features.tokens import Vocabulary
from propensity.features.windows import training_cutoffs
from propensity.models.feature_map import FeatureMap
from propensity.models.golden import GOLDEN_ROWS, golden_of
from propensity.models.onnx_model import FAILURES, Convention, OnnxPredictor
from propensity.models.raw_features import channels_of, raw_steps
from propensity.models.versions import RECIPE, bundle_folder, digest_of, settings_digest, version_name
from propensity.pipeline.bundle import bundle_digest, load_bundle, save_bundle, sha256
from propensity.storage import Lake

STANDARD = ("", "ai.onnx", "ai.onnx.ml")
"""Domains of operators that every runtime has."""
Listed = Sequence[int | str]


@dataclass(frozen=True)
class Foreign:
    """What the maker of a model hands over."""

    graph: Path
    features: Path
    """The columns in the graph's order: feature ids, or ``event type.field.channel=word``."""
    categories: Path
    """The outputs in the graph's order: category ids, or words of the label's field."""
    convention: Convention
    rows: Path | None = None
    """A Parquet file with `indices` and `values` as the features table has them, to make golden rows of."""


@dataclass(frozen=True)
class Adopted:
    """A bundle of a model made elsewhere."""

    version: str
    digest: str
    features: int
    categories: int
    skipped: bool


def adopt(lake: Lake, region: str, score_date: dt.date, foreign: Foreign, force: bool = False) -> Adopted:
    """Check the graph and its lists, score golden rows with it, save the bundle; raise DataError when something does not fit."""
    config, vocabulary = lake.config, tokens.load(lake)
    graph = read_graph(foreign.graph)
    features = feature_ids(config, vocabulary, read_list(foreign.features), foreign.features)
    categories = category_ids(config, vocabulary, read_list(foreign.categories), foreign.categories)
    inputs = digest_of([RECIPE, sha256(graph), features.tolist(), categories.tolist(), asdict(foreign.convention)])
    version = version_name(score_date, inputs)
    folder = bundle_folder(config, region, version)
    if folder.is_dir() and not force:
        return Adopted(version, load_bundle(folder).digest, len(features), len(categories), skipped=True)
    predictor = predictor_of(graph, features, categories, foreign)
    golden = golden_of(_rows(lake, region, score_date, foreign, predictor), predictor)
    if not np.isfinite(golden.expected).all():
        raise DataError("the graph answers what is no number", where=str(foreign.graph), do="look at --missing and --output")
    manifest = {
        "version": version,
        "region": region,
        "score_date": score_date.isoformat(),
        "held_out": training_cutoffs(config, score_date)[0].isoformat(),
        "label": list(config.label_key),
        "channels": list(config.features.channel_names()),
        "config": {"settings": settings_digest(config)},
        "data": {"digest": sha256(graph), "windows": [], "rows": 0},
        "training": {"seed": 0, "device": "elsewhere", "epochs": 0, "choosing": [], "adopted": sha256(graph)},
    }
    save_bundle(folder, manifest, raw_steps(config, vocabulary, predictor.features.ids), predictor, golden)
    return Adopted(version, str(bundle_digest(folder)), len(features), len(categories), skipped=False)


def read_graph(path: Path) -> bytes:
    """Return a graph's bytes; raise DataError unless it is whole, stands alone and uses standard operators only."""
    try:
        data = path.read_bytes()
        model = onnx.load_model_from_string(data)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), do="give the path of an ONNX file") from None
    except (DecodeError, ValueError):
        raise DataError("this is no ONNX file", where=str(path), do="export it again") from None
    _refuse(model, path)
    return data


def _refuse(model: Any, path: Path) -> None:
    """Raise the DataError that says why a graph cannot be taken, if there is a reason."""
    if any(_outside(tensor) for tensor in _weights(model.graph)):
        do = "save it with everything in one file (save_as_external_data=False)"
        raise DataError("weights lie in another file", where=str(path), do=do)
    own = {function.domain for function in model.functions}
    nodes = [*_nodes(model.graph.node), *(n for function in model.functions for n in _nodes(function.node))]
    custom = sorted({f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in STANDARD and n.domain not in own})
    if custom:
        do = "export it with standard operators"
        raise DataError("operators that only the maker's runtime has", where=str(path), count=len(custom), examples=custom, do=do)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        line = " ".join(str(error).split())[:200]
        raise DataError(f"this is no whole ONNX graph: {line}", where=str(path), do="export it again") from None


def _outside(tensor: Any) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data)


def _nodes(nodes: Any) -> Iterator[Any]:
    """Yield the nodes, those of branches and loops among them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner.node)


def _weights(graph: Any) -> Iterator[Any]:
    """Yield every tensor that a graph holds."""
    yield from graph.initializer
    for node in _nodes(graph.node):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (tensor for inner in (attribute.g, *attribute.graphs) for tensor in inner.initializer)


def read_list(path: Path) -> Listed:
    """Return the entries of a JSON list, or the first column of a CSV file without a head; raise DataError when it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        entries: Any = json.loads(text) if path.suffix == ".json" else [row[0] for row in csv.reader(text.splitlines()) if row]
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), do="give a JSON or CSV file") from None
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise DataError(f"this is no list: {' '.join(str(error).split())[:120]}", where=str(path), do="mend the file") from None
    if not isinstance(entries, list) or not entries or any(type(e) not in (int, str) for e in entries):
        raise DataError("this is no list of ids or words", where=str(path), do="write one id or one word an entry")
    plain = path.suffix != ".json"  # CSV knows no numbers, so there a whole number is an id
    listed: Listed = [int(e) if plain and e.isdecimal() else e for e in entries]
    if len(set(listed)) != len(listed):
        raise DataError("entries stand twice", where=str(path), count=len(listed) - len(set(listed)), do="list each once")
    return listed


def feature_ids(config: Config, vocabulary: Vocabulary, listed: Listed, where: Path) -> IntArray:
    """Return the feature id of each column; raise DataError, naming them, for what the features table never has."""
    masks = vocabulary.channel_masks(config.features)
    known: dict[str, int] = {}
    for field in config.features.fields:
        words = tokens.names(vocabulary, field.event_type, field.field)
        for channel, slot in channels_of(config, field).items():
            name = f"{field.event_type}.{field.field}.{channel}"
            known |= {f"{name}={word}": token * MAX_CHANNELS + slot for token, word in words.items()}
    ids = [known.get(entry, -1) if isinstance(entry, str) else entry for entry in listed]
    wrong = [e for e, i in zip(listed, ids, strict=True) if not _has(masks, i)]
    return _all_known(ids, wrong, "columns that the features table never has", where)


def _has(masks: Any, feature: int) -> bool:
    token, slot = divmod(feature, MAX_CHANNELS)
    return 0 <= token < len(masks) and bool((int(masks[token]) >> slot) & 1)


def category_ids(config: Config, vocabulary: Vocabulary, listed: Listed, where: Path) -> IntArray:
    """Return the category id of each output; raise DataError, naming them, for what is no category."""
    words = {word: token for token, word in tokens.names(vocabulary, *config.label_key).items()}
    known = set(words.values())
    ids = [words.get(entry, -1) if isinstance(entry, str) else entry for entry in listed]
    return _all_known(ids, [e for e, i in zip(listed, ids, strict=True) if i not in known], "outputs that are no category", where)


def _all_known(ids: Sequence[int], wrong: Listed, what: str, where: Path) -> IntArray:
    if wrong:
        do = "list them as this project's tables name them, and land the events they come from"
        raise DataError(what, where=str(where), count=len(wrong), examples=list(wrong[:5]), do=do)
    if len(set(ids)) != len(ids):
        raise DataError("an id and its word stand for the same entry", where=str(where), do="list each once")
    return np.array(ids, np.int32)


def predictor_of(graph: bytes, features: IntArray, categories: IntArray, foreign: Foreign) -> OnnxPredictor:
    """Return the predictor of a graph; raise DataError when it does not run or its shapes are not those of the lists."""
    columns, outputs = np.argsort(features).astype(np.int32), np.argsort(categories).astype(np.int32)
    try:
        return OnnxPredictor(FeatureMap(features[columns]), columns, categories[outputs], outputs, graph, foreign.convention)
    except FAILURES as error:
        line = " ".join(str(error).split())[:300]
        do = "make lists, --input and --output fit the graph"
        raise DataError(f"the graph does not take {len(features)} columns and give {len(categories)} outputs: {line}",
                        where=str(foreign.graph), do=do) from None  # fmt: skip


def _rows(lake: Lake, region: str, score_date: dt.date, foreign: Foreign, predictor: OnnxPredictor) -> SparseBatch:
    """Return rows to make golden ones of: the given file's, else the region's at the score date, else made up."""
    if foreign.rows is not None:
        try:
            return _known(_batch(pq.read_table(foreign.rows, columns=["indices", "values"])), predictor)
        except (OSError, pa.ArrowInvalid, pa.ArrowTypeError, AttributeError) as error:
            line = " ".join(str(error).split())[:120]
            raise DataError(f"these are no feature rows: {line}", where=str(foreign.rows), do="see --rows") from None
    for file in lake.files(FEATURES, region=region, score_date=score_date.isoformat()):
        found = _known(_batch(lake.read(FEATURES.name, file)), predictor)
        if len(found):
            return found
    return made_up(predictor)


FEATURE_COLUMNS = ("indices", "values")


def _batch(table: pa.Table) -> SparseBatch:
    rows = table.combine_chunks()
    indices, values = (pa.concat_arrays(rows[name].chunks) for name in FEATURE_COLUMNS)
    return from_arrow(indices.cast(pa.list_(pa.int32())), values.cast(pa.list_(pa.float32()))).check()


def _known(batch: SparseBatch, predictor: OnnxPredictor) -> SparseBatch:
    return batch.take(np.flatnonzero(np.diff(predictor.features.dense_rows(batch)[0].offsets) > 0))


def made_up(predictor: OnnxPredictor) -> SparseBatch:
    """Return rows of the model's own features, more and more of them; always the same ones."""
    generator, ids = np.random.default_rng(0), predictor.features.ids
    lengths = np.unique(np.linspace(1, min(len(ids), 100), GOLDEN_ROWS).astype(np.int64))
    picks = [np.sort(generator.choice(len(ids), int(n), replace=False)) for n in np.resize(lengths, GOLDEN_ROWS)]
    values = [np.log1p(generator.integers(1, 9, len(p))).astype(np.float32) for p in picks]
    offsets = np.cumsum([0, *map(len, picks)]).astype(np.int64)
    return SparseBatch(ids[np.concatenate(picks)], np.concatenate(values), offsets)
