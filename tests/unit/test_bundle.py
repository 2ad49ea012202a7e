"""A bundle is whole or it is refused."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.sparse import to_batch
from tests.support.steps import Same

from propensity.errors import BundleError
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import GOLDEN, MANIFEST, STEPS, WEIGHTS, Golden, load_bundle, replay_golden, save_bundle
from propensity.pipeline.numeric import Log1p
from propensity.pipeline.vectoriser import Vectoriser

FILES = (MANIFEST, WEIGHTS, STEPS, GOLDEN, "model.json")
SMALL = {"version": "v1"}
GOLDEN_ROWS = Golden(to_batch([{1: 1.0}, {}]), np.full((2, 3), 0.5, np.float32))


def small_bundle(folder: Path) -> tuple[Path, str]:
    steps = [Vectoriser.fitted([{"brand": "acme"}]), Log1p((0, 2))]
    return folder / "b", save_bundle(folder / "b", SMALL, steps, Same(0.0), GOLDEN_ROWS)


def test_what_was_saved_is_what_is_loaded_and_the_same_content_gives_the_same_digest(tmp_path: Path) -> None:
    folder, digest = small_bundle(tmp_path)
    bundle = load_bundle(folder, digest)
    assert (bundle.kind, bundle.version, bundle.digest) == ("test", "v1", digest)
    np.testing.assert_array_equal(bundle.tensors["w"], np.arange(6, dtype=np.float32))
    assert [step["kind"] for step in bundle.manifest["steps"]] == ["vectorise", "log1p"]
    assert [sorted(arrays) for arrays in bundle.step_tensors] == [["0.ids", "0.offsets", "0.words"], []]
    assert bundle.model_files == {"model.json": b"{}"}
    assert small_bundle(tmp_path)[1] == digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)


def test_another_digest_than_the_asked_one_is_refused(tmp_path: Path) -> None:
    folder, _ = small_bundle(tmp_path)
    with pytest.raises(BundleError, match="digest"):
        load_bundle(folder, "0" * 64)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_one_flipped_byte_anywhere_is_refused(tmp_path: Path, name: str, where: float, change: int) -> None:
    folder, digest = small_bundle(tmp_path)
    path = folder / name
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= change
    path.write_bytes(data)
    with pytest.raises(BundleError):
        load_bundle(folder, digest)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, where: float) -> None:
    folder, _ = small_bundle(tmp_path)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(where * len(data))])
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_and_a_link_are_refused(tmp_path: Path, name: str) -> None:
    folder, _ = small_bundle(tmp_path)
    outside = tmp_path / "outside"
    shutil.move(folder / name, outside)
    with pytest.raises(BundleError, match="missing"):
        load_bundle(folder)
    (folder / name).symlink_to(outside)
    with pytest.raises(BundleError, match="plain file"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff\xfe", pickle.dumps({"format": 1}), json.dumps({"format": 2, **SMALL, "files": {}}).encode()],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder, _ = small_bundle(tmp_path)
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=MANIFEST):
        load_bundle(folder)


def test_no_bundle_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("by", [1e-3, -1e-3, float("nan")])
def test_scores_other_than_in_training_are_refused(tmp_path: Path, by: float) -> None:
    bundle = load_bundle(small_bundle(tmp_path)[0])
    assert replay_golden(bundle, Same(0.0)) == 0
    with pytest.raises(BundleError, match="golden"):
        replay_golden(bundle, Same(by))


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="unknown kind"):
        load_pipeline(small_bundle(tmp_path)[0])
