"""Keep the bytecode of zipped modules, as Python does for modules in folders.

Each Python of an image uses this from its start. Ansible's modules and the program are zips, and
to compile them again and again was half of what the hosts of all tests computed.

Root's processes fill the folder, and all others read it. A file's name is the digest of a source.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport

# typing and pathlib would make each start longer.
# ruff: noqa: PTH104, PTH110, PTH123
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

KEPT = "/var/cache/lab-bytecode"
compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def code_of(name: str, source: bytes) -> CodeType:
    """Return a module's code, kept or compiled. Root's processes keep what they compile."""
    path = f"{KEPT}/{_imp.source_hash(sys.hexversion, source).hex()}"
    try:
        with open(path, "rb") as file:
            code: CodeType = marshal.load(file)  # noqa: S302 - only root writes there
    except (OSError, EOFError, ValueError, TypeError):
        code = compile_source(name, source)
        if os.geteuid() == 0:
            keep(path, code)
    _imp._fix_co_filename(code, name)  # type: ignore[attr-defined]
    return code


def keep(path: str, code: CodeType) -> None:
    """Write a module's code. Other processes never see a part of it."""
    new = f"{path}.{os.getpid()}"
    try:
        with open(new, "xb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask is
            marshal.dump(code, file)
        os.rename(new, path)
    except OSError:  # a full disk is part of some tests
        pass


def keep_all(archive: str) -> None:
    """Keep all modules of an archive, if it is there. Units that run it cannot keep them."""
    import zipfile  # noqa: PLC0415 - not at each start

    if not os.path.exists(archive):
        return
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if name.endswith(".py"):
                code_of(f"{archive}/{name}", file.read(name))


def use() -> None:
    """Let this Python keep bytecode."""
    zipimport._compile_source = code_of  # type: ignore[attr-defined]
