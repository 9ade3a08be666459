"""The command `diff`: its tables, root's terminal and the unit. Names appear nowhere else."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_feeds import to_toml
from roster_upload.cli import parser as cli
from roster_upload.cli.render_diff import escaped, text
from roster_upload.diff.people import ACTIONS, Diff, Record
from roster_upload.exits import Exit
from roster_upload.records.ledger import Ledger
from roster_upload.records.package_store import PackageStore
from support import rosters
from support.receipts import append
from unit.test_config import GOOD

KEY = b"k" * 32
FEED = "maple-grove"
STUDENT = 20  # a student's row of users.csv
HOSTILE = "\x1b]0;owned\x07\u202eZubenel"
Change = Callable[[rosters.Package], None]


def package(path: Path, change: Change | None = None, **values: Any) -> Path:
    """Write an invented package to a path and return it."""
    made = rosters.invent(**values)
    if change:
        change(made)
    path.write_bytes(rosters.to_zip(made.members()))
    return path


def student() -> list[str]:
    """Return the row of the student."""
    row: list[str] = rosters.invent().tables["users"][STUDENT - 1]
    return row


# ---- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil\u200b", "\\u202eevil\\u200b"),
        ("\ufeff\U000e0001", "\\ufeff\\ue0001"),
        ("Größinger O'Thistle Ñ 李", "Größinger O'Thistle Ñ 李"),
    ],
)
def test_nothing_in_a_name_is_obeyed_by_the_terminal(value: str, shown: str) -> None:
    assert escaped(value) == shown
    record = Record("removed", f"users.{value}", value, value, value, value, (("a", value, "b"),))
    seen = text(Diff([record]), {}, 200)
    assert not set(seen) & set(re.sub(r"[\w\\ \[']", "", value)) - {"\n"}


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    name = "Zubenelgenubi " * 4
    changes = (("username", "long-username-" * 5, ""), ("email", " a@b.example", "c@d.example"))
    record = Record("changed", "users.student", "s" * 60, name, "school-1", "05", changes)
    counts = {"users.student": dict.fromkeys(ACTIONS, 0) | {"changed": 1}}
    seen = text(Diff([record], counts), {"school-1": "Invented School 1"}, width)
    assert max(map(len, seen.splitlines())) <= width
    assert "users.student: 1 changed" in seen
    assert seen.count("s" * 10) >= 2
    assert "".join(seen.split()).count("Zub") == 4
    if width == 200:
        assert "username: long-username-long" in seen
        assert '→ ""' in seen
        assert '" a@b.example" → c@d.example' in seen
        assert "Invented School 1" in seen


# ---- the terminal --------------------------------------------------------------------------------


def feed_of(tmp_path: Path, **values: Any) -> list[str]:
    """Write a feed's configuration. Return the options for it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    settings = {**GOOD, "source": str(tmp_path / "export.zip"), **values}
    lines = (f"{key} = {to_toml(value)}\n" for key, value in settings.items())
    (folder / f"{FEED}.toml").write_text("".join(lines))
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / f"{FEED}_state").write_bytes(KEY)
    return [f"--config-dir={folder}", f"--state-dir={tmp_path / 'state'}"]


def keep(tmp_path: Path) -> Path:
    """Store a package as accepted. Return the folder of the feed's state."""
    state = tmp_path / "state" / FEED
    state.mkdir(parents=True)
    path = package(tmp_path / "accepted")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    append(Ledger(state),
        {
            "feed": FEED, "command": "send", "outcome": "sent", "exit_code": 0,
            "started": "2026-10-31T07:10:00Z", "finished": "2026-10-31T07:11:00Z",
            "source": {"sha256": digest},
        }
    )  # fmt: skip
    PackageStore(state / "packages", KEY, 3).add(path, digest)
    return state


def on_terminal(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """Run the program on its own terminal. Return its exit code and its output."""
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "CREDENTIALS_DIRECTORY": str(tmp_path / "secrets"),
        "PYTHONPATH": str(Path(cli.__file__).parents[2]),
        "COLUMNS": "100",
    }
    environment.pop("RUNTIME_DIRECTORY", None)
    command = [sys.executable, "-m", "roster_upload", *arguments]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.STDOUT, env=environment
    ) as process:
        os.close(follower)
        shown = b"".join(_blocks(leader))
    os.close(leader)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def _blocks(leader: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(leader, 1 << 16)
        except OSError:  # the other side is closed
            return
        if not block:
            return
        yield block


def kept_texts(tmp_path: Path) -> str:
    """Return all text in the feed's state after a command."""
    files = (path for path in (tmp_path / "state").rglob("*") if path.is_file())
    return "".join(path.read_bytes().decode("latin-1") for path in files)


@pytest.fixture
def _hostile_export(tmp_path: Path) -> None:
    """Tonight's export, in which a student is gone and another has a hostile name."""

    def change(made: rosters.Package) -> None:
        made.set("users", STUDENT + 1, "givenName", HOSTILE)
        made.tables["users"].pop(STUDENT - 1)

    package(tmp_path / "export.zip", change)


@pytest.mark.usefixtures("_hostile_export")
def test_a_terminal_shows_who(tmp_path: Path) -> None:
    options = feed_of(tmp_path)
    keep(tmp_path)
    code, shown = on_terminal(tmp_path, *options, "diff", FEED)
    assert code == Exit.OK
    assert "users.student: 1 removed" in shown
    assert student()[0] in shown
    assert " ".join(student()[8:10]) in shown
    assert "\\x1b]0;owned\\x07\\u202eZubenel" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert student()[9] not in kept_texts(tmp_path)


@pytest.mark.usefixtures("_hostile_export")
def test_what_is_no_terminal_gets_no_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = feed_of(tmp_path)
    keep(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "secrets"))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert cli.main([*options, "diff", FEED]) == Exit.USAGE
    out, err = capfd.readouterr()
    assert out == ""
    assert "terminal" in err
    assert student()[9] not in err
    assert "Zubenel" not in err


@pytest.mark.parametrize(
    ("values", "has_state", "told"),
    [
        ({}, False, "The next accepted delivery will be stored"),
        ({"keep_packages": 0}, True, "roster_upload_keep_packages"),
    ],
)
def test_without_a_kept_package_it_says_what_to_do(
    tmp_path: Path, values: dict[str, Any], has_state: bool, told: str
) -> None:
    options = feed_of(tmp_path, **values)
    package(tmp_path / "export.zip")
    if has_state:
        (tmp_path / "state" / FEED).mkdir(parents=True)
    code, shown = on_terminal(tmp_path, *options, "diff", FEED)
    assert code == Exit.SOURCE
    assert told in shown


def test_a_package_that_is_not_the_last_one_is_not_compared_with(tmp_path: Path) -> None:
    options = feed_of(tmp_path)
    package(tmp_path / "export.zip")
    append(Ledger(keep(tmp_path)),
        {
            "feed": FEED, "command": "send", "outcome": "sent", "exit_code": 0,
            "started": "2999-10-31T07:10:00Z", "source": {"sha256": "0" * 64},
        }
    )  # fmt: skip
    code, shown = on_terminal(tmp_path, *options, "diff", FEED)
    assert code == Exit.SOURCE
    assert "is not kept" in shown


@pytest.mark.parametrize(
    ("arguments", "values", "told"),
    [
        (("--kind", "users.pupil"), {}, "users.student"),
        ((), {"format": "other"}, "oneroster-1.1 only"),
    ],
)
def test_a_wish_that_cannot_be_is_told(
    tmp_path: Path, arguments: tuple[str, ...], values: dict[str, Any], told: str
) -> None:
    options = feed_of(tmp_path, **values)
    code, shown = on_terminal(tmp_path, *options, "diff", FEED, *arguments)
    assert code == Exit.USAGE
    assert told in shown


def test_an_installed_feed_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["diff", FEED]) == Exit.LOCAL
    assert "sudo" in capsys.readouterr().err


# ---- root's command and the unit -----------------------------------------------------------------


UNIT = """#!/bin/sh
case $1 in
show) printf '%s\\n' ActiveState=inactive LoadState=loaded Result=success \\
    ExecMainStatus=0 InvocationID=new ;;
start) RUNTIME_DIRECTORY={folder}/maple-grove CREDENTIALS_DIRECTORY={secrets} \\
    {python} -m roster_upload {options} diff maple-grove >{folder}/journal 2>&1 ;;
esac
"""
AS_ROOT = (
    "import pathlib, sys; from roster_upload.cli import through_unit, parser as cli\n"
    "through_unit.needs_unit = lambda given: True\n"
    "through_unit.RUN_DIR = pathlib.Path(sys.argv.pop(1))\n"
    "sys.exit(cli.main(sys.argv[1:]))\n"
)


@pytest.mark.usefixtures("_hostile_export")
@pytest.mark.parametrize("has_package", [True, False])
def test_roots_command_shows_what_its_unit_finds_and_the_journal_has_no_name(
    tmp_path: Path, has_package: bool
) -> None:
    options = feed_of(tmp_path)
    state = keep(tmp_path)
    if not has_package:
        for path in (state / "packages").iterdir():
            path.unlink()
    folder = tmp_path / "run"
    folder.mkdir()
    values = {
        "folder": folder,
        "secrets": tmp_path / "secrets",
        "python": sys.executable,
        "options": " ".join(options),
    }
    for name, script in (("systemctl", UNIT.format(**values)), ("journalctl", "#!/bin/sh\n")):
        program = tmp_path / name
        program.write_text(script)
        program.chmod(0o755)
    code, shown = _as_root(tmp_path, folder, options)
    journal = (folder / "journal").read_text()
    assert student()[9] not in journal + kept_texts(tmp_path)
    assert "Zubenel" not in journal + kept_texts(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["journal"]
    if has_package:
        assert (code, journal) == (Exit.OK, "")
        assert " ".join(student()[8:10]) in shown
        assert "\x1b" not in shown
    else:
        assert "is not kept" in journal
        assert code != Exit.OK


def _as_root(tmp_path: Path, folder: Path, options: list[str]) -> tuple[int, str]:
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(cli.__file__).parents[2]),
        "COLUMNS": "100",
    }
    environment.pop("RUNTIME_DIRECTORY", None)
    command = [sys.executable, "-c", AS_ROOT, str(folder), *options, "diff", FEED]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(follower)
        shown = b"".join(_blocks(leader))
    os.close(leader)
    return process.returncode, shown.decode()
