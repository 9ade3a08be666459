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
    """A file to write, or to remove. A diff shows `placeholder` instead of secret content."""

    path: Path
    data: bytes | None  # None: the file is removed
    before: bytes | None = None
    placeholder: str | None = None

    def diff(self) -> dict[str, str]:
        """Return what Ansible shows with --diff."""
        before, after = (self.before or b"").decode(), (self.data or b"").decode()
        if self.placeholder is not None:
            if self.data is None:
                before = self.placeholder
            else:
                after = self.placeholder
        header = {"before_header": str(self.path), "after_header": str(self.path)}
        return header | {"before": before, "after": after}


def with_text(path: Path, text: str) -> File:
    """Return a file with a new text. It keeps the ends of lines (CRLF) of the present one."""
    before = path.read_bytes() if path.is_file() else None
    lines = (before or b"").count
    is_crlf = lines(b"\r\n") == lines(b"\n") > 0
    return File(path, (text.replace("\n", "\r\n") if is_crlf else text).encode(), before)


def write(files: Sequence[File]) -> None:
    """Write or remove files in their order. If one of them fails, restore all."""
    done: list[Path] = []
    modes = {f.path: f.path.stat().st_mode & 0o777 for f in files if f.path.exists()}
    new_folders: list[Path] = []
    mask = os.umask(0)
    os.umask(mask)
    try:
        for file in files:
            if file.data is None:
                done.append(file.path)
                file.path.unlink(missing_ok=True)
                continue
            folder = file.path.parent
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            new_folders += new
            mode = modes.get(file.path, 0o666 & ~mask)
            atomic.replace(file.path.resolve(), file.data)  # a link stays one
            done.append(file.path)
            file.path.chmod(0o600 if file.placeholder is not None else mode)
    except BaseException:
        for file in files:
            if file.path in done:
                if file.before is None:
                    file.path.unlink(missing_ok=True)
                else:
                    atomic.replace(file.path.resolve(), file.before)
                    file.path.chmod(modes[file.path])
        for path in sorted(new_folders, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise
    for file in files:
        if file.data is None:
            with suppress(OSError):  # other files are in the folder
                file.path.parent.rmdir()
