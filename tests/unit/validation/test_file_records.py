"""Records of each file that the guard remembers, and duplicates in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.validation.check import check
from roster_upload.validation.options import ValidationOptions
from support import rosters

# ---- how many rows may be wrong -----------------------------------------------------------------


def with_wrong_roles(count: int, students: int = 60) -> bytes:
    """Return a package of which so many users have a wrong role."""
    made = rosters.invent(students=students, schools=2)
    for row in range(10, 10 + count):
        made.set("users", row, "role", "pupil")
    return rosters.to_zip(made.members())


@pytest.mark.parametrize("severity", ["", "warning", "ignore", "error"])
@pytest.mark.parametrize("key", ["value.enum", "value.enum:users.role"])
def test_a_faulty_row_is_not_present_whatever_its_rule_is_turned_to(
    package: Path, key: str, severity: str
) -> None:
    package.write_bytes(with_wrong_roles(12))
    report = check(package, ValidationOptions(rules={key: severity} if severity else {}))
    assert report.accepted is (severity in ("warning", "ignore"))
    records = report.baseline.records
    assert len(records["users.other"]) == 12
    assert not records["users.other"].present.any()
    assert records["users.student"].present.all()


def test_of_an_id_that_appears_twice_one_is_present(package: Path) -> None:
    made = rosters.invent(students=60, schools=2)
    made.tables["demographics"].append(list(made.tables["demographics"][20]))
    package.write_bytes(rosters.to_zip(made.members()))
    report = check(package)
    assert {f.rule: f.rows for f in report.findings} == {"value.unique": [62]}
    assert int(report.baseline.records["demographics"].present.sum()) == 60


@pytest.mark.parametrize("value", ["True", "1", "", "NULL"])
def test_users_of_whom_nothing_is_known_are_not_called_disabled(package: Path, value: str) -> None:
    made = rosters.invent(students=60, schools=2)
    for row in range(2, 64):
        made.set("users", row, "enabledUser", value)
    package.write_bytes(rosters.to_zip(made.members()))
    assert "users.disabled" not in {finding.rule for finding in check(package).findings}


@pytest.mark.parametrize("value", ["nan", "1.23457E+11"])
def test_what_a_tool_has_written_everywhere_is_not_called_a_duplicate(
    package: Path, value: str
) -> None:
    made = rosters.invent(students=60, schools=2)
    for row in range(2, 62):
        made.set("users", row, "identifier", value)
    package.write_bytes(rosters.to_zip(made.members()))
    report = check(package)
    assert len(report.findings) == 1
    assert report.baseline.duplicates["users.identifier"] == 59
    for row in range(2, 64):
        made.set("users", row, "identifier", "7" if row > 3 else value)
    package.write_bytes(rosters.to_zip(made.members()))
    assert "value.usually-unique" in {finding.rule for finding in check(package).findings}


@pytest.mark.parametrize(
    ("column", "value", "is_changed"),
    [("middleName", "X", False), ("phone", "5", False), ("status", "", False),
     ("givenName", "X", True), ("grades", "09", True)],
)  # fmt: skip
def test_a_change_of_a_column_that_is_not_used_is_none(
    package: Path, column: str, value: str, is_changed: bool
) -> None:
    made = rosters.invent(students=60, schools=2)
    tags = []
    for _ in range(2):
        package.write_bytes(rosters.to_zip(made.members()))
        report = check(package, key=b"k" * 32)
        tags.append(report.baseline.records["users.student"].tags.tolist())
        made.set("users", 20, column, value)
    assert (tags[0] != tags[1]) is is_changed


def test_a_delta_takes_away(package: Path) -> None:
    reports = []
    for gone in (0, 2):
        made = rosters.invent(students=60, schools=2, mode="delta", drop_students=gone)
        made.set("users", 40, "dateLastModified", f"2026-09-0{gone + 1}T00:00:00Z")
        package.write_bytes(rosters.to_zip(made.members()))
        reports.append(check(package, key=b"k" * 32).baseline.records["users.student"])
    assert [int(records.gone.sum()) for records in reports] == [0, 2]
    assert reports[0].tags.tolist() == reports[1].tags.tolist()


def test_a_delta_may_name_who_is_gone_from_a_whole_file(package: Path) -> None:
    made = rosters.invent(students=60, schools=2)
    made.manifest = [[n, "delta" if n == "file.demographics" else v] for n, v in made.manifest]
    gone = ["gone", "tobedeleted", rosters.MODIFIED]
    made.tables["demographics"][1:] = [gone + [""] * 13]
    package.write_bytes(rosters.to_zip(made.members()))
    assert not list(check(package).findings)
