"""The manual page and the completion for bash, which are made from the parser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from manual.commands import commands
from manual.page import page
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit

FILES = Path(__file__).resolve().parents[2] / "roles" / "roster_upload" / "files"
TRY = """
source "$1"; shift
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _roster_upload
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what bash offers for each line that is typed."""
    folder = tmp_path_factory.mktemp("etc")
    for name in ("elm", "elm-math", "oak", "$(touch bad)", "Odd"):
        (folder / f"{name}.toml").touch()
    here = f"roster-upload --config-dir {folder}"
    lines = {
        "sta": "roster-upload sta",
        "--": "roster-upload --",
        "feed": f"{here} history e",
        "feeds": f"{here} send ",
        "equals": f"roster-upload --config-dir = {folder} check o",
        "code or feed": f"{here} explain ",
        "option": f"{here} approve elm --",
        "value": f"{here} login elm --slot ",
        "of value": f"{here} login elm --slot p",
        "file": f"{here} check --file {folder}/el",
        "free text": f"{here} approve elm --reason ",
        "no feeds": "roster-upload --config-dir /nowhere send ",
    }
    command = ["bash", "--norc", "-c", TRY, "try", str(FILES / "roster-upload.bash")]
    done = subprocess.run(
        [*command, *lines.values()], capture_output=True, text=True, check=True, cwd=folder
    )
    assert not (folder / "bad").exists()
    offered = map(str.split, done.stdout.splitlines())  # bash sorts them once more
    return {name: sorted(words) for name, words in zip(lines, offered, strict=True)}


def test_commands_and_feeds_are_completed(completed: dict[str, list[str]]) -> None:
    assert completed["sta"] == ["status"]
    assert completed["--"] == ["--config-dir", "--help", "--state-dir", "--version"]
    assert completed["feed"] == ["elm", "elm-math"]
    assert completed["feeds"] == ["elm", "elm-math", "oak"]
    assert completed["equals"] == ["oak"]
    assert completed["code or feed"] == sorted(
        [*(str(int(code)) for code in Exit), *completed["feeds"]]
    )
    assert completed["no feeds"] == []


def test_options_and_values_are_completed(completed: dict[str, list[str]]) -> None:
    assert completed["option"] == ["--check", "--digest", "--help", "--json", "--reason"]
    assert completed["value"] == ["current", "pending"]
    assert completed["of value"] == ["pending"]
    assert [Path(one).name for one in completed["file"]] == ["elm-math.toml", "elm.toml"]
    assert completed["free text"] == []


def test_the_manual_names_every_command_option_and_exit_code() -> None:
    text = page(cli.parser()).replace("\\-", "-")
    for command in commands(cli.parser()):
        assert f".SS roster-upload {command.name}" in text
        for value in command.options:
            assert value.names[-1] in text
    for code in Exit:
        assert f".B {int(code)}\n{code.meaning}." in text.replace("\\(dq", '"')
    assert "%(" not in text
    assert "--why" not in text, "an option of an older release"


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man")
@pytest.mark.parametrize("width", ["80", "160"])
def test_the_manual_is_shown_without_a_warning(width: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", str(FILES / "roster-upload.8")],
        capture_output=True, text=True, check=False,
        env={"MANWIDTH": width, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= int(width)
    assert 'roster-upload approve maple-grove --digest 3f1c... --reason "' in done.stdout
