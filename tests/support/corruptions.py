"""Ways to spoil a bundle: each is a function that damages a copy of a good one."""

import copy
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import ARRAYS, GOLDEN, MANIFEST, STEPS, WEIGHTS, load_bundle, sha256, write_bundle
from tests.support.trained import copied_bundle, shared

FILES = (MANIFEST, *ARRAYS)
Damage = Callable[[Path], None]
Change = Callable[[np.ndarray], np.ndarray]
Arrays = dict[str, dict[str, np.ndarray]]
GIGABYTE = 2**30


@dataclass(frozen=True)
class Corruption:
    """One way to spoil a bundle."""

    name: str
    damage: Damage
    digest: bool = False
    """Whether the loader is told which digest the bundle had: else it must see the damage by itself."""


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_bytes())


def write_manifest(folder: Path, manifest: Any) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest))


def with_manifest(change: Callable[[dict[str, Any]], None]) -> Damage:
    """Return the damage of a manifest that describes its files rightly and says something else of the model."""

    def damage(folder: Path) -> None:
        manifest = manifest_of(folder)
        change(manifest)
        write_manifest(folder, manifest)

    return damage


def with_file(name: str, data: bytes) -> Damage:
    """Return the damage of a file that the manifest describes as it now is."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(data)
        manifest = manifest_of(folder)
        manifest["files"][name] = {"bytes": len(data), "sha256": sha256(data)}
        write_manifest(folder, manifest)

    return damage


def arrays_of(folder: Path) -> Arrays:
    bundle = load_bundle(folder)
    steps = {f"{at}.{name}": array for at, arrays in enumerate(bundle.step_tensors) for name, array in arrays.items()}
    return {WEIGHTS: dict(bundle.tensors), STEPS: steps, GOLDEN: bundle.golden.arrays()}


def with_arrays(change: Callable[[Arrays], None]) -> Damage:
    """Return the damage of arrays, written with a manifest that describes them."""

    def damage(folder: Path) -> None:
        arrays = copy.deepcopy(arrays_of(folder))
        change(arrays)
        manifest = {k: v for k, v in manifest_of(folder).items() if k not in {"files", "format"}}
        write_bundle(folder, manifest, arrays, {})

    return damage


def edited(name: str, edit: Callable[[bytearray], None]) -> Damage:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        edit(data)
        (folder / name).write_bytes(data)

    return damage


def bytes_of_files() -> Iterator[Corruption]:
    """Yield flipped, missing and added bytes of every file."""
    for name in FILES:
        size = (shared()[1].folder / name).stat().st_size
        for at in np.unique(np.linspace(0, size - 1, 20).astype(int)).tolist():
            flip = edited(name, lambda data, at=at: data.__setitem__(at, data[at] ^ 1))
            yield Corruption(f"{name}: byte {at} flipped", flip, digest=name == MANIFEST)
        for left in (0, 1, size // 2, size - 1):
            cut = edited(name, lambda data, left=left: data.__delitem__(slice(left, None)))
            yield Corruption(f"{name}: cut to {left} bytes", cut)
        for more in (b"\n", b"\0" * 4096):
            add = edited(name, lambda data, more=more: data.extend(more))
            yield Corruption(f"{name}: {len(more)} bytes added", add, digest=name == MANIFEST)
        yield Corruption(f"{name}: missing", lambda folder, name=name: (folder / name).unlink())
        yield Corruption(f"{name}: a link to the file outside", lambda folder, name=name: linked(folder / name))
        yield Corruption(f"{name}: a folder", lambda folder, name=name: ((folder / name).unlink(), (folder / name).mkdir()))
        yield Corruption(f"{name}: a pipe that nobody writes to", lambda folder, name=name: piped(folder / name))
        yield Corruption(f"{name}: a gigabyte of nothing", lambda folder, name=name: os.truncate(folder / name, GIGABYTE))


def linked(path: Path) -> None:
    outside = path.parent.with_name("outside")
    shutil.move(path, outside)
    path.symlink_to(outside)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@cache
def another() -> Path:
    """Return the folder of another good bundle: the same model with other feature ids, and its own golden rows."""
    folder = copied_bundle(shared()[0].config.home.with_name("another"))

    def shift(arrays: Arrays) -> None:
        arrays[WEIGHTS]["calibration.offset"] += 0.25
        known = arrays[GOLDEN]["expected"]
        arrays[GOLDEN]["expected"] = (1 / (1 + np.exp(-(np.log(known / (1 - known)) + 0.25)))).astype(np.float32)

    with_arrays(shift)(folder)
    assert load_pipeline(folder).categories is not None
    return folder


def foreign_parts() -> Iterator[Corruption]:
    """Yield files and arrays of other models and other formats."""
    for name in FILES:
        take = lambda folder, name=name: shutil.copy(another() / name, folder / name)  # noqa: E731
        if name != STEPS:  # both have the same steps
            yield Corruption(f"{name}: that of another bundle", take, digest=True)
        pickled = pickle.dumps({"format": 2, "kind": "propensity_network", "w": np.zeros(3)})
        yield Corruption(f"{name}: a pickle", edited(name, lambda data, p=pickled: data.__setitem__(slice(None), p)))
        if name != MANIFEST:
            yield Corruption(f"{name}: a pickle that is described", with_file(name, pickled))
            for what, header in {
                "a header of a gigabyte": struct.pack("<Q", GIGABYTE),
                "a header of 2**64 bytes": b"\xff" * 8,
                "no header": b"",
                "a header that is no JSON": struct.pack("<Q", 4) + b"{{{{",
                "nested headers": struct.pack("<Q", 200_000) + b"[" * 200_000,
                "an array of a gigabyte": header_of("F32", [GIGABYTE], 4 * GIGABYTE),
                "an array beyond memory": header_of("F32", [2**62, 0], 0),
                "an unknown type": header_of("F8_E4M3", [0], 0),
                "no array of ours": header_of("F32", [0], 0),
            }.items():
                yield Corruption(f"{name}: {what}", with_file(name, header))


def header_of(kind: str, shape: list[int], size: int) -> bytes:
    data = json.dumps({"w": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(data)) + data


def arrays_spoiled() -> Iterator[Corruption]:
    """Yield arrays that are missing, of another type or shape, or not numbers, each with a consistent manifest."""
    arrays = arrays_of(shared()[1].folder)
    every = [(file, name) for file in ARRAYS for name in arrays[file]]
    for where, name in every:
        yield Corruption(f"{where} {name}: missing", with_arrays(lambda a, where=where, name=name: a[where].pop(name)))
        for what, change in spoiled(arrays[where][name]).items():
            yield Corruption(f"{where} {name}: {what}", with_arrays(put(where, name, change)))


def put(where: str, name: str, change: Change) -> Callable[[Arrays], None]:
    """Return the change of one array."""
    return lambda arrays: arrays[where].update({name: change(arrays[where][name])})


def spoiled(array: np.ndarray) -> dict[str, Change]:
    """Return what can be wrong with an array."""
    changes: dict[str, Change] = {"one axis more": lambda x: x[None]}
    if len(array):
        changes["the last row missing"] = lambda x: x[:-1]
    if array.dtype.kind == "f":
        changes["in double precision"] = lambda x: x.astype(np.float64)
    if array.dtype.kind == "f" and array.size:
        changes |= {"the last number is none": last_is(np.nan), "the last number is infinite": last_is(np.inf)}
    return changes


def last_is(value: float) -> Change:
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed.flat[-1] = value
        return changed

    return change


def maps_of_others() -> Iterator[Corruption]:
    """Yield the feature map or the categories of another model, with a consistent manifest."""
    for name in ("feature_ids", "categories"):
        for what, change in {
            "shifted by one": lambda ids: ids + 1,
            "descending": lambda ids: ids[::-1].copy(),
            "one id twice": lambda ids: np.sort(np.concatenate([ids[:1], ids[:-1]])),
            "below zero": lambda ids: ids - ids[0] - 1,
        }.items():
            if (name, what) != ("categories", "shifted by one"):  # names of the same scores: only the digest tells
                yield Corruption(f"{name}: {what}", with_arrays(put(WEIGHTS, name, change)))


def calibrations() -> Iterator[Corruption]:
    """Yield slopes, thresholds and promises that cannot be."""
    for what, name, change in (
        ("a slope of zero", "calibration.slope", last_is(0.0)),
        ("a slope below zero", "calibration.slope", last_is(-1.0)),
        ("a threshold above one", "thresholds", last_is(1.5)),
        ("a threshold of zero", "thresholds", last_is(0.0)),
        ("a promise missing", "thresholds", lambda x: x[:-1]),
    ):
        yield Corruption(f"calibration: {what}", with_arrays(put(WEIGHTS, name, change)))
    wrong: tuple[Any, ...] = (None, 0.5, [], [0.3], [0.7, 0.5, 0.3], [0.3, 0.5, 1.5], [0.3, 0.5, "0.7"], [0.3, 0.5, None], "357")
    for value in wrong:
        edit = with_manifest(lambda m, value=value: m["calibration"].update(precisions=value))
        yield Corruption(f"calibration: precisions are {value!r}", edit)
    for value in (None, 0, 1.5, "0.9", []):
        edit = with_manifest(lambda m, value=value: m["calibration"].update(confidence=value))
        yield Corruption(f"calibration: confidence is {value!r}", edit)


GROUPS: tuple[Callable[[], Iterator[Corruption]], ...] = (
    bytes_of_files,
    foreign_parts,
    arrays_spoiled,
    maps_of_others,
    calibrations,
)
