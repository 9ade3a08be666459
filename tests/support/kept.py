"""Keep which works succeeded, so that each is done once with the same content.

The key is the content of the files, the version of Python and its packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CONTENTS = 10  # whose results are kept


def digest(tree: Path, names: Iterable[str] = (".",)) -> str:
    """Return the hash of some files and folders of a tree, of Python and of its packages."""
    packages = sorted(p.name for p in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    found = hashlib.sha256(repr((sys.version, sys.base_prefix, packages)).encode())
    for words in sorted(_described(path, tree) for name in names for path in _paths(tree / name)):
        found.update(repr(words).encode())
    return found.hexdigest()


def _paths(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        yield root
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - {"__pycache__"}
        yield from (Path(folder, name) for name in names)


def _described(path: Path, tree: Path) -> tuple[str, str, bytes]:
    """Return a file's path, permissions and content. A link is its target's name."""
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    mode = oct(path.lstat().st_mode)
    return str(path.relative_to(tree)), mode, hashlib.sha256(content).digest()


class Kept:
    """The finished works of one content, in a folder of the cache."""

    def __init__(self, folder: Path, content: str) -> None:
        self.folder = folder / content
        self.folder.mkdir(parents=True, exist_ok=True)
        os.utime(self.folder)
        for old in sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime)[CONTENTS:]:
            shutil.rmtree(old, ignore_errors=True)

    def once(self, name: str, work: Callable[[], object]) -> bool:
        """Do a work, unless it was done before. It counts unless it raises.

        Return whether it was done now.
        """
        done = self.folder / quote(name, safe="")
        if done.exists():
            return False
        work()
        done.touch()
        return True
