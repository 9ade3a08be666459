"""The tests notice changes of meaning: grave ones are tried here, all of them by `make mutants`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.process import lock
from mutants import __main__ as command
from mutants import runner
from mutants.runner import Broken, Mutant, Result
from support import kept
from support.kept import Kept

KEPT = kept.CACHE / "roster-delivery-mutants"
MUTANTS = runner.load()
GRAVE = [mutant for mutant in MUTANTS if mutant.grave]


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_each_mutant_can_be_made(file: str) -> None:
    mine = [mutant for mutant in MUTANTS if mutant.file == file]
    assert len({mutant.name for mutant in mine}) == len(mine)
    for mutant in mine:
        assert mutant.old != mutant.new
        assert mutant.text(runner.ROOT), mutant
        for test in mutant.tests:
            assert (runner.ROOT / test.partition("::")[0]).exists(), mutant
            assert not mutant.grave or "::" in test, f"{mutant}: name the test that kills it"


@dataclass(frozen=True)
class Trial:
    """A copy of the tree, and what was tried with the same content before."""

    tree: Path
    kept: Kept

    def check_unchanged(self) -> None:
        """Run the grave mutants' tests before a change, once for all parallel workers."""
        with lock(self.kept.folder / "lock"):
            self.kept.once(
                "unchanged", lambda: asyncio.run(runner.check_unchanged(GRAVE, self.tree))
            )

    def kill(self, mutant: Mutant) -> None:
        """Fail if a mutant survives."""
        self.check_unchanged()
        assert asyncio.run(runner.attempt(mutant, runner.ROOT, self.tree)).outcome == "killed"


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    """Return a copy of the tree, in which grave mutants are tried."""
    with runner.copied(runner.ROOT) as tree:
        yield Trial(tree, Kept(KEPT, kept.digest(tree)))


@pytest.mark.mutants
@pytest.mark.parametrize("mutant", GRAVE, ids=str)
def test_a_grave_mutant_is_killed(mutant: Mutant, trial: Trial) -> None:
    trial.kept.once(str(mutant), lambda: trial.kill(mutant))


# ---- the tool itself ----------------------------------------------------------------------------

MODULE = """\
import math


def add(a, b):
    return a + b


def is_large(n):
    return n > 5
"""
TEST = """\
from counting import add, is_large


def test_counting():
    assert add(1, 2) == 3
    assert is_large(9) and not is_large(1)
"""
OTHER_TEST = """\
from counting import is_large


def test_is_large():
    assert is_large(6)
"""
# Name: the old text, the new one, further keys, and the mutant's result.
CASES = {
    "noticed": ("a + b", "a - b", "", "killed"),
    "unnoticed": ("n > 5", "n >= 5", "", "SURVIVED"),
    "excused": ("n > 5", "n > 6", 'survives = "nobody asks"', "survives: nobody asks"),
    "excused in vain": ("a + b", "b", 'survives = "untrue"', "KILLED, although it is listed to"),
    "twice": ("return", "yield", "", "BROKEN: `old` occurs 2 times in counting.py"),
    "nowhere": ("a * b", "a", "", "BROKEN: `old` occurs 0 times in counting.py"),
    "syntax": ("a + b", "a +", "", "BROKEN: `new` does not compile"),
    "import": ("import math", "import no_such_module", "", "BROKEN: the tests cannot be run"),
    "no test": ("a + b", "a - b", 'tests = ["test_none.py"]', "BROKEN: the tests cannot be run"),
    "other tests": ("n > 5", "n > 7", 'tests = ["test_other.py"]', "killed"),
}
FINE = ("killed", "survives: nobody asks")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of one module. Git ignores one of its files. Its copies are beside it."""
    tree, copies = tmp_path / "tree", tmp_path / "copies"
    copies.mkdir()
    tree.mkdir()
    for name, text in {
        "counting.py": MODULE,
        "test_counting.py": TEST,
        ".gitignore": "ignored\n",
        "ignored": "",
        "deleted": "",
    }.items():
        (tree / name).write_text(text)
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=tree, check=True)
    (tree / "test_other.py").write_text(OTHER_TEST)
    (tree / "deleted").unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    return tree


def mutants_of(tree: Path, *names: str) -> list[Mutant]:
    """Return the mutants of these names, as they are read from a list."""
    text = 'module = "counting.py"\ntests = ["test_counting.py"]\n'
    for name in names:
        old, new, further, _ = CASES[name]
        text += f'[[mutant]]\nname = "{name}"\nold = "{old}"\nnew = "{new}"\n{further}\n'
    (tree / "counting.toml").write_text(text)
    return runner.load(tree)


def test_a_copy_is_of_what_git_knows(small: Path) -> None:
    with runner.copied(small) as tree:
        assert {path.name for path in tree.iterdir()} == {
            *(".gitignore", "counting.py", "test_counting.py", "test_other.py"),
        }
    assert not tree.exists()


@pytest.mark.mutants
def test_each_outcome_is_told_from_the_others(small: Path) -> None:
    results: dict[str, Result] = {}
    known = [name for name in CASES if name != "no test"]
    mutants = mutants_of(small, *known)
    asyncio.run(runner.attempt_all(mutants, lambda r: results.update({r.mutant.name: r}), small))
    (missing,) = mutants_of(small, "no test")
    results["no test"] = asyncio.run(runner.attempt(missing, small, small))
    assert results.keys() == CASES.keys()
    for name, (*_, told) in CASES.items():
        assert results[name].outcome.startswith(told), name
        assert results[name].is_surprise is (told not in FINE)
    assert (small / "counting.py").read_text() == MODULE
    assert not [*Path(tempfile.gettempdir()).iterdir()]


# Changes of a tree with the same results only if nothing has changed.
TREE_CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda tree: (tree / "counting.py").write_text(MODULE + "\n"),
    "name": lambda tree: (tree / "counting.py").rename(tree / "other.py"),
    "permissions": lambda tree: (tree / "counting.py").chmod(0o755),
    "a new file": lambda tree: (tree / "further.py").touch(),
    "a link": lambda tree: (tree / "further.py").symlink_to("counting.py"),
}


def kept_of(tree: Path, folder: Path) -> Kept:
    """Return the finished works of a tree, below another folder."""
    return Kept(folder / "kept", kept.digest(tree))


@pytest.mark.parametrize("change", TREE_CHANGES.values(), ids=TREE_CHANGES)
def test_a_result_counts_for_the_same_content_only(
    small: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    done: list[int] = []
    kept_of(small, tmp_path).once("one", lambda: done.append(1))
    same = kept_of(small, tmp_path)
    same.once("one", lambda: done.append(2))
    same.once("another/one", lambda: done.append(3))
    change(small)
    kept_of(small, tmp_path).once("one", lambda: done.append(4))
    assert done == [1, 3, 4]


@pytest.mark.parametrize("name", ["sys.version", "sys.base_prefix"])
def test_a_result_counts_for_the_same_python_only(
    small: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = kept.digest(small)
    monkeypatch.setattr(name, "/other")
    assert kept.digest(small) != before


def test_a_result_counts_for_the_same_packages_only(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "site"))
    (tmp_path / "site/ansible-1.dist-info").mkdir(parents=True)
    before = kept.digest(small)
    (tmp_path / "site/ansible-1.dist-info").rename(tmp_path / "site/ansible-2.dist-info")
    assert kept.digest(small) != before


def test_a_failure_is_tried_again(small: Path, tmp_path: Path) -> None:
    results = kept_of(small, tmp_path)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            results.once("one", lambda: 1 / 0)


def test_results_of_old_trees_are_removed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "CONTENTS", 1)
    old = kept_of(small, tmp_path).folder
    os.utime(old, (0, 0))
    (small / "further.py").touch()
    new = kept_of(small, tmp_path).folder
    assert [*(tmp_path / "kept").iterdir()] == [new]


@pytest.mark.mutants
def test_a_run_knows_nothing_of_the_real_tree(small: Path) -> None:
    (small / "test_other.py").write_text(
        "import sys\n\n"
        "def test_other():\n"
        f"    there = [path for path in sys.path if path.startswith({str(runner.ROOT)!r})]\n"
        "    assert not [path for path in there if not path.startswith(sys.prefix)]\n"
        "    assert 'forks' not in sys.modules\n"
    )
    code, output = asyncio.run(runner.run(small, ["test_other.py"]))
    assert code == 0, output


@pytest.mark.mutants
def test_nothing_is_tried_where_tests_fail_unchanged(small: Path) -> None:
    (small / "test_counting.py").write_text(TEST.replace("== 3", "== 4"))
    with pytest.raises(Broken, match="the unchanged tests fail") as caught:
        asyncio.run(runner.attempt_all(mutants_of(small, "noticed"), refuse, small))
    assert "assert 3 == 4" in str(caught.value)
    assert not [*Path(tempfile.gettempdir()).iterdir()]


def refuse(result: Result) -> None:
    """Fail if a mutant is tried to its end."""
    pytest.fail(str(result))


def endless(tree: Path) -> Mutant:
    """A mutant that never ends. A file shows that it has started."""
    path = tree / "begun"
    new = f"open({str(path)!r}, 'w').close()\nwhile True: pass"
    return Mutant("counting", "counting.py", "endless", "import math", new, ("test_counting.py",))


@pytest.mark.mutants
def test_a_mutant_that_never_ends_is_killed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TIMEOUT_SECONDS", 1)
    assert asyncio.run(runner.attempt(endless(small), small, small)).outcome == "killed"


@pytest.mark.mutants
def test_an_interrupted_run_leaves_nothing(small: Path) -> None:
    async def interrupt() -> None:
        running = asyncio.create_task(runner.attempt_all([endless(small)], refuse, small))
        while not (small / "begun").exists():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(interrupt())
    assert not [*Path(tempfile.gettempdir()).iterdir()]


def test_a_list_with_an_unknown_key_is_told(small: Path) -> None:
    mutants_of(small, "noticed")
    path = small / "counting.toml"
    path.write_text(path.read_text() + "heavy = true\n")
    with pytest.raises(Broken, match=r"counting\.toml is no list of mutants: .*heavy"):
        runner.load(small)


@pytest.mark.parametrize(
    ("names", "grave", "found"),
    [
        ([], False, ["a", "b", "ab"]),
        ([], True, ["b"]),
        (["one"], False, ["a", "b"]),
        (["b"], False, ["b", "ab"]),
        (["two", "a"], False, ["a", "ab"]),
    ],
)
def test_mutants_are_chosen_by_name(names: list[str], grave: bool, found: list[str]) -> None:
    mutants = [
        Mutant(file, "m.py", name, "", "", (), grave=name == "b")
        for file, name in (("one", "a"), ("one", "b"), ("two", "ab"))
    ]
    assert [mutant.name for mutant in command.chosen(mutants, names, grave=grave)] == found
    with pytest.raises(Broken, match="no mutant is named c"):
        command.chosen(mutants, [*names, "c"], grave=grave)
