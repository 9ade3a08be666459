"""`make test` finds a Python for the other ansible-core, or says that there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checks import __main__ as checks
from checks import other_python

Install = Callable[[str, str], Path]
IS_NEWER = sys.version_info >= other_python.NEWER
OTHER = "3 11 9" if IS_NEWER else "3 13 1"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install Pythons that print a version. Nothing else is on PATH, nor in pyenv."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    other_python.other.cache_clear()

    def make(name: str, version: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{shutil.which('sh', path='/bin:/usr/bin')}\necho {version}\n")
        path.chmod(0o755)
        return path

    return make


def test_the_newest_is_found_on_path_or_in_pyenv(install: Install) -> None:
    install(f"bin/python3.{OTHER.split()[1]}", OTHER)
    install("pyenv/versions/3.15.0/bin/python3", "3 15 0")  # ansible-core does not know it
    install("pyenv/versions/3.9.18/bin/python3", "3 9 18")
    newest = OTHER.rpartition(" ")[0] + " 12"
    path = install("pyenv/versions/3.12.1/bin/python3", newest)
    found = other_python.other()
    assert found
    assert (found.path, " ".join(map(str, found.version))) == (path, newest)
    assert other_python.missing() == ""


def test_pyenv_itself_is_asked_for_its_folder(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = install("elsewhere/versions/3.12.1/bin/python3", OTHER)
    monkeypatch.delenv("PYENV_ROOT")
    install("bin/pyenv", str(tmp_path / "elsewhere"))
    found = other_python.other()
    assert found
    assert found.path == path


def test_without_one_the_part_is_skipped_with_its_reason(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A shim of pyenv exists and does not run."""
    install("bin/python3.11", "3 11 2")
    (install("pyenv/versions/3.12.2/bin/gone", "") / "../python3").resolve().symlink_to("/nowhere")
    install("pyenv/versions/3.13.2/bin/python3", "3 13 2").write_text("of another processor")
    install("bin/python3.13", "'pyenv: command not found' >&2; exit 127")
    if IS_NEWER:
        install("bin/python3.11", "3 13 0")
    wanted = "Python 3.11" if IS_NEWER else "Python 3.12 or newer"
    reason = f"there is no {wanted}, neither on PATH nor in pyenv"
    assert other_python.missing() == reason

    monkeypatch.setattr(checks, "FOLDER", tmp_path / "checks")
    monkeypatch.setattr(checks, "CHECKOUT", tmp_path / "checks" / "checkout")
    part = checks.Part("other-python", ["false"], missing=other_python.missing)
    monkeypatch.setattr(checks, "PARTS", [part])
    monkeypatch.setattr(checks, "copy_checkout", Path.mkdir)
    monkeypatch.setattr(sys, "argv", ["checks"])
    assert checks.main() == 0
    *_, told, counts = capsys.readouterr().out.splitlines()
    assert told == f"other-python: skipped, since {reason}"
    assert counts == "0 passed, 0 failed, 1 skipped"


def test_the_other_environment_replaces_this_one_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"/one:{own}:/other")
    assert other_python.path() == f"{other_python.HOME}/bin:/one:/other"


def test_the_tests_exist() -> None:
    for each in other_python.TESTS:
        path, _, name = each.partition("::")
        text = (other_python.ROOT / path).read_text()
        assert f"def {name}" in text
