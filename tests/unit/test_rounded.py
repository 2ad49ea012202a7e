"""One rounded copy of the weights for every process of a host: the same bits, never a damaged file, nothing that piles up."""

import hashlib
import json
import multiprocessing
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.trained import copied_bundle, shared

from propensity.engine import worker_model
from propensity.engine.worker_model import Champion, model_of
from propensity.errors import BundleError, MachineError
from propensity.features.csr import FloatArray
from propensity.models import rounded as room
from propensity.models.loading import load_pipeline
from propensity.models.reduced import TABLE, TYPES, ReducedPredictor
from propensity.models.rounded import HEADER, Place, rounded
from propensity.pipeline.bundle import load_bundle

KINDS = (torch.float16, torch.bfloat16)
DIGEST = "a" * 64
AT_ONCE = 6


def weights(rows: int = 33, width: int = 5, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).standard_normal((rows, width), np.float32)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one.view(torch.int16), other.view(torch.int16))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != room.LOCK)


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_scores_are_the_very_bits_of_weights_in_memory(tmp_path: Path, precision: str, device: str) -> None:
    exact, golden = load_pipeline(shared()[1].folder).predictor, load_bundle(shared()[1].folder).golden.batch
    place = Place(tmp_path / "coast", DIGEST)
    first, second = (ReducedPredictor(exact, precision, device, place) for _ in range(2))  # who writes, who finds
    mapped = precision != "float32" and device == "cpu"
    assert place.folder.exists() == mapped
    if device == "cpu":
        wanted = ReducedPredictor(exact, precision).raw(golden)
        for predictor in (first, second):
            got = predictor.raw(golden)
            assert got.logits.tobytes() == wanted.logits.tobytes()
            assert got.source.tobytes() == wanted.source.tobytes()
    assert first._weights[TABLE].dtype == TYPES[precision]


@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 40), st.sampled_from(KINDS))
def test_rounding_in_parts_is_rounding_at_once(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int, at_once: int, kind: torch.dtype
) -> None:
    weight = weights(rows, width) * np.float32(1e5)  # some are infinite in float16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "ROWS", at_once)
        got = rounded(Place(tmp_path_factory.mktemp("parts"), DIGEST), weight, kind)
    assert same_bits(got, torch.from_numpy(weight).to(kind))


def _in_a_process(folder: Path, together: Any, results: Any) -> None:
    torch.set_num_threads(1)  # as in a worker; a forked process cannot use its parent's threads
    weight = weights(20_000, 32)
    together.wait(60)
    got = rounded(Place(folder, DIGEST), weight, torch.bfloat16)
    regions = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    results.put(({int(region[4]) for region in regions}, got.view(torch.int16).numpy().tobytes()))


def test_processes_that_ask_at_once_map_one_file(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    together, results = forked.Barrier(AT_ONCE), forked.Queue()
    started = [forked.Process(target=_in_a_process, args=(tmp_path, together, results)) for _ in range(AT_ONCE)]
    for process in started:
        process.start()
    found = [results.get(timeout=60) for _ in started]
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    [file] = files_of(tmp_path)
    assert all(inodes == {file.stat().st_ino} for inodes, _ in found)
    wanted = torch.from_numpy(weights(20_000, 32)).to(torch.bfloat16).view(torch.int16).numpy().tobytes()
    assert all(data == wanted for _, data in found)


def test_threads_that_ask_at_once_write_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, write, together = [], room._write, Barrier(AT_ONCE)
    monkeypatch.setattr(room, "_write", lambda *given: (written.append(given[0]), write(*given)))
    weight = weights(2_000, 32)

    def ask(_: int) -> torch.Tensor:
        together.wait(60)
        return rounded(Place(tmp_path, DIGEST), weight, torch.float16)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tables = list(pool.map(ask, range(AT_ONCE)))
    assert len(written) == 1
    assert all(same_bits(table, torch.from_numpy(weight).to(torch.float16)) for table in tables)


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def _short_and_signed(data: bytes) -> bytes:
    told = json.loads(data[:HEADER]) | {"sha256": hashlib.sha256(data[HEADER:-2]).hexdigest()}
    return json.dumps(told).encode().ljust(HEADER) + data[HEADER:-2]


def _of_another_bundle(data: bytes) -> bytes:
    return data.replace(DIGEST.encode(), ("a" * 63 + "b").encode())  # whose file has the same name


DAMAGES = {
    "cut": _cut,
    "short and signed": _short_and_signed,
    "longer": lambda data: data + b"\0\0",
    "one bit": _flipped,
    "empty": lambda _: b"",
    "header alone": lambda data: data[:HEADER],
    "no header": lambda data: bytes(HEADER) + data[HEADER:],
    "another bundle": _of_another_bundle,
    "another shape": lambda data: data.replace(b"[33, 5]", b"[5, 33]"),
    "another format": lambda data: data.replace(b'"format": 1', b'"format": 0'),
    "another type": lambda data: data.replace(b'"bfloat16"', b'"floatb16"'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_written_again(tmp_path: Path, damage: str) -> None:
    weight, place = weights(), Place(tmp_path, DIGEST)
    rounded(place, weight, torch.bfloat16)
    [file] = files_of(tmp_path)
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(DAMAGES[damage](whole))
    assert file.read_bytes() != whole
    assert same_bits(rounded(place, weight, torch.bfloat16), torch.from_numpy(weight).to(torch.bfloat16))
    assert file.read_bytes() == whole
    assert files_of(tmp_path) == [file]


def test_an_intact_file_is_not_written_again(tmp_path: Path) -> None:
    rounded(Place(tmp_path, DIGEST), weights(), torch.bfloat16)
    [file] = files_of(tmp_path)
    before = file.stat()
    rounded(Place(tmp_path, DIGEST), weights(), torch.bfloat16)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_mapped_outlives_its_file(tmp_path: Path) -> None:
    table = rounded(Place(tmp_path, DIGEST), weights(2_000, 64), torch.bfloat16)
    [file] = files_of(tmp_path)
    file.unlink()
    assert same_bits(table, torch.from_numpy(weights(2_000, 64)).to(torch.bfloat16))


def test_of_a_region_the_last_bundles_stay_in_every_type(tmp_path: Path) -> None:
    tables = {}
    for number in range(4):
        place = Place(tmp_path, f"{number}" * 64)
        for kind in KINDS:
            tables[number, kind] = rounded(place, weights(seed=number), kind)
        for file in files_of(tmp_path):  # the clock of a file system may stand still for some milliseconds
            os.utime(file, ns=(int(file.name[0]) * 10**9, int(file.name[0]) * 10**9))
        kept = range(max(number - room.KEPT + 1, 0), number + 1)
        assert [file.name for file in files_of(tmp_path)] == [
            f"{n}" * 16 + f".{k}" for n in kept for k in ("bfloat16", "float16")
        ]
    for (number, kind), table in tables.items():
        assert same_bits(table, torch.from_numpy(weights(seed=number)).to(kind))


def test_what_was_just_written_stays_whatever_the_clocks_say(tmp_path: Path) -> None:
    for number in range(room.KEPT):
        rounded(Place(tmp_path, f"{number}" * 64), weights(), torch.float16)
    for file in files_of(tmp_path):
        os.utime(file, (10**10, 10**10))
    rounded(Place(tmp_path, "9" * 64), weights(), torch.float16)
    assert "9" * 16 in {file.stem for file in files_of(tmp_path)}
    assert len(files_of(tmp_path)) == room.KEPT


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    (tmp_path / f".{'b' * 16}.bfloat16.0.part").write_bytes(b"half")
    rounded(Place(tmp_path, DIGEST), weights(), torch.bfloat16)
    assert [file.name for file in files_of(tmp_path)] == ["a" * 16 + ".bfloat16"]


def test_a_disk_without_room_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * HEADER, limit[1]))  # bytes of a file, in a full disk's place
    try:
        with pytest.raises(MachineError, match=rf"{tmp_path}.*cannot be kept: .*To do: free disk space"):
            rounded(Place(tmp_path, DIGEST), weights(2_000, 32), torch.bfloat16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not files_of(tmp_path)
    assert rounded(Place(tmp_path, DIGEST), weights(2_000, 32), torch.bfloat16).shape == (2_000, 32)


def test_where_no_folder_can_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="rounded weights cannot be kept"):
        rounded(Place(tmp_path / "file" / "coast", DIGEST), weights(), torch.bfloat16)


@pytest.fixture
def nothing_loaded() -> Iterator[None]:
    worker_model._models.clear()
    yield
    worker_model._models.clear()


@pytest.mark.usefixtures("nothing_loaded")
def test_a_worker_keeps_them_in_the_home_by_region(tmp_path: Path) -> None:
    lake, made = shared()
    config = lake.config.model_copy(update={"home": tmp_path})
    reduced = model_of(Champion(made.version, made.digest, made.folder), config, "bfloat16")
    [file] = files_of(tmp_path / "rounded" / made.folder.parent.name)
    assert file.name == f"{made.digest[:16]}.bfloat16"
    golden = load_bundle(made.folder).golden.batch
    wanted = ReducedPredictor(load_pipeline(made.folder).predictor, "bfloat16").raw(golden).logits
    assert reduced.raw(golden).logits.tobytes() == wanted.tobytes()


@pytest.mark.usefixtures("nothing_loaded")
def test_a_bundle_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    lake, _ = shared()
    config = lake.config.model_copy(update={"home": tmp_path / "home"})
    with pytest.raises(BundleError):
        model_of(Champion("1", DIGEST, copied_bundle(tmp_path)), config, "bfloat16")
    assert not (tmp_path / "home").exists()
