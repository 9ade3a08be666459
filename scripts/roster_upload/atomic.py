"""Files that are replaced as a whole: a reader finds the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

OWNERS = 0o600


def replace(path: Path, data: bytes, *, mode: int = OWNERS, lasting: bool = True) -> None:
    """Replace a file at once. Raise OSError, and then the file is as before.

    `lasting`: it outlives a power cut; what can be collected again need not.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            os.fchmod(out.fileno(), mode)  # whatever the umask is
            out.write(data)
            if lasting:
                out.flush()
                os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder outlive a power cut. Raise OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
