"""Files of an inventory, written together: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from roster_upload.host import atomic


@dataclass(frozen=True)
class File:
    """A file to write. A diff shows `placeholder` instead of secret content."""

    path: Path
    data: bytes
    before: bytes | None = None
    placeholder: str | None = None

    def diff(self) -> dict[str, str]:
        """Return what Ansible shows with --diff."""
        return {
            "before_header": str(self.path),
            "after_header": str(self.path),
            "before": (self.before or b"").decode(),
            "after": self.data.decode() if self.placeholder is None else self.placeholder,
        }


def write(files: Sequence[File]) -> None:
    """Write files in their order. If one cannot be written, restore all of them."""
    done: list[Path] = []
    new_folders: list[Path] = []
    mask = os.umask(0)
    os.umask(mask)
    try:
        for file in files:
            folder = file.path.parent
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            new_folders += new
            mode = file.path.stat().st_mode & 0o777 if file.before is not None else 0o666 & ~mask
            atomic.replace(file.path, file.data)
            done.append(file.path)
            file.path.chmod(0o600 if file.placeholder is not None else mode)
    except BaseException:
        for file in files:
            if file.path in done:
                if file.before is None:
                    file.path.unlink(missing_ok=True)
                else:
                    atomic.replace(file.path, file.before)
        for path in sorted(new_folders, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise
