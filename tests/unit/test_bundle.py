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
from tests.support.trained import copied_bundle, shared

from propensity.errors import BundleError
from propensity.features.csr import SparseBatch
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import GOLDEN, MANIFEST, WEIGHTS, Bundle, Golden, load_bundle, replay_golden, save_bundle
from propensity.pipeline.predictor import Pipeline, Raw

FILES = (MANIFEST, WEIGHTS, GOLDEN)
SMALL = {"kind": "test", "version": "v1"}
GOLDEN_ROWS = Golden(to_batch([{1: 1.0}, {}]), np.full((2, 3), 0.5, np.float32))


def small_bundle(folder: Path) -> tuple[Path, str]:
    return folder / "b", save_bundle(folder / "b", SMALL, {"w": np.arange(6, dtype=np.float32)}, GOLDEN_ROWS)


def test_what_was_saved_is_what_is_loaded_and_the_same_content_gives_the_same_digest(tmp_path: Path) -> None:
    folder, digest = small_bundle(tmp_path)
    bundle = load_bundle(folder, digest)
    assert (bundle.kind, bundle.version, bundle.digest) == ("test", "v1", digest)
    np.testing.assert_array_equal(bundle.tensors["w"], np.arange(6, dtype=np.float32))
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
    [b"", b"[]", b"{}", b"\xff\xfe", pickle.dumps({"format": 1}), json.dumps({"format": 2, **SMALL, "files": {}}).encode(),
     json.dumps({"format": 1, **SMALL, "files": {"../x": {"bytes": 1, "sha256": ""}}}).encode(),
     json.dumps({"format": 1, **SMALL, "files": [WEIGHTS, GOLDEN]}).encode()],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder, _ = small_bundle(tmp_path)
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=MANIFEST):
        load_bundle(folder)


def test_no_bundle_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        load_bundle(tmp_path / "nowhere")


class Shifted:
    """A predictor whose scores differ from the golden ones by a little."""

    categories = np.arange(3, dtype=np.int32)

    def __init__(self, by: float) -> None:
        self.by = by

    def predict_raw(self, batch: SparseBatch) -> Raw:
        return Raw(np.full((len(batch), 3), self.by, np.float32), np.ones(len(batch), bool))


@pytest.mark.parametrize("by", [1e-3, -1e-3, float("nan")])
def test_scores_other_than_in_training_are_refused(tmp_path: Path, by: float) -> None:
    bundle = load_bundle(small_bundle(tmp_path)[0])
    assert replay_golden(bundle, Pipeline(Shifted(0.0))) == 0
    with pytest.raises(BundleError, match="golden"):
        replay_golden(bundle, Pipeline(Shifted(by)))


def rewritten(folder: Path, **tensors: np.ndarray) -> Path:
    """Save a bundle again with other tensors, its digests in order."""
    bundle: Bundle = load_bundle(folder)
    manifest = {k: v for k, v in bundle.manifest.items() if k not in ("files", "format")}
    save_bundle(folder, manifest, {**bundle.tensors, **tensors}, bundle.golden)
    return folder


def test_a_network_with_the_feature_map_of_another_is_refused(tmp_path: Path) -> None:
    ids = load_bundle(shared()[1].folder).tensors["feature_ids"]
    with pytest.raises(BundleError, match="golden"):
        load_pipeline(rewritten(copied_bundle(tmp_path), feature_ids=(ids + 1).astype(np.int32)))
    with pytest.raises(BundleError, match="fit together"):
        load_pipeline(rewritten(tmp_path / "bundle", feature_ids=ids[:-1]))
    with pytest.raises(BundleError, match="fit together"):
        load_pipeline(rewritten(tmp_path / "bundle", feature_ids=ids[::-1]))


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="unknown kind"):
        load_pipeline(small_bundle(tmp_path)[0])
