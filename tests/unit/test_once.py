"""A check is skipped if it has passed with the same files, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import once


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with two files. Return the folder of what has passed."""
    folder = tmp_path / "tree"
    (folder / "room").mkdir(parents=True)
    (folder / "room" / "read").write_text("")
    (folder / "setting").write_text("")
    monkeypatch.chdir(folder)
    return tmp_path / "kept"


def runs(kept: Path, capfd: pytest.CaptureFixture[str]) -> bool:
    """Return whether the command runs. It must pass."""
    assert once.run(["ls", "room"], ["setting"], kept) == 0
    out = capfd.readouterr().out
    assert out in ("read\n", "ls has passed before with the same files\n")
    return out == "read\n"


def test_the_same_files_are_checked_once(kept: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert [runs(kept, capfd), runs(kept, capfd)] == [True, False]


@pytest.mark.parametrize("changed", ["room/read", "setting"])
def test_other_files_are_checked(
    changed: str, kept: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert runs(kept, capfd)
    Path(changed).write_text("changed")
    assert runs(kept, capfd)


def test_what_has_failed_is_checked_again(kept: Path) -> None:
    for _ in range(2):
        assert once.run(["rmdir", "room"], [], kept) == 1  # it is not empty
    assert not [path for path in kept.rglob("*") if path.is_file()]
