"""Keep which mutants were killed, so that each is tried once with the same content.

The key is the content of the whole tree, the version of Python and its packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FOLDER = CACHE / "roster-delivery-mutants"
TREES = 10  # whose results are kept


def digest(tree: Path) -> str:
    """Return the hash of a tree, of Python and of its packages."""
    packages = sorted(p.name for p in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    found = hashlib.sha256(repr((sys.version, sys.prefix, packages)).encode())
    for words in sorted(_files(tree)):
        found.update(repr(words).encode())
    return found.hexdigest()


def _files(tree: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the files' paths, permissions and contents. A link is its target's name."""
    for folder, folders, names in os.walk(tree):
        folders[:] = set(folders) - {"__pycache__"}
        for name in names:
            path = Path(folder, name)
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            mode = oct(path.lstat().st_mode)
            yield str(path.relative_to(tree)), mode, hashlib.sha256(content).digest()


class Kept:
    """The finished works of a tree."""

    def __init__(self, tree: Path, folder: Path = FOLDER) -> None:
        self.folder = folder / digest(tree)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.utime(self.folder)
        for old in sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime)[TREES:]:
            shutil.rmtree(old, ignore_errors=True)

    def once(self, name: str, work: Callable[[], object]) -> None:
        """Do a work, unless it was done in such a tree before. It counts unless it raises."""
        done = self.folder / quote(name, safe="")
        if not done.exists():
            work()
            done.touch()
