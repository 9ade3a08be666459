"""Replace files as a whole: a reader finds the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

OWNERS = 0o600


def replace(path: Path, data: bytes, *, mode: int = OWNERS, lasting: bool = True) -> None:
    """Replace a file at once. Raise OSError, and keep the old file then.

    With `lasting`, the new file survives a power cut.
    """
    with replacing(path, mode=mode, lasting=lasting) as out:
        out.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = OWNERS, lasting: bool = True) -> Iterator[BinaryIO]:
    """Yield a file to write to. It replaces `path` if the block raises nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            os.fchmod(out.fileno(), mode)  # whatever the umask is
            yield out
            if lasting:
                out.flush()
                os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that killed runs have left. Raise OSError.

    The caller makes sure that nobody replaces it at the same time.
    """
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raise OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
