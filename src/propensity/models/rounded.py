"""A bundle's largest array in 16 bits, in a file that every process of a host maps: one rounded copy, not one a process.

Format: HEADER bytes of JSON, padded with blanks (format, bundle, type, shape, sha256 of the rest), then the numbers, row by row.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from propensity.errors import MachineError
from propensity.features.csr import FloatArray
from propensity.pipeline.mapping import mapped
from propensity.quality.files import locked

FORMAT = 1
HEADER = 4096
"""One page, so that the numbers begin at one."""
ROWS = 4096
"""Rounded at a time: 2 MB at the reference shape, so that whoever writes holds no copy of its own."""
KEPT = 2
"""Bundles of a region whose files stay: a backfill that began before a promotion still scores with the one before."""
LOCK = ".lock"
DO = "free disk space, or make the folder one that workers may write to; in float32 nothing is written"


@dataclass(frozen=True)
class Place:
    """Where rounded weights are kept, and whose they are."""

    folder: Path
    """Of one region."""
    bundle: str
    """Digest of the bundle that the weights are of."""


def rounded(place: Place, weight: FloatArray, kind: torch.dtype) -> torch.Tensor:
    """Return `weight` (N, H) rounded to 16 bits of `kind`, mapped; write the file where none is there or it is damaged.

    Every byte is checked, as of a bundle.  One process writes while others wait, and a whole file is renamed into its place;
    files of all but the last KEPT bundles go, which whoever has mapped them does not notice.
    Raise MachineError where the file can be neither read nor written.
    """
    name = str(kind).removeprefix("torch.")
    path = place.folder / f"{place.bundle[:16]}.{name}"
    told = {"format": FORMAT, "bundle": place.bundle, "type": name, "shape": list(weight.shape)}
    try:
        data = _intact(path, told)
        if data is None:
            with locked(place.folder / LOCK):
                data = _intact(path, told) or _made(path, told, weight, kind)
    except OSError as error:
        raise MachineError(f"rounded weights cannot be kept: {error}", where=str(path), do=DO) from None
    bits = torch.from_numpy(np.frombuffer(data, np.int16, offset=HEADER))
    return bits.view(kind).reshape(weight.shape)


def _intact(path: Path, told: Mapping[str, Any]) -> memoryview | None:
    """Return a file's bytes, mapped, or None unless its header says what is `told` and has the digest of the rest."""
    try:
        data = mapped(path)
    except FileNotFoundError:
        return None
    rows, width = told["shape"]
    if len(data) != HEADER + 2 * rows * width:
        return None
    wanted = _header(told, hashlib.sha256(data[HEADER:]).hexdigest())
    return data if data[:HEADER] == wanted else None


def _made(path: Path, told: Mapping[str, Any], weight: FloatArray, kind: torch.dtype) -> memoryview:
    """Write the file, delete what is not needed any more, and return the file's bytes, mapped."""
    for left in path.parent.glob(".*.part"):  # by a process that was killed
        left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        _write(temporary, told, weight, kind)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _delete_older(path)
    data = _intact(path, told)
    if data is None:
        raise MachineError("what was written is not what is read", where=str(path), do="look at the disk, then run again")
    return data


def _write(path: Path, told: Mapping[str, Any], weight: FloatArray, kind: torch.dtype) -> None:
    digest = hashlib.sha256()
    with path.open("xb") as file:
        file.seek(HEADER)
        for first in range(0, len(weight), ROWS):
            part = torch.from_numpy(weight[first : first + ROWS]).to(kind).view(torch.int16).numpy().tobytes()
            digest.update(part)
            file.write(part)
        file.seek(0)
        file.write(_header(told, digest.hexdigest()))


def _header(told: Mapping[str, Any], digest: str) -> bytes:
    return json.dumps({**told, "sha256": digest}).encode().ljust(HEADER)


def _delete_older(path: Path) -> None:
    """Delete the files of all bundles of the region but that of `path` and those last written, KEPT together."""
    files = [other for other in path.parent.iterdir() if not other.name.startswith(".")]
    written: dict[str, int] = {}
    for file in files:
        written[file.stem] = max(written.get(file.stem, 0), file.stat().st_mtime_ns)
    newest = sorted(written, key=lambda bundle: (bundle == path.stem, written[bundle]), reverse=True)
    for file in files:
        if file.stem not in newest[:KEPT]:
            file.unlink(missing_ok=True)
