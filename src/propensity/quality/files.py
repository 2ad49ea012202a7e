"""Files that several regions' gates write at once: whole or not at all, and one after the other where they share one."""

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from propensity.errors import MachineError


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text`; a reader sees the old file or the new one.  Raise MachineError when it cannot be written."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        do = "free disk space or mend the folder, then run again"
        raise MachineError(f"could not write: {error}", where=str(path), do=do) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, made when it is missing; it falls with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
