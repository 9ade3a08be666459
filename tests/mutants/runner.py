"""Change the meaning of the code on purpose, one small change at a time, and run its tests.

A change that no test notices shows a hole in the tests. The changes are listed in the TOML files
beside this module. They are tried in copies of the tree, so the tree itself is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _pytest.config import default_plugins
from support.forks import Forks

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120
UNCHANGED_SECONDS = 600
NOT_RUN = {2, 3, 4, 5}  # pytest's exit codes for interrupted test runs


class Broken(Exception):
    """An unusable mutant or list of mutants."""


@dataclass(frozen=True)
class Mutant:
    """One change of a module, and the tests that must notice it."""

    file: str  # the stem of its TOML file
    module: str
    name: str
    old: str
    new: str
    tests: tuple[str, ...]
    grave: bool = False
    survives: str = ""  # the reason why no test notices it

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"

    def matches(self, names: Sequence[str]) -> bool:
        """Return whether one of the names is its file's, or a part of its own."""
        return any(name == self.file or name in self.name for name in names)

    def text(self, root: Path) -> str:
        """Return the changed module. Raise Broken if it cannot be made or compiled."""
        text = (root / self.module).read_text("utf-8")
        count = text.count(self.old)
        if count != 1:
            raise Broken(f"`old` occurs {count} times in {self.module}")
        text = text.replace(self.old, self.new)
        if self.module.endswith(".py"):
            try:
                compile(text, self.module, "exec", dont_inherit=True)
            except SyntaxError as error:
                raise Broken(f"`new` does not compile: {error}") from None
        return text


@dataclass(frozen=True)
class Result:
    """The result of a mutant, and whether its list says otherwise."""

    mutant: Mutant
    outcome: str
    is_surprise: bool

    def __str__(self) -> str:
        return f"{self.mutant}: {self.outcome}"


def load(folder: Path = Path(__file__).parent) -> list[Mutant]:
    """Return the mutants of all lists in a folder. Raise Broken with the list's name."""
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            mutants += _listed(path.stem, tomllib.loads(path.read_text("utf-8")))
        except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
            raise Broken(f"{path.name} is no list of mutants: {error!r}") from None
    return mutants


def _listed(name: str, data: dict[str, Any]) -> Iterator[Mutant]:
    for entry in data["mutant"]:
        tests = tuple(entry.get("tests", data["tests"]))
        yield Mutant(**{**entry, "file": name, "module": data["module"], "tests": tests})


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Copy all files that Git knows of a tree, uncommitted changes included, for a block.

    Their bytecode comes along, since compiling all tests takes longer than most runs.
    """
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        for name in filter(None, os.fsdecode(listing).split("\0")):
            source, target = root / name, tree / name
            if source.is_symlink() or source.exists():  # it may be deleted, and not yet committed
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        for room in {path.parent for path in tree.rglob("*.py")}:
            bytecode = root / room.relative_to(tree) / "__pycache__"
            if bytecode.is_dir():
                shutil.copytree(bytecode, room / "__pycache__")
        yield tree


ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # importing them takes half of the time
# What tests import from others. Importing it takes longer than most of them.
MODULES = (
    "ansible.inventory.manager",
    "ansible.plugins.action",
    "ansible.vars.manager",
    "apprise",
    "hypothesis.strategies",
    "numpy",
    "paramiko",
    "pytest",
    "requests",
    "yaml",
    *(f"_pytest.{name}" for name in default_plugins),
)
# A fork knows the tree that it runs in, and nothing of the real one. It keeps bytecode there.
PROGRAM = """\
import sys
sys.dont_write_bytecode, sys.pycache_prefix = False, None
sys.path[:] = [p for p in sys.path if not p.startswith(sys.argv[1]) or p.startswith(sys.prefix)]
for name in [name for name in sys.modules if name.split(".")[0] == "support"]:
    del sys.modules[name]
import pytest
sys.exit(pytest.main(["-x", "-q", "--tb=native", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""
IDLE: list[Forks] = []


@contextlib.contextmanager
def lent() -> Iterator[Forks]:
    """Lend a process, whose forks run tests. It is used again unless an exception ends its use."""
    process = IDLE.pop() if IDLE else Forks(MODULES, os.environ)
    yield process
    IDLE.append(process)


async def run(
    tree: Path, tests: Iterable[str], seconds: int | None = None, **more: str
) -> tuple[int | None, str]:
    """Run tests in a tree, with more in their environment.

    Return pytest's exit code, None after a timeout, and its output.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PYTHON"))  # they lead into the real tree
    }
    with lent() as process:
        work = functools.partial(
            process.run,
            PROGRAM,
            ROOT,
            *tests,
            cwd=tree,
            env={**environment, **ENVIRONMENT, **more},
            seconds=seconds or TIMEOUT_SECONDS,
        )
        running = asyncio.create_task(asyncio.to_thread(work))
        try:
            done = await asyncio.shield(running)
        except asyncio.CancelledError:
            process.kill()
            await running
            raise
    code = None if done.returncode == -signal.SIGKILL else done.returncode
    return code, done.stdout + done.stderr


@contextlib.contextmanager
def replaced(module: Path, text: str) -> Iterator[None]:
    """Replace a module for the time of a block."""
    was = module.read_bytes()
    _write(module, text.encode())
    try:
        yield
    finally:
        _write(module, was)


def _write(module: Path, content: bytes) -> None:
    module.write_bytes(content)
    # Python would take bytecode of a module with the same size and second for this one's.
    for path in module.parent.glob(f"__pycache__/{module.stem}.*"):
        path.unlink()


async def attempt(mutant: Mutant, root: Path, tree: Path) -> Result:
    """Run a mutant's tests in a copy of the tree, and restore the copy."""
    try:
        text = mutant.text(root)
    except Broken as error:
        return Result(mutant, f"BROKEN: {error}", is_surprise=True)
    with replaced(tree / mutant.module, text):
        code, output = await run(tree, mutant.tests)
    if code in NOT_RUN or "ERROR collecting" in output:
        return Result(mutant, f"BROKEN: the tests cannot be run\n{output}", is_surprise=True)
    if code == 0:
        reason = mutant.survives
        return Result(mutant, f"survives: {reason}" if reason else "SURVIVED", not reason)
    if mutant.survives:
        return Result(mutant, "KILLED, although it is listed to survive", is_surprise=True)
    return Result(mutant, "killed", is_surprise=False)


async def attempt_all(
    mutants: Sequence[Mutant], tell: Callable[[Result], None], root: Path = ROOT
) -> None:
    """Try mutants in parallel. Raise Broken if the tests of the unchanged tree fail."""
    waiting = iter(mutants)

    async def work() -> None:
        with copied(root) as tree:
            for mutant in waiting:
                tell(await attempt(mutant, root, tree))

    with copied(root) as tree:
        await check_unchanged(mutants, tree)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(len(os.sched_getaffinity(0)), len(mutants))):
            group.create_task(work())


async def check_unchanged(mutants: Iterable[Mutant], tree: Path) -> None:
    """Raise Broken if the mutants' tests fail in an unchanged tree.

    A copy lacks something for all cases of a test or for none, so it runs a tenth of them.
    """
    tests = {test for mutant in mutants for test in mutant.tests}
    code, output = await run(
        tree,
        sorted(t for t in tests if t.partition("::")[0] not in tests - {t}),
        UNCHANGED_SECONDS,  # all of them in one run
        TESTS="fast",
    )
    if code != 0:
        raise Broken(f"the unchanged tests fail (exit code {code})\n{output}")
