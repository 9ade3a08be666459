"""Check that the modules of zips are compiled once, and that nothing else changes for them."""

from __future__ import annotations

import os
import sys
import traceback
import zipfile
import zipimport
from pathlib import Path
from typing import Any

import pytest
from lab import bytecode

SOURCE = 'import sys\nVALUE = {!r}\ndef fail() -> None:\n    raise ValueError("here")\n'


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of kept bytecode, which is the test's own."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setattr(bytecode, "KEPT", str(folder))
    monkeypatch.setattr(zipimport, "_compile_source", bytecode.compile_source)
    bytecode.use()
    return folder


def archive(path: Path, **modules: str) -> str:
    """Write a zip of modules. Return its path."""
    with zipfile.ZipFile(path, "w") as file:
        for name, text in modules.items():
            file.writestr(f"{name}.py", text)
    return str(path)


def load(path: str, name: str) -> Any:
    """Return a module of a zip, as a new process would load it."""
    zipimport._zip_directory_cache.clear()  # type: ignore[attr-defined]
    sys.modules.pop(name, None)
    return zipimport.zipimporter(path).load_module(name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_module_is_compiled_once(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    compile_source = bytecode.compile_source

    def count(name: str, source: bytes) -> Any:
        compiled.append(name)
        return compile_source(name, source)

    monkeypatch.setattr(bytecode, "compile_source", count)
    first = archive(tmp_path / "first.zip", zipped=SOURCE.format("one"))
    second = archive(tmp_path / "second.zip", zipped=SOURCE.format("one"))
    other = archive(tmp_path / "other.zip", zipped=SOURCE.format("two"))
    assert [load(each, "zipped").VALUE for each in (first, second, other)] == ["one", "one", "two"]
    assert compiled == [f"{first}/zipped.py", f"{other}/zipped.py"]
    assert len(list(kept.iterdir())) == 2
    # A traceback names the file that was loaded, not the one that was compiled.
    with pytest.raises(ValueError, match="here") as error:
        load(second, "zipped").fail()
    assert traceback.extract_tb(error.value.__traceback__)[-1].filename == f"{second}/zipped.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_kept_is_compiled(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "some.zip", zipped=SOURCE.format("one"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load(path, "zipped").VALUE == "one"
    assert list(kept.iterdir()) == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    kept.rmdir()  # as on a host that removes it
    assert load(path, "zipped").VALUE == "one"
    kept.mkdir()
    load(path, "zipped")
    [file] = kept.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert load(path, "zipped").VALUE == "one"


def test_all_modules_of_an_archive_are_kept_for_everybody(kept: Path, tmp_path: Path) -> None:
    names = {"one": "1\n", "two": "2\n"}
    old = os.umask(0o077)
    try:
        bytecode.keep_all(archive(tmp_path / "program", **names))
    finally:
        os.umask(old)
    assert [file.stat().st_mode & 0o777 for file in kept.iterdir()] == [0o644, 0o644]
    bytecode.keep_all(str(tmp_path / "none"))
