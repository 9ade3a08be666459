"""Run a part of the scenarios with the other Python, whose lock has another ansible-core.

    python tests/checks/other_python.py

Python 3.11 gets ansible-core 2.19, and a newer one gets the newest (docs/control-nodes.md). All
tests run with the Python of this environment. A newcomer's first district and a rotation run with
the other one, too: they load every kind of plugin, write vault files and print closing tables.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "other-python" / ".venv"  # its name is part of a test
LOCKS = ("control.txt", "dev.txt")
OLDEST, NEWER, NEWEST = (3, 11), (3, 12), (3, 14)  # from NEWER on with the newest ansible-core
LAB = ("scripts/lab", "--provisioned", "--only=lab-trixie,lab-sftp", "run", "--")
TESTS = (
    "tests/unit/test_untrusted_hosts.py",
    "tests/scenarios/test_newcomer.py",
    "tests/scenarios/test_rotation.py::test_nothing_due_is_the_report_of_ages",
    "tests/scenarios/test_rotation.py::test_check_says_what_would_be",
    "tests/scenarios/test_rotation.py::test_a_new_password_is_tried_then_switched",
)


class Python(NamedTuple):
    """An interpreter that runs."""

    version: tuple[int, int, int]
    path: Path


def asked(path: Path) -> Python | None:
    """Return an interpreter. A shim of pyenv may exist and not run: then return None."""
    code = "import sys; print(*sys.version_info[:3])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    numbers = re.fullmatch(r"(\d+) (\d+) (\d+)\n", done.stdout)
    if done.returncode or not numbers:
        return None
    major, minor, patch = map(int, numbers.groups())
    return Python((major, minor, patch), path)


def of_pyenv() -> Iterable[Path]:
    """Return the interpreters that pyenv has installed. They need not be on PATH."""
    root = os.environ.get("PYENV_ROOT", "")
    if not root and shutil.which("pyenv"):
        asked_root = ["pyenv", "root"]
        root = subprocess.run(
            asked_root, capture_output=True, text=True, check=False
        ).stdout.strip()
    return Path(root, "versions").glob("3.*/bin/python3") if root else []


def found() -> Iterator[Python]:
    """Yield this machine's interpreters."""
    on_path = (shutil.which(f"python3.{minor}") for minor in range(OLDEST[1], NEWEST[1] + 1))
    for path in [*map(Path, filter(None, on_path)), *of_pyenv()]:
        if python := asked(path):
            yield python


def is_other(version: tuple[int, ...]) -> bool:
    """Return whether a version gets the other ansible-core than the Python that runs this."""
    is_fit = OLDEST <= version[:2] <= NEWEST
    return is_fit and (version >= NEWER) != (sys.version_info >= NEWER)


@functools.cache
def other() -> Python | None:
    """Return the newest interpreter with the other ansible-core."""
    return max((python for python in found() if is_other(python.version)), default=None)


def missing() -> str:
    """Return why this part cannot run, or nothing."""
    wanted = "Python 3.11" if sys.version_info >= NEWER else "Python 3.12 or newer"
    return "" if other() else f"there is no {wanted}, neither on PATH nor in pyenv"


def stamp(version: tuple[int, int, int]) -> str:
    """Return the stamp of an environment with all packages, as scripts/setup writes it."""
    texts = b"".join((ROOT / "requirements" / name).read_bytes() for name in LOCKS)
    return f"Python {'.'.join(map(str, version))} {hashlib.sha256(texts).hexdigest()}\n"


def install(python: Python) -> None:
    """Install the locked packages for an interpreter. uv needs a tenth of pip's time."""
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    run = functools.partial(subprocess.run, cwd=ROOT, check=True)
    run([*uv, "venv", "--clear", "--python", str(python.path), str(HOME)])
    lock = ["--require-hashes", "--requirement", "requirements/dev.txt"]
    run([*uv, "pip", "install", "--python", str(HOME / "bin" / "python"), *lock])
    (HOME / "dev").touch()
    (HOME / "stamp").write_text(stamp(python.version))


def path() -> str:
    """Return PATH with the other environment instead of this one."""
    own = Path(sys.executable).parent
    others = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != own]
    return os.pathsep.join([str(HOME / "bin"), *others])


def main() -> None:
    """Install the packages, and become the tests."""
    python = other()
    if python is None:
        sys.exit(missing())
    install(python)
    environment = {**os.environ, "PATH": path(), "VIRTUAL_ENV": str(HOME)}
    versions = [str(HOME / "bin" / "ansible"), "--version"]
    told = subprocess.run(versions, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    print(f"Python {'.'.join(map(str, python.version))}, {told.splitlines()[0]}", flush=True)
    pytest = [str(HOME / "bin" / "python"), "-m", "pytest", "-p", "no:cacheprovider", "-vv"]
    os.chdir(ROOT)
    os.execvpe(LAB[0], [*LAB, *pytest, *TESTS], environment)  # noqa: S606 - its output and signals


if __name__ == "__main__":
    main()
