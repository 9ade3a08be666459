"""The command line: which function runs, what it imports, and where its version comes from."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from roster_upload import __version__, version
from roster_upload.cli import parser as cli
from roster_upload.cli import through_unit

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "scripts"
# What takes long to import.
HEAVY = {"numpy", "paramiko", "cryptography", "rich", "roster_upload.delivery.delivery"}
IMPORTED = """
import sys
from roster_upload.cli import parser, through_unit
through_unit.needs_unit = lambda given: True
through_unit.run = lambda given, command: 0
try:
    code = parser.main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(code, *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_function(name: str) -> None:
    module, _, function = cli.COMMANDS[name].partition(":")
    assert callable(getattr(import_module(f"roster_upload.cli.{module}"), function))


def test_every_command_is_on_the_command_line_and_relayed_ones_are_commands() -> None:
    [subparsers] = [a for a in cli.parser()._actions if isinstance(a.choices, dict)]
    assert set(subparsers.choices or ()) == set(cli.COMMANDS)
    assert set(through_unit.RELAYED) < set(cli.COMMANDS)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["send", "maple"], 0),
        (["login", "maple"], 0),
        (["watch", "maple"], 0),
        (["check-config"], 3),
        (["status"], 0),
        (["history", "maple"], 3),
        (["report", "--json"], 0),
    ],
    ids=str,
)
def test_a_start_imports_no_more_than_its_command_needs(
    tmp_path: Path, words: list[str], code: int
) -> None:
    """Half of the program's starts on a host only relay to a unit."""
    folders = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *folders, *words],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SCRIPTS)},
    )  # fmt: skip
    last = done.stderr.splitlines()[-1].split()
    assert last[0] == str(code), done.stderr
    assert HEAVY & set(last) == set()


def test_the_version_has_one_source(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"roster-upload {version()}\n"
    release, _, build = version().partition("+")
    assert release == __version__
    assert re.fullmatch("[0-9a-f]{7}", build)
