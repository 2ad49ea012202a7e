"""A model version on disk: one folder whose every byte is accounted for.

``pipeline.json`` says what the pipeline is, step by step, and holds the size and sha256 of every other file, so its own
sha256 is the bundle's digest.  Arrays are safetensors; a model made elsewhere is a file of its own.  Golden rows are real
feature rows with the scores the trainer computed.
"""

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as format_tensors

from propensity.errors import BundleError, DataError, MachineError
from propensity.features.csr import FloatArray, SparseBatch
from propensity.pipeline.mapping import mapped, tensors_in
from propensity.pipeline.pipeline import Step
from propensity.pipeline.predictor import SparsePredictor

FORMAT = 2
MANIFEST = "pipeline.json"
GOLDEN = "golden.safetensors"
WEIGHTS = "weights.safetensors"
STEPS = "steps.safetensors"
"""Arrays of the pipeline's steps, named by the step's position."""
ARRAYS = (WEIGHTS, STEPS, GOLDEN)
FOREIGN = re.compile(r"model\.[a-z]{2,8}")
"""What a model's own file may be called."""
MANIFEST_LIMIT = 64 * 2**20
"""Bytes; a larger manifest is not ours."""
GOLDEN_TOLERANCE = 1e-5
"""How far a golden row's probability may lie from the trainer's: another processor rounds differently."""
GOLDEN_KINDS = {"indices": ("int32", 1), "values": ("float32", 1), "offsets": ("int64", 1), "expected": ("float32", 2)}
"""Type and number of axes of each array."""
TRAIN_AGAIN = "copy the bundle again, or train again with --force"

BROKEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, DataError)
"""What restoring something raises when a part is missing, of another type, or fits no other part."""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Golden:
    """Rows with their expected probabilities."""

    batch: SparseBatch
    expected: FloatArray
    """(G, C)."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is stored, in the types of feature rows."""
        rows: tuple[npt.NDArray[Any], ...] = (self.batch.indices, self.batch.values, self.batch.offsets, self.expected)
        return {name: array.astype(kind) for (name, (kind, _)), array in zip(GOLDEN_KINDS.items(), rows, strict=True)}


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read whole and found intact."""

    path: Path
    digest: str
    """sha256 of pipeline.json."""
    manifest: Mapping[str, Any]
    tensors: Arrays
    """The model's arrays."""
    step_tensors: Sequence[Arrays]
    """The arrays of each step."""
    model_files: Mapping[str, bytes]
    """The model's own files besides arrays."""
    golden: Golden

    @property
    def kind(self) -> str:
        """Return which family of models it is."""
        return str(self.manifest["kind"])

    @property
    def version(self) -> str:
        """Return the version's name."""
        return str(self.manifest["version"])


def save_bundle(
    folder: Path, manifest: Mapping[str, Any], steps: Sequence[Step], predictor: SparsePredictor, golden: Golden
) -> str:
    """Write a bundle, whole or not at all, in the place of what was there; return its digest.

    `manifest` has at least the `version`.  The same content gives the same bytes.
    """
    step_arrays = {f"{at}.{name}": array for at, step in enumerate(steps) for name, array in step.tensors().items()}
    arrays = {WEIGHTS: predictor.tensors(), STEPS: step_arrays, GOLDEN: golden.arrays()}
    told = {"steps": [{"kind": step.kind, **step.describe()} for step in steps], "kind": predictor.kind, **predictor.describe()}
    return write_bundle(folder, {**manifest, **told}, arrays, predictor.files())


def write_bundle(folder: Path, manifest: Mapping[str, Any], arrays: Mapping[str, Arrays], foreign: Mapping[str, bytes]) -> str:
    """Write a bundle's files, whole or not at all; return its digest."""
    files = {**{name: _format(arrays[name]) for name in ARRAYS}, **foreign}
    described = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}
    files[MANIFEST] = json.dumps({**manifest, "format": FORMAT, "files": described}, indent=1, sort_keys=True).encode()
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    retired = temporary.with_name(temporary.name + ".old")
    try:
        temporary.mkdir(parents=True)
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        if folder.exists():
            folder.replace(retired)
        temporary.replace(folder)
    except OSError as error:
        raise MachineError(f"could not write: {error}", where=str(folder), do="free disk space, then run again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
    return sha256(files[MANIFEST])


def load_bundle(folder: Path, digest: str | None = None) -> Bundle:
    """Read a bundle; raise BundleError unless every byte is what `digest` and the manifest say."""
    data = _read(folder, MANIFEST, None)
    found = sha256(data)
    if digest is not None and found != digest:
        raise BundleError(f"the bundle's digest is {found[:12]}, not {digest[:12]}", where=str(folder), do=TRAIN_AGAIN)
    manifest = _manifest(data, folder)
    _refuse_strangers(folder, manifest)
    files = {name: _read(folder, name, described) for name, described in sorted(manifest["files"].items())}
    arrays = {name: _parse(files.pop(name), folder / name) for name in ARRAYS}
    steps = [_numbered(arrays[STEPS], at) for at in range(len(manifest["steps"]))]
    foreign = {name: bytes(data) for name, data in files.items()}
    return Bundle(folder, found, manifest, arrays[WEIGHTS], steps, foreign, _golden(arrays[GOLDEN], folder))


def bundle_digest(folder: Path) -> str | None:
    """Return the digest of the bundle in a folder without reading its arrays, or None when there is none."""
    return sha256(_read(folder, MANIFEST, None)) if (folder / MANIFEST).is_file() else None


def replay_golden(bundle: Bundle, predictor: SparsePredictor) -> float:
    """Score the golden rows; return the largest difference; raise BundleError when it is above GOLDEN_TOLERANCE."""
    got = predictor.predict_batch(bundle.golden.batch)
    if got.shape != bundle.golden.expected.shape:
        raise BundleError(f"golden rows gave {got.shape} scores, not {bundle.golden.expected.shape}", where=str(bundle.path))
    worst = np.abs(got - bundle.golden.expected)
    if not (worst <= GOLDEN_TOLERANCE).all():
        raise BundleError(
            f"golden rows do not give the scores they gave in training: largest difference {worst.max():.2e}",
            where=str(bundle.path),
            count=int((~(worst <= GOLDEN_TOLERANCE)).sum()),
            do="score with the library versions the bundle was made with, or train again",
        )
    return float(worst.max(initial=0.0))


def sha256(data: bytes | memoryview) -> str:
    """Return the sha256 of some bytes as text."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def refusing(what: str, folder: Path) -> Iterator[None]:
    """Raise BundleError, that `what` does not fit together, in place of the errors that broken parts give."""
    try:
        yield
    except BROKEN as error:
        line = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise BundleError(f"{what} does not fit together: {line}", where=str(folder), do=TRAIN_AGAIN) from None


def _format(arrays: Arrays) -> bytes:
    return bytes(format_tensors({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _read(folder: Path, name: str, described: Mapping[str, Any] | None) -> bytes | memoryview:
    """Return a file's bytes, arrays' mapped, after looking at its kind and size, so that nothing huge or foreign is ever read."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{name} is missing or not a plain file", where=str(folder), do=TRAIN_AGAIN)
    size = path.stat().st_size
    if described is None and size > MANIFEST_LIMIT:
        raise BundleError(f"{name} has {size:,} bytes", where=str(folder), do=TRAIN_AGAIN)
    if described is not None and size != described["bytes"]:
        raise BundleError(f"{name} has {size:,} bytes, not {described['bytes']}", where=str(folder), do=TRAIN_AGAIN)
    try:
        data = mapped(path) if name in ARRAYS else path.read_bytes()
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}", where=str(folder), do=TRAIN_AGAIN) from None
    if described is not None and sha256(data) != described["sha256"]:
        raise BundleError(f"{name} is damaged: its sha256 is not the manifest's", where=str(folder), do=TRAIN_AGAIN)
    return data


def _manifest(data: bytes | memoryview, folder: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(bytes(data), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise BundleError(f"{MANIFEST} is not JSON", where=str(folder), do=TRAIN_AGAIN) from None
    needed = {"kind", "version", "files", "steps"}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not needed <= set(manifest):
        raise BundleError(f"{MANIFEST} is not a bundle of format {FORMAT}", where=str(folder), do=TRAIN_AGAIN)
    if not isinstance(manifest["steps"], list) or any(not isinstance(step, dict) for step in manifest["steps"]):
        raise BundleError(f"{MANIFEST} does not list the pipeline's steps", where=str(folder), do=TRAIN_AGAIN)
    files = manifest["files"] if isinstance(manifest["files"], dict) else {}
    foreign = set(files) - set(ARRAYS)
    described = all(isinstance(v, dict) and set(v) == {"bytes", "sha256"} for v in files.values())
    if not set(ARRAYS) <= set(files) or not all(map(FOREIGN.fullmatch, foreign)) or not described:
        raise BundleError(
            f"{MANIFEST} does not describe {', '.join(ARRAYS)} and a model's own files", where=str(folder), do=TRAIN_AGAIN
        )
    return manifest


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_strangers(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError for a file of a name that a bundle reads which the manifest does not describe; others may lie beside."""
    strangers = sorted(
        path.name
        for path in folder.iterdir()
        if (FOREIGN.fullmatch(path.name) or path.suffix == ".safetensors") and path.name not in manifest["files"]
    )
    if strangers:
        what = f"{MANIFEST} does not describe files that are there"
        raise BundleError(what, where=str(folder), examples=strangers, do=TRAIN_AGAIN)


def _numbered(arrays: Arrays, at: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of the step at a position."""
    prefix = f"{at}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _parse(data: bytes | memoryview, path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        arrays = tensors_in(memoryview(data))
    except BROKEN as error:
        raise BundleError(f"not safetensors: {' '.join(str(error).split())[:200]}", where=str(path), do=TRAIN_AGAIN) from None
    # Golden rows touch few of a model's features: what is no number elsewhere would be seen when it is scored.
    wrong = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if wrong:
        raise BundleError("numbers that are not finite", where=str(path), count=len(wrong), examples=wrong, do=TRAIN_AGAIN)
    return arrays


def _golden(arrays: Arrays, folder: Path) -> Golden:
    missing = set(GOLDEN_KINDS) - set(arrays)
    if missing:
        raise BundleError(f"{GOLDEN} lacks {sorted(missing)}", where=str(folder), do=TRAIN_AGAIN)
    if any((arrays[name].dtype.name, arrays[name].ndim) != kind for name, kind in GOLDEN_KINDS.items()):
        raise BundleError(f"{GOLDEN} has arrays of another type", where=str(folder), do=TRAIN_AGAIN)
    try:
        batch = SparseBatch(arrays["indices"], arrays["values"], arrays["offsets"]).check()
    except DataError as error:
        raise BundleError(f"{GOLDEN}: {error.what}", where=str(folder), do=TRAIN_AGAIN) from None
    return Golden(batch, arrays["expected"])
