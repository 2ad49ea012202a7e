"""Ways to spoil a bundle's manifest, the pipeline's steps included."""

from collections.abc import Callable, Iterator
from typing import Any

from propensity.pipeline.bundle import MANIFEST, sha256
from tests.support.corruptions import GROUPS, Corruption, edited, with_manifest


def manifests() -> Iterator[Corruption]:
    """Yield manifests that are none, or say what cannot be."""
    file = {"bytes": 1, "sha256": sha256(b"x")}
    deep = b'{"format": 2, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    contents = {
        "empty": b"",
        "a list": b"[]",
        "nothing": b"{}",
        "null": b"null",
        "not UTF-8": b"\xff\xfe{}",
        "not JSON": b"{'format': 2}",
        "nested deeply": deep,
        "nested and open": b"[" * 1_000_000,
        "a number of many digits": b'{"format": ' + b"2" * 10_000 + b"}",
    }
    for what, content in contents.items():
        yield Corruption(f"a manifest: {what}", lambda folder, content=content: (folder / MANIFEST).write_bytes(content))
    twice = edited(MANIFEST, lambda data: data.__setitem__(slice(0, 1), b'{"kind": "x",'))
    yield Corruption("a manifest: a key stands twice", twice)
    names = ("../x", "/etc/hostname", "a/../../x", "model.", "model.x/../y", "pipeline.json", "model.onnx\n", "MODEL.onnx", "")
    for name in names:
        yield Corruption(f"a manifest: it names {name!r}", with_manifest(lambda m, name=name: m["files"].update({name: file})))
    yield Corruption("model.onnx: described but absent", with_manifest(lambda m: m["files"].update({"model.onnx": file})))
    yield Corruption("model.onnx: there but not described", lambda folder: (folder / "model.onnx").write_bytes(b"x"))
    yield Corruption("more.safetensors: there but not described", lambda folder: (folder / "more.safetensors").write_bytes(b"x"))
    values: tuple[Any, ...] = (None, 0, 2.5, "x", [], {}, [[]], {"a": 1}, "nobody's kind")
    for key in ("format", "kind", "steps", "files", "history", "calibration"):
        yield Corruption(f"a manifest: no {key}", with_manifest(lambda m, key=key: m.pop(key)))
        for value in values:
            edit = with_manifest(lambda m, key=key, value=value: m.update({key: value}))
            yield Corruption(f"a manifest: {key} is {value!r}", edit)


def step_lists() -> Iterator[Corruption]:
    """Yield pipelines that are none."""
    changes: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
        "out of order": lambda steps: steps.reverse(),
        "without the vectoriser": lambda steps: steps.pop(0),
        "with two vectorisers": lambda steps: steps.insert(0, steps[0]),
        "after a step over records": lambda steps: steps.append({"kind": "normalise", "names": ["x"]}),
        "with an unknown one": lambda steps: steps.append({"kind": "eval"}),
        "with one of no kind": lambda steps: steps.append({}),
        "with a kind that is no string": lambda steps: steps.append({"kind": ["clip"]}),
        "with one that is no object": lambda steps: steps.append("clip"),
        "with one whose arrays are missing": lambda steps: steps.append({"kind": "standardise"}),
        "with a setting too many": lambda steps: steps.append({"kind": "drop_zeros", "when": 1}),
        "with a setting too few": lambda steps: steps.append({"kind": "decay", "slots": None}),
        "with a slot that is none": lambda steps: steps.append({"kind": "log1p", "slots": [99]}),
        "with half a slot": lambda steps: steps.append({"kind": "log1p", "slots": [0.5]}),
        "with ends that cross": lambda steps: steps.append({"kind": "clip", "slots": None, "low": 2, "high": 1}),
        "with an end that is a list": lambda steps: steps.append({"kind": "clip", "slots": None, "low": [1], "high": None}),
        "with no number of days": lambda steps: steps.insert(0, {"kind": "decayed_counts", "names": ["x"], "days": "28"}),
        "with a pattern that is none": lambda steps: steps.insert(
            0, {"kind": "tokenise", "names": ["x"], "pattern": "(", "separator": None}
        ),
        "with half a length": lambda steps: steps.insert(
            0, {"kind": "truncate_or_pad", "names": ["x"], "length": 2.5, "pad": "", "kept": "first"}
        ),
        "with a lookup that learned nothing": lambda steps: steps.insert(
            0, {"kind": "vocabulary_lookup", "names": ["x"], "min_count": 1, "max_size": None, "unknown": None}
        ),
    }
    for what, change in changes.items():
        yield Corruption(f"steps: {what}", with_manifest(lambda m, change=change: change(m["steps"])))


EVERY_GROUP: tuple[Callable[[], Iterator[Corruption]], ...] = (*GROUPS, manifests, step_lists)
