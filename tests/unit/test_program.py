"""The program on hosts: one file, the same bytes from the same sources, independent of others."""

from __future__ import annotations

import base64
import importlib.util
import subprocess
import sys
from pathlib import Path

from roster_upload import build_of, version
from support import rosters

LOOKUP = (
    Path(__file__).resolve().parents[2] / "roles/roster_upload/lookup_plugins/roster_program.py"
)


def build() -> bytes:
    """Return the program from the lookup, by a fresh import."""
    spec = importlib.util.spec_from_file_location("roster_program", LOOKUP)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return base64.b64decode(module.LookupModule().run([])[0])


def test_the_same_sources_give_the_same_bytes() -> None:
    assert build() == build()


def test_it_runs_by_itself(tmp_path: Path) -> None:
    program, package = tmp_path / "roster-upload", tmp_path / "OneRoster.zip"
    program.write_bytes(build())
    package.write_bytes(rosters.build(defect="ragged"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("check", "--file", str(package))
    assert done.returncode == 4, done.stderr
    assert "[csv.row-width]" in done.stdout
    assert run("--version").stdout == f"roster-upload {version()}\n", "the same as here"
    done = run("--help")
    assert done.returncode == 0
    assert "exit codes:" in done.stdout


def test_a_build_is_told_by_its_files() -> None:
    files = {"a.py": b"1", "b.py": b"2"}
    known = build_of(files)
    assert build_of(dict(reversed(files.items()))) == known, "in any order"
    others = [{"a.py": b"1"}, {"a.py": b"2", "b.py": b"1"}, {"a.py": b"12", "b.py": b""}]
    assert known not in map(build_of, [*others, {"a.py": b"1", "c.py": b"2"}])
