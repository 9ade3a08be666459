"""The guard's answer for two packages in sequence, from the command line."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.cli import parser as cli
from roster_upload.diff.compare import check_export
from roster_upload.exits import Exit, Failure
from roster_upload.records.night import night_name
from support import rosters
from unit.test_config import GOOD, write

NIGHT = "2026-11-01"
Change = Callable[[rosters.Package], None]


def package(path: Path, change: Change | None = None, **values: Any) -> Path:
    """Write an invented package to a path and return it."""
    made = rosters.invent(**values)
    if change:
        change(made)
    path.write_bytes(rosters.to_zip(made.members()))
    return path


def everywhere(file: str, column: str, value: str) -> Change:
    """Return a change of a column in all rows."""

    def change(made: rosters.Package) -> None:
        for row in range(2, len(made.tables[file]) + 1):
            made.set(file, row, column, value)

    return change


def renumbered(made: rosters.Package) -> None:
    """Give every enrollment another sourcedId."""
    for row in range(2, len(made.tables["enrollments"]) + 1):
        made.set("enrollments", row, "sourcedId", f"new-{row}")


def misdeclared(made: rosters.Package) -> None:
    """Declare another version, which refuses the package and does not change any person."""
    made.manifest[2] = ["oneroster.version", "1.2"]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return a good package."""
    return package(tmp_path / "before.zip")


def compare(before: Path, after: Path, *options: str) -> int:
    """Compare two packages."""
    return cli.main(["compare", str(before), str(after), f"--night={NIGHT}", *options])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (None, Exit.OK),
        (everywhere("users", "enabledUser", "false"), Exit.HELD),
        (everywhere("enrollments", "endDate", "2026-10-31"), Exit.HELD),
        (everywhere("users", "email", " "), Exit.HELD),
        (everywhere("users", "identifier", "7"), Exit.HELD),
        (renumbered, Exit.HELD),
    ],
)
def test_the_guard_answers_by_the_exit_code(
    before: Path, tmp_path: Path, change: Change | None, code: Exit,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert compare(before, package(tmp_path / "after.zip", change), "--json") == code
    answer = json.loads(capsys.readouterr().out)
    assert (answer["held"], answer["exit_code"]) == (code is Exit.HELD, code)
    assert bool(answer["reasons"]) == (code is Exit.HELD)


def test_the_answer_for_machines(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = package(tmp_path / "after.zip", drop_students=100)
    assert compare(before, after, "--json") == Exit.HELD
    answer = json.loads(capsys.readouterr().out)
    assert answer["night"] == NIGHT
    assert answer["accepted"]
    assert answer["changes"]["users.student"] == {
        "before": 300, "now": 200, "added": 0, "removed": 100, "changed": 0,
    }  # fmt: skip
    assert {key for reason in answer["reasons"] for key in reason} == {"rule", "kind", "text"}
    assert "users.student" in {reason["kind"] for reason in answer["reasons"]}
    assert answer["before"]["rows"]["users"] > answer["after"]["rows"]["users"]
    assert answer["after"]["findings"] == answer["before"]["findings"]


def test_the_answer_for_people(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(before, package(tmp_path / "after.zip", drop_students=100))
    out = capsys.readouterr().out
    [row] = [line.split() for line in out.splitlines() if line.startswith("users.student")]
    assert row == ["users.student", "300", "200", "100", "0", "0"]
    assert "held: users.student: 100 of 300 would be removed" in out
    assert out.splitlines()[-1] == f"{night_name(str(NIGHT))} ({NIGHT}): the guard would hold AFTER"
    assert max(map(len, (line for line in out.splitlines() if "held" not in line))) <= 80
    assert "sftp" not in out


def test_an_sis_that_numbers_enrollments_anew_can_be_declared(before: Path, tmp_path: Path) -> None:
    after = package(tmp_path / "after.zip", renumbered)
    limits = write(tmp_path / "limits.toml", {"guard_floor": 20})
    assert compare(before, after, f"--config={limits}") == Exit.HELD
    limits.write_text("guard_limits = {enrollments = {removed = 100}}\n")
    assert compare(before, after, f"--config={limits}") == Exit.OK


@pytest.mark.parametrize("folder", ["before", "after"])
def test_a_folder_is_compared_as_it_would_be_packed(
    before: Path, tmp_path: Path, folder: str
) -> None:
    unpacked = tmp_path / "folder"
    with zipfile.ZipFile(before) as archive:
        archive.extractall(unpacked)
    pair = (unpacked, before) if folder == "before" else (before, unpacked)
    assert compare(*pair) == Exit.OK


def test_a_package_that_breaks_rules_is_refused_unless_it_is_held(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def both(made: rosters.Package) -> None:
        misdeclared(made)
        everywhere("users", "enabledUser", "false")(made)

    assert compare(before, package(tmp_path / "after.zip", misdeclared)) == Exit.REFUSED
    out = capsys.readouterr().out
    assert "AFTER: error: manifest.csv" in out
    assert out.splitlines()[-1].endswith("validation refuses it")
    assert compare(before, package(tmp_path / "after.zip", both), "--json") == Exit.HELD
    answer = json.loads(capsys.readouterr().out)
    assert (answer["held"], answer["accepted"]) == (True, False)
    assert answer["after"]["findings"]


def test_what_follows_a_broken_package_is_not_called_good(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    assert compare(broken, before) == Exit.REFUSED
    assert capsys.readouterr().out.splitlines()[-1].endswith("there is nothing to compare with")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"guard_removed_percent": 33}, Exit.HELD),
        ({"guard_removed_percent": 34}, Exit.OK),
        ({"guard_floor": 100}, Exit.OK),
        ({**GOOD, "guard_removed_percent": 34}, Exit.OK),
        ({"guard_removed_percent": 134}, Exit.CONFIG),
    ],
)
def test_a_configuration_file_has_the_limits(
    before: Path, tmp_path: Path, limits: dict[str, Any], code: Exit
) -> None:
    def fewer(made: rosters.Package) -> None:
        made.tables["demographics"] = made.tables["demographics"][:201]

    path = write(tmp_path / "limits.toml", limits)
    after = package(tmp_path / "after.zip", fewer)
    assert compare(before, after, f"--config={path}") == code


def test_the_night_decides_what_is_over(tmp_path: Path) -> None:
    """Enrollments end with the day before their endDate."""
    package(tmp_path / "a.zip", everywhere("enrollments", "endDate", "2026-11-30"))
    same = ["compare", str(tmp_path / "a.zip"), str(tmp_path / "a.zip")]
    assert cli.main([*same, "--night=2026-11-29"]) == Exit.OK
    assert cli.main([*same, "--night=2026-11-30"]) == Exit.HELD  # nobody remains


def test_without_a_night_it_is_today(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = {dt.datetime.now(dt.UTC).date().isoformat()}
    cli.main(["compare", str(before), str(before), "--json"])
    days.add(dt.datetime.now(dt.UTC).date().isoformat())
    assert json.loads(capsys.readouterr().out)["night"] in days


def test_what_cannot_be_compared_is_told(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(before, tmp_path / "none.zip") == Exit.SOURCE
    assert compare(before, before, f"--config={tmp_path / 'none.toml'}") == Exit.CONFIG
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as failed:
        cli.main(["compare", str(before), str(before), "--night=tomorrow"])
    assert failed.value.code == Exit.USAGE
    assert "'tomorrow' is not a day such as 2026-11-01" in capsys.readouterr().err


def test_before_was_accepted_the_night_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Additions on a term's first night are no mistake."""

    def by_term(made: rosters.Package) -> None:
        for row in range(7, len(made.tables["classes"]) + 1):
            made.set("classes", row, "termSourcedIds", "spring")

    def before_the_term(made: rosters.Package) -> None:
        by_term(made)
        late = {row[0] for row in made.tables["classes"][6:]}
        made.tables["enrollments"] = [r for r in made.tables["enrollments"] if r[3] not in late]

    before = package(tmp_path / "before.zip", before_the_term)
    after = package(tmp_path / "after.zip", by_term)
    for night, code in (("2027-01-05", Exit.OK), ("2027-01-06", Exit.HELD)):
        assert compare(before, after, "--night", night) == code, capsys.readouterr().out


def test_an_export_that_cannot_be_held_to_its_scope_is_not_called_good(tmp_path: Path) -> None:
    package(tmp_path / "export.zip", mode="delta")  # what its rows refer to is not in it
    values = {**GOOD, "source": str(tmp_path / "export.zip"), "scope": {"roles": ["student"]}}
    with pytest.raises(Failure, match="the feed's scope could not be applied") as caught:
        check_export(config.parse(values), dt.date(2026, 11, 1))
    assert caught.value.code == Exit.REFUSED
