"""The removed, added and changed people, found as the guard does, on a terminal only."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import pty
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roster_feeds import to_toml
from roster_upload.cli import parser as cli
from roster_upload.cli.render_diff import escaped, text
from roster_upload.diff import channel
from roster_upload.diff.package import Package
from roster_upload.diff.people import ACTIONS, Diff, Record, Wish, between
from roster_upload.exits import Exit, Failure
from roster_upload.records.ledger import Ledger
from roster_upload.records.package_store import PackageStore
from support import rosters
from support.receipts import append
from unit.test_config import GOOD

NIGHT = dt.date(2026, 11, 1)
KEY = b"k" * 32
FEED = "maple-grove"
STUDENT = 20  # a student's row of users.csv
VERSIONS = ("propertyName", "manifest.version", "oneroster.version")
HOSTILE = "\x1b]0;owned\x07\u202eZubenel"
Change = Callable[[rosters.Package], None]


def package(path: Path, change: Change | None = None, **values: Any) -> Path:
    """Write an invented package to a path and return it."""
    made = rosters.invent(**values)
    if change:
        change(made)
    path.write_bytes(rosters.to_zip(made.members()))
    return path


def found(
    tmp_path: Path,
    change: Change | None = None,
    wish: Wish | None = None,
    *,
    before: Change | None = None,
    night: dt.date = NIGHT,
    **values: Any,
) -> Diff:
    """Return the differences between an invented package and the same with a change."""
    old = Package(package(tmp_path / "old", before), "old", night)
    new = Package(package(tmp_path / "new", change, **values), "new", night)
    return between(old, new, wish or Wish())


def setting(file: str, column: str, value: str, *rows: int) -> Change:
    """Return a change of a column in some rows."""

    def change(made: rosters.Package) -> None:
        for row in rows:
            made.set(file, row, column, value)

    return change


def without(file: str, row: int) -> Change:
    """Return a change that removes a row."""

    def change(made: rosters.Package) -> None:
        made.tables[file].pop(row - 1)

    return change


def actions(diff: Diff) -> list[tuple[str, str, str]]:
    """Return the differences, without names."""
    return [(record.action, record.kind, record.sourced_id) for record in diff.records]


def student() -> list[str]:
    """Return the row of the student."""
    row: list[str] = rosters.invent().tables["users"][STUDENT - 1]
    return row


def test_nothing_differs_in_the_same_package(tmp_path: Path) -> None:
    assert found(tmp_path) == Diff()


@pytest.mark.parametrize(
    ("change", "action", "why"),
    [
        (without("users", STUDENT), "removed", ""),
        (setting("users", "enabledUser", "false", STUDENT), "removed", "disabled"),
        (setting("users", "enabledUser", "TRUE", STUDENT), "removed", "disabled"),
        (setting("users", "status", "tobedeleted", STUDENT), "removed", "deleted"),
        (setting("users", "familyName", "Umbra-Ash", STUDENT), "changed", ""),
        (setting("users", "dateLastModified", "2026-01-01T00:00:00Z", STUDENT), None, ""),
    ],
)
def test_a_person_is_there_if_the_vendor_would_let_them_in(
    tmp_path: Path, change: Change, action: str | None, why: str
) -> None:
    diff = found(tmp_path, change)
    wanted = [(action, "users.student", student()[0])] if action else []
    assert actions(diff) == wanted
    assert [record.why for record in diff.records] == [why] * len(wanted)


def test_a_faulty_row_is_nobody(tmp_path: Path) -> None:
    flags = np.zeros(STUDENT + 1, np.bool_)
    flags[STUDENT] = True
    path, none = package(tmp_path / "one"), np.zeros(0, np.bool_)
    good = Package(path, "good", NIGHT)
    bad = Package(path, "bad", NIGHT, lambda file: flags if file == "users.csv" else none)
    diff = between(good, bad, Wish())
    assert actions(diff) == [("removed", "users.student", student()[0])]
    assert diff.records[0].why == "faulty"
    assert "breaks a rule" in text(diff, {}, 80)
    assert [record.action for record in between(bad, good, Wish()).records] == ["added"]


def test_a_person_is_added_by_a_row_or_by_being_enabled(tmp_path: Path) -> None:
    for before in (
        without("users", STUDENT),
        setting("users", "enabledUser", "false", STUDENT),
    ):
        diff = found(tmp_path, before=before)
        assert actions(diff) == [("added", "users.student", student()[0])]
        assert diff.records[0].name.split() == [*student()[8:10]]


def test_what_changed_from_what_to_what(tmp_path: Path) -> None:
    def change(made: rosters.Package) -> None:
        made.set("users", STUDENT, "username", "other")
        made.set("users", STUDENT, "password", "secret-2")

    diff = found(tmp_path, change, before=setting("users", "password", "secret-1", STUDENT))
    assert diff.records[0].changes == (("password", "", ""), ("username", student()[6], "other"))
    assert "secret" not in text(diff, {}, 200)


def test_somebody_with_another_role_is_changed_and_is_found_by_either(tmp_path: Path) -> None:
    change = setting("users", "role", "teacher", STUDENT)
    for kind in ("", "users", "users.student"):
        diff = found(tmp_path, change, Wish(kind=kind))
        assert actions(diff) == [("changed", "users.student", student()[0])]
    assert not found(tmp_path, change, Wish(kind="users.aide")).records


@pytest.mark.parametrize(
    ("days", "night", "action"),
    [
        ({"endDate": "2026-11-01"}, NIGHT, "removed"),
        ({"endDate": "2026-11-02"}, NIGHT, "changed"),
        ({"beginDate": "2026-11-02"}, NIGHT, "removed"),
        ({"beginDate": "2026-11-01"}, NIGHT, "changed"),
        ({"endDate": "2026-12-01"}, dt.date(2028, 1, 1), None),
    ],
)
def test_an_enrollment_counts_on_its_days(
    tmp_path: Path, days: dict[str, str], night: dt.date, action: str | None
) -> None:
    def change(made: rosters.Package) -> None:
        for column, value in days.items():
            made.set("enrollments", STUDENT, column, value)

    diff = found(tmp_path, change, Wish(kind="enrollments"), night=night)
    wanted = [action] if action else []
    assert [record.action for record in diff.records] == wanted
    assert [record.why for record in diff.records] == ["days" if action == "removed" else ""] * len(
        wanted
    )


def test_an_enrollment_that_would_begin_later_is_cancelled(tmp_path: Path) -> None:
    change = without("enrollments", STUDENT)
    diff = found(tmp_path, change, Wish(kind="enrollments"), night=dt.date(2026, 1, 1))
    assert [record.action for record in diff.records] == ["cancelled"]


def test_a_term_that_is_over_removes_nothing_and_one_that_was_moved_does(tmp_path: Path) -> None:
    def moved(made: rosters.Package) -> None:
        for row in range(2, len(made.tables["academicSessions"]) + 1):
            made.set("academicSessions", row, "endDate", "2026-10-01")

    wish = Wish(kind="enrollments")
    assert not found(tmp_path, None, wish, night=dt.date(2029, 1, 1)).records
    diff = found(tmp_path, moved, wish)
    assert {(record.action, record.why) for record in diff.records} == {("removed", "days")}
    assert len(diff.records) == len(rosters.invent().tables["enrollments"]) - 1


def test_enrollments_are_counted_and_listed_with_names_when_asked_for(tmp_path: Path) -> None:
    change = without("enrollments", STUDENT)
    row = rosters.invent().tables["enrollments"][STUDENT - 1]
    plain = found(tmp_path, change)
    assert plain.records == []
    assert plain.counts == {
        f"enrollments.{row[6]}": {"removed": 1, "cancelled": 0, "added": 0, "changed": 0}
    }
    [record] = found(tmp_path, change, Wish(kind="enrollments")).records
    person = next(one for one in rosters.invent().tables["users"] if one[0] == row[5])
    of = next(one for one in rosters.invent().tables["classes"] if one[0] == row[3])
    assert record.name == f"{person[8]} {person[9]}, {of[3]}"


def test_a_school_limits_what_is_shown_and_counted(tmp_path: Path) -> None:
    school = student()[4]
    gone: dict[str, Any] = {"without_school": int(school[-1])}
    for wanted, is_of in ((school, True), ("school-0", school == "school-0")):
        diff = found(tmp_path, None, Wish(school=wanted), **gone)
        assert bool(diff.records) == is_of
        assert {record.schools for record in diff.records} <= {wanted}
        assert bool(diff.counts.get("users.student")) == is_of
    users = rosters.invent().tables["users"]
    other = next(row for row in range(STUDENT, len(users)) if users[row - 1][4] != school)
    change = setting("users", "familyName", "Other", STUDENT, other)
    assert len(found(tmp_path, change).records) == 2
    assert actions(found(tmp_path, change, Wish(school=school))) == [
        ("changed", "users.student", student()[0])
    ]
    with pytest.raises(Failure, match="--school") as failed:
        found(tmp_path, None, Wish(school="nowhere"))
    assert failed.value.code is Exit.USAGE


def test_a_school_is_found_by_its_identifier_and_a_move_by_both_schools(tmp_path: Path) -> None:
    orgs = rosters.invent().tables["orgs"]
    other = next(row for row in orgs[1:] if row[4] == "school" and row[0] != student()[4])
    change = setting("users", "orgSourcedIds", other[0], STUDENT)
    own = next(row for row in orgs if row[0] == student()[4])
    for school in (own[0], other[0], *filter(None, (own[5], other[5]))):
        assert len(found(tmp_path, change, Wish(school=school)).records) == 1


def test_removed_ones_come_first_then_by_kind_and_name(tmp_path: Path) -> None:
    def change(made: rosters.Package) -> None:
        made.set("users", STUDENT, "sourcedId", "new")
        made.set("users", STUDENT + 1, "familyName", "Other")
        made.tables["users"].pop(STUDENT + 4)
        made.tables["users"].pop(STUDENT + 5)

    diff = found(tmp_path, change)
    assert [record.action for record in diff.records] == ["removed"] * 3 + ["added", "changed"]
    names = [record.name for record in diff.records[:3]]
    assert names == sorted(names)


def test_a_delta_removes_only_what_it_says(tmp_path: Path) -> None:
    def short(made: rosters.Package) -> None:
        made.tables["users"] = [made.tables["users"][0], *made.tables["users"][-5:]]
        made.set("users", 3, "status", "tobedeleted")

    diff = found(tmp_path, short, mode="delta")
    users = rosters.invent().tables["users"]
    assert actions(diff) == [("removed", "users.student", users[-4][0])]


def test_what_is_not_in_a_delta_stays(tmp_path: Path) -> None:
    def alone(made: rosters.Package) -> None:
        made.tables = {"users": made.tables["users"]}
        for row in made.manifest:
            row[1] = row[1] if row[0] in ("file.users", *VERSIONS) else "absent"

    assert found(tmp_path, alone, mode="delta").counts == {}


def test_a_package_of_changes_cannot_be_compared_with(tmp_path: Path) -> None:
    old = Package(package(tmp_path / "old", mode="delta"), "old", NIGHT)
    new = Package(package(tmp_path / "new", without_school=1), "new", NIGHT)
    diff = between(old, new, Wish())
    assert diff.counts == {}
    assert any(note.startswith("users: ") for note in diff.notes)


@pytest.mark.parametrize(
    "content", [b"no zip", rosters.build(defect="damaged"), rosters.build(defect="cut-off")]
)
def test_a_package_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "new"
    path.write_bytes(content)
    with pytest.raises(Failure) as failed:
        between(
            Package(package(tmp_path / "old"), "old", NIGHT),
            Package(path, "tonight's export", NIGHT),
            Wish(),
        )
    assert failed.value.code is Exit.REFUSED
    assert "tonight's export" in failed.value.message


def test_an_endless_line_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.write_bytes(rosters.build(defect="endless-line"))
    with pytest.raises(Failure) as failed:
        Package(path, "tonight's export", NIGHT)
    assert failed.value.code is Exit.REFUSED


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


# ---- the way to the terminal ---------------------------------------------------------------------


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

DIFF = Diff(
    [Record("changed", "users.student", "1", "Q", "s", "05", (("email", "a", "b"),))],
    {"users.student": {"removed": 0, "cancelled": 0, "added": 0, "changed": 1}},
    ["a note"],
)


def test_a_diff_goes_through_the_socket_whole(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    wish = Wish("s", "users.student")
    with channel.Listener(path, os.geteuid(), wish) as listener:
        assert stat.S_ISSOCK(path.stat().st_mode)
        with channel.connected(path) as (asked, connection):
            channel.send(connection, DIFF, {"s": "School"})
    assert asked == wish
    assert listener.answer is not None
    assert channel.received(listener.answer) == (DIFF, {"s": "School"})
    assert not path.exists()


def test_another_user_is_not_heard(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with (
        channel.Listener(path, os.geteuid() + 1, Wish()) as listener,
        socket.socket(socket.AF_UNIX) as other,
    ):
        other.connect(str(path))
        with contextlib.suppress(OSError):
            other.sendall(b'{"diff": {}}')
            assert other.recv(1) == b"", "nothing is asked of it"
    assert listener.answer is None


def test_the_socket_goes_also_where_the_command_fails(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with socket.socket(socket.AF_UNIX) as unit:  # that goes on

        def interrupted() -> None:
            with channel.Listener(path, os.geteuid(), Wish()):
                unit.connect(str(path))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert not path.exists()


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with channel.Listener(path, os.geteuid(), Wish()):
        with pytest.raises(Failure) as failed, channel.Listener(path, os.geteuid(), Wish()):
            pass
        assert failed.value.code is Exit.BUSY
        assert path.exists()


def test_a_unit_that_nobody_waits_for_writes_to_nothing(tmp_path: Path) -> None:
    file = channel.socket_path(tmp_path, "a")
    file.write_text("")  # somebody's file in the socket's place
    for path in (file, tmp_path / "none"):
        with pytest.raises(Failure, match="root's terminal"), channel.connected(path):
            pass
    assert file.read_text() == ""


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
