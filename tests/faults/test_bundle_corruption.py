"""A bundle that is not, to the byte, what training left is refused in one line before a row is scored.

Something else under a consistent manifest must be refused, or be a model whose golden rows replay: whoever can write a consistent
bundle can write a model, and the digest that a run is given is the guard.
"""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.corrupt_manifests import EVERY_GROUP
from tests.support.corruptions import (
    GIGABYTE,
    Change,
    Corruption,
    Damage,
    arrays_of,
    manifest_of,
    with_arrays,
    with_manifest,
    write_manifest,
)
from tests.support.trained import copied_bundle, shared

from propensity.errors import BundleError
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import (
    ARRAYS,
    GOLDEN_TOLERANCE,
    MANIFEST,
    WEIGHTS,
    bundle_digest,
    load_bundle,
    replay_golden,
    write_bundle,
)


@pytest.mark.parametrize("group", EVERY_GROUP)
def test_every_corruption_is_refused_in_one_line(tmp_path: Path, group: Callable[[], Iterator[Corruption]]) -> None:
    good = shared()[1]
    for number, corruption in enumerate(group()):
        folder = copied_bundle(tmp_path / str(number))
        corruption.damage(folder)
        try:
            load_pipeline(folder, good.digest if corruption.digest else None)
        except BundleError as error:
            line = str(error)
            assert "\n" not in line, corruption.name
            assert len(line) < 1000, corruption.name
            assert str(folder) in line, corruption.name
        else:
            pytest.fail(f"loaded, although {corruption.name}")
        shutil.rmtree(folder.parent)


def test_there_are_hundreds_of_corruptions_each_by_its_own_name() -> None:
    names = [corruption.name for group in EVERY_GROUP for corruption in group()]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


def test_the_bundle_that_all_are_copies_of_is_good_and_files_of_others_may_lie_beside(tmp_path: Path) -> None:
    folder = copied_bundle(tmp_path)
    (folder / "card.html").write_text("a model card")
    assert load_pipeline(folder, shared()[1].digest).steps


def test_the_digest_of_a_manifest_too_large_to_be_ours_is_not_computed(tmp_path: Path) -> None:
    folder = copied_bundle(tmp_path)
    os.truncate(folder / MANIFEST, GIGABYTE)
    with pytest.raises(BundleError, match="bytes"):
        bundle_digest(folder)


def only_one(name: str) -> Damage:
    return with_arrays(lambda arrays: arrays[WEIGHTS].update({name: arrays[WEIGHTS][name][:1]}))


@pytest.mark.parametrize(
    "damage",
    [
        only_one("history_values.weight"),
        only_one("history_values.bias"),
        with_manifest(lambda manifest: manifest["history"]["slots"].pop()),
        with_manifest(lambda manifest: manifest["history"]["channels"].pop()),
        with_manifest(lambda manifest: manifest["history"].update(slots=[0] * len(manifest["history"]["slots"]))),
        with_manifest(lambda manifest: manifest["history"]["slots"].__setitem__(0, -1)),
    ],
)
def test_what_compiled_code_would_read_beyond_is_refused_before_it_runs(tmp_path: Path, damage: Damage) -> None:
    folder = copied_bundle(tmp_path)
    damage(folder)
    with pytest.raises(BundleError, match="parts do not fit together"):
        load_pipeline(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-3, 40) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["vectorise", "clip", "normalise", "standardise", "propensity_network", "field_embedding", "xgboost"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.just("kind"), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
copied = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, inner in inside for place in places(inner, (*path, key)))]


def refused_or_sound(folder: Path) -> None:
    """Raise unless the bundle is refused, or is a model whose golden rows replay."""
    try:
        pipeline = load_pipeline(folder)
    except BundleError:
        return
    assert replay_golden(load_bundle(folder), pipeline.predictor) <= GOLDEN_TOLERANCE


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    return copied_bundle(tmp_path)


@copied
@given(data=st.data())
def test_any_other_value_anywhere_in_a_manifest_is_refused_or_is_a_model_that_replays(spare: Path, data: st.DataObject) -> None:
    manifest = manifest_of(shared()[1].folder)
    *way, last = data.draw(st.sampled_from(places(manifest)))
    inside = manifest
    for key in way:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[last] = data.draw(JSON)
    else:
        del inside[last]
    write_manifest(spare, manifest)
    refused_or_sound(spare)


CHANGES: dict[str, Change] = {
    "none": lambda x: x[:0],
    "doubled": lambda x: np.concatenate([x, x]),
    "flat": lambda x: x.reshape(-1),
    "a single one": lambda x: x.reshape(-1)[:1],
    "no axis": lambda x: x.sum(),
    "turned": lambda x: x.T.copy(),
    "backwards": lambda x: x[::-1].copy(),
    "bytes": lambda x: x.reshape(-1).view(np.uint8).copy(),
    "half precision": lambda x: x.astype(np.float16),
    "long": lambda x: x.astype(np.int64),
    "yes or no": lambda x: x != 0,
    "huge": lambda x: np.full_like(x, 3e38 if x.dtype.kind == "f" else 127),
    "below zero": lambda x: (-1 - np.abs(x.astype(np.float64))).astype(x.dtype),
}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid", "ignore:divide")
@copied
@given(data=st.data())
def test_any_other_array_is_refused_or_is_a_model_that_replays(spare: Path, data: st.DataObject) -> None:
    arrays = copy.deepcopy(arrays_of(shared()[1].folder))
    file = data.draw(st.sampled_from(ARRAYS))
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(sorted(arrays[file])))
        change = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))]
        arrays[file][name] = np.asarray(change(np.atleast_1d(arrays[file][name])))
    manifest = {k: v for k, v in manifest_of(shared()[1].folder).items() if k not in {"files", "format"}}
    write_bundle(spare, manifest, arrays, {})
    refused_or_sound(spare)
