"""The Traditional formats: known rules, the feed's own columns, and no hidden deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from roster_upload.records.finding import rules
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from roster_upload.validation.options import ValidationOptions
from support import rosters

FILES = {
    "District organizations.csv": (
        "organizationnumber,OrganizationName,OrganizationType,ParentOrganizationNumber\r\n"
        "0100,Invented District,district,\r\n0101,Invented School,School,0100\r\n"
    ),
    "classes.csv": "ClassNumber,ClassName\r\nc1,Reading\r\nc2,Reading\r\n",
    "USERS.csv": "UserNumber,Name\r\nt1,Quorra\r\n",
    "students_2026.csv": (
        "StudentNumber,Name,OrganizationNumber,Class\r\n"
        "007,Zubenel,0101,c1\r\n008,Vexil,0101,c2\r\n"
    ),
}
COLUMNS: dict[str, Any] = {
    "students": {
        "columns": ["StudentNumber", "Name", "OrganizationNumber", "Class"],
        "required": ["Name"],
        "unique": ["StudentNumber"],
        "key": "StudentNumber",
        "school": "OrganizationNumber",
    }
}


def look(tmp_path: Path, files: dict[str, str], **terms: Any) -> Report:
    """Return the validator's findings in a set of files."""
    path = tmp_path / "set.zip"
    path.write_bytes(rosters.to_zip([(name, text.encode()) for name, text in files.items()]))
    given = {"format": "traditional-literacy", "traditional_columns": COLUMNS, **terms}
    return check(path, ValidationOptions(**given), key=b"k" * 32)


def test_a_good_set_has_no_findings(tmp_path: Path) -> None:
    report = look(tmp_path, FILES)
    assert [finding.text() for finding in report.findings] == []
    assert report.rows == {"organizations": 2, "classes": 2, "users": 1, "students": 2}
    assert len(report.baseline.records["students"]) == 2
    assert report.baseline.schools == ["", "0101"]


ORGANIZATIONS, STUDENTS = "District organizations.csv", "students_2026.csv"
DIRECTIVE = "<DeleteUnlistedRecords>"
# The fault: the rule, the file's kind, the column, the row, and the change.
WRONG: dict[str, tuple[str, str, str, int, dict[str, str | None]]] = {
    "missing-kind": ("traditional.missing", "users", "", 0, {"USERS.csv": None}),
    "twice": ("package.duplicate", "classes", "", 0, {"class_b.csv": FILES["classes.csv"]}),
    "no-kind": ("traditional.kind", "another file", "", 0, {"other.csv": "a\r\nb\r\n"}),
    "two-kinds": (
        "traditional.kind", "classes and students", "", 0, {"student_classes.csv": "a\r\nb\r\n"},
    ),
    "excel": ("traditional.not-csv", "users", "", 0, {"USERS.csv": None, "users.xlsx": "PK"}),
    "no-number": (
        "traditional.column", "organizations", "OrganizationNumber", 1,
        {ORGANIZATIONS: "OrganizationName,OrganizationType\r\nA,school\r\n"},
    ),
    "empty-number": (
        "value.required", "organizations", "OrganizationNumber", 4,
        {ORGANIZATIONS: FILES[ORGANIZATIONS] + ",Nowhere,school,0100\r\n"},
    ),
    "number-twice": (
        "traditional.unique", "organizations", "OrganizationNumber", 4,
        {ORGANIZATIONS: FILES[ORGANIZATIONS] + "0101,Again,school,0100\r\n"},
    ),
    "no-such-type": (
        "value.enum", "organizations", "OrganizationType", 4,
        {ORGANIZATIONS: FILES[ORGANIZATIONS] + "0102,Other,campus,0100\r\n"},
    ),
    "unknown-parent": (
        "reference.missing", "organizations", "ParentOrganizationNumber", 4,
        {ORGANIZATIONS: FILES[ORGANIZATIONS] + "0102,Other,school,0999\r\n"},
    ),
    "column-twice": (
        "traditional.twice", "classes", "", 1, {"classes.csv": "Name,NAME\r\na,b\r\n"},
    ),
    "unknown-column": (
        "traditional.unknown-column", "students", "", 1,
        {STUDENTS: "StudentNumber,Name,Shoe\r\n007,Zubenel,38\r\n"},
    ),
    "student-twice": (
        "traditional.unique", "students", "StudentNumber", 4,
        {STUDENTS: FILES[STUDENTS] + "007,Quorra,0101,c1\r\n"},
    ),
    "lost-zeros": (
        "traditional.leading-zeros", "students", "StudentNumber", 0,
        {STUDENTS: "StudentNumber,Name\r\n7,Zubenel\r\n12,Vexil\r\n"},
    ),
    "directive": (
        "traditional.directive", "students", "", 4,
        {STUDENTS: FILES[STUDENTS] + f"{DIRECTIVE},,,\r\n"},
    ),
    "directive-on-a-line-of-its-own": (
        "traditional.directive", "students", "", 2,
        {STUDENTS: FILES[STUDENTS].replace("\r\n", f"\r\n{DIRECTIVE.upper()}\r\n", 1)},
    ),
    "directive-in-the-header": (
        "traditional.directive", "classes", "", 1,
        {"classes.csv": f"{DIRECTIVE}\r\nClassNumber\r\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_each_defect_is_found_in_its_place(tmp_path: Path, name: str) -> None:
    rule, kind, column, row, change = WRONG[name]
    files = {key: text for key, text in {**FILES, **change}.items() if text is not None}
    report = look(tmp_path, files)
    found = {(f.rule, f.file, f.column): f for f in report.findings}
    assert (rule, kind, column) in found, [f.text() for f in report.findings]
    if row:
        assert row in found[rule, kind, column].rows
    assert report.accepted is (rules()[rule]["severity"] != "error")


def test_every_rule_of_the_format_is_broken_by_some_defect() -> None:
    mine = {rule for rule in rules() if rule.startswith("traditional.")}
    assert {rule for rule, *_ in WRONG.values()} >= mine


def test_the_directive_passes_where_it_is_allowed(tmp_path: Path) -> None:
    files = {**FILES, STUDENTS: FILES[STUDENTS] + f"{DIRECTIVE},x,0101,c1\r\n"}
    assert not look(tmp_path, files).accepted
    assert look(tmp_path, files, allow_delete_unlisted=True).accepted


def test_without_a_configuration_only_what_is_known_is_checked(tmp_path: Path) -> None:
    report = look(tmp_path, FILES, traditional_columns={})
    assert report.accepted
    assert len(report.baseline.records["students"]) == 2


@pytest.mark.parametrize("size", [0, 99, 100, 1000, 1001])
def test_the_size_of_an_opaque_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"x" * size)
    terms = ValidationOptions(
        format="other", minimum_bytes=100, maximum_bytes=1000, remote_name="y.xml"
    )
    found = {finding.rule for finding in check(path, terms).findings}
    sizes = {"file.too-small"} if size < 100 else {"file.too-large"} if size > 1000 else set()
    assert found == {"file.name", *sizes}
