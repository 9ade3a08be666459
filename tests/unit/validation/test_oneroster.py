"""The validator finds every single defect in its place, and prints no value of a row."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from roster_upload.cli import parser as cli
from roster_upload.records.finding import rules
from roster_upload.spec import spec
from roster_upload.validation.check import check
from roster_upload.validation.options import ValidationOptions
from support import rosters
from support.damages import DAMAGES
from unit.validation.test_file_records import with_wrong_roles

CANARY = "Quillfeather-Canary"


@pytest.mark.parametrize("size", [{"students": 1, "schools": 1}, {"students": 300}, {"seed": 9}])
def test_a_good_package_has_no_findings(package: Path, size: dict[str, int]) -> None:
    package.write_bytes(rosters.build(**size))  # type: ignore[arg-type]
    report = check(package)
    assert [finding.text() for finding in report.findings] == []
    students = size.get("students", 300)
    assert report.rows["demographics"] == students
    assert report.rows["users"] == students + max(1, students // rosters.CLASS_SIZE)


@pytest.mark.parametrize("name", rosters.DEFECTS)
def test_each_defect_is_found_in_its_place(package: Path, name: str) -> None:
    defect = rosters.DEFECTS[name]
    package.write_bytes(rosters.build(defect=name))
    report = check(package)
    found = {(f.rule, f.file if defect.file else "", f.column): f for f in report.findings}
    finding = found.get((defect.rule, defect.file, defect.column))
    assert finding, [f.text() for f in report.findings]
    if defect.row:
        assert defect.row in finding.rows
    assert finding.severity == (defect.severity or rules()[defect.rule]["severity"])
    assert report.accepted is not any(f.severity == "error" for f in report.findings)


def test_every_rule_is_broken_by_some_defect() -> None:
    """A rule that nothing can break is a check that cannot fail."""
    shown = {d.rule for d in rosters.DEFECTS.values()} | {d.rule for d in DAMAGES} - {""}
    # These need more than one change, or another format; they have tests of their own.
    elsewhere = {"package.compression", "value.delta-filled"}
    others = {rule for rule in rules() if rule.startswith(("traditional.", "file."))}
    assert set(rules()) - shown == elsewhere | others


def test_a_method_that_receivers_do_not_know(package: Path) -> None:
    members = dict(rosters.invent().members())
    with zipfile.ZipFile(package, "w") as out:
        for name, content in members.items():
            method = zipfile.ZIP_BZIP2 if name == "orgs.csv" else zipfile.ZIP_DEFLATED
            out.writestr(name, content, method)
    found = [(f.rule, f.file) for f in check(package).findings]
    assert found == [("package.compression", "orgs.csv")]


def test_many_large_members_are_too_much_together(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.write_bytes(rosters.build())
    monkeypatch.setitem(spec("limits"), "total_bytes", 10_000)
    found = [(f.rule, f.file) for f in check(package).findings]
    assert found == [("package.too-large", "the package")]


def test_a_delta_needs_its_states(package: Path) -> None:
    made = rosters.invent()
    made.manifest[9][1] = "delta"
    kind = made.manifest[9][0].removeprefix("file.")
    package.write_bytes(rosters.to_zip(made.members()))
    report = check(package)
    found = {(f.rule, f.file, f.column): f.count for f in report.findings}
    rows = len(made.tables[kind]) - 1
    assert found == {
        ("value.delta-filled", f"{kind}.csv", "status"): rows,
        ("value.delta-filled", f"{kind}.csv", "dateLastModified"): rows,
    }


def test_a_byte_order_mark_and_bare_line_feeds_are_no_errors(package: Path) -> None:
    members = [
        (name, b"\xef\xbb\xbf" + content.replace(b"\r\n", b"\n"))
        for name, content in rosters.invent().members()
    ]
    package.write_bytes(rosters.to_zip(members))
    report = check(package)
    assert report.accepted
    assert {finding.rule for finding in report.findings} == {"csv.bom", "csv.line-ends"}
    assert report.rows["demographics"] == 300


def test_a_rule_can_be_turned_down_and_off(package: Path) -> None:
    package.write_bytes(rosters.build(defect="role"))
    severities = []
    for severity in ("error", "warning", "ignore"):
        report = check(package, ValidationOptions(rules={"value.enum": severity}))
        severities.append([f.severity for f in report.findings if f.rule == "value.enum"])
        assert report.accepted is (severity != "error")
    assert severities == [["error"], ["warning"], ["ignored"]]


def test_all_fourteen_files_are_read(package: Path) -> None:
    package.write_bytes(rosters.build(full=True))
    report = check(package)
    assert not list(report.findings)
    assert set(report.rows) == set(spec("oneroster-1.1")["data_files"])
    assert all(report.rows.values())


def test_metadata_columns_may_stand_at_the_right_end_only(package: Path) -> None:
    made = rosters.invent()
    for index, row in enumerate(made.tables["orgs"]):
        row.append("metadata.ncesId" if index == 0 else "1")
    package.write_bytes(rosters.to_zip(made.members()))
    assert not list(check(package).findings)
    made.tables["orgs"][0][-1] = "ext_ncesId"
    package.write_bytes(rosters.to_zip(made.members()))
    assert [f.rule for f in check(package).findings.errors] == ["csv.header"]


def test_faults_in_later_batches_have_their_own_rows(package: Path) -> None:
    made = rosters.invent(students=9000, schools=2)
    row = 6007  # some pieces of text later
    made.set("demographics", row, "sex", "x")
    made.set("enrollments", row, "sourcedId", made.tables["enrollments"][5][0])
    package.write_bytes(rosters.to_zip(made.members()))
    found = {(f.rule, f.file): f.rows for f in check(package).findings}
    assert found == {
        ("value.enum", "demographics.csv"): [row],
        ("value.unique", "enrollments.csv"): [row],
    }


USER_COLUMNS = [column["name"] for column in spec("oneroster-1.1")["files"]["users"]["columns"]]


@pytest.mark.parametrize("column", USER_COLUMNS)
def test_no_value_of_a_row_is_ever_told(
    package: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = rosters.invent(students=30)
    made.set("users", 7, column, f"{CANARY},\x01")
    package.write_bytes(rosters.to_zip(made.members()))
    for options in ([], ["--json"]):
        cli.main(["check", "--file", str(package), *options])
        told = capsys.readouterr()
        assert CANARY not in told.out + told.err


def test_findings_as_json(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package.write_bytes(rosters.build(defect="ragged"))
    assert cli.main(["check", "--file", str(package), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["accepted"] is False
    assert told["findings"][0]["rule"] == "csv.row-width"
    assert told["findings"][0]["rows"] == [3]


@pytest.mark.parametrize(
    ("students", "count", "options", "is_sent"),
    [
        (60, 5, {}, True),
        (60, 6, {}, False),
        (1250, 6, {}, True),  # half a percent of 1,300 rows
        (1250, 7, {}, False),
        (60, 1, {"faulty_rows_percent": 0, "faulty_rows_count": 0}, False),
        (60, 0, {"faulty_rows_percent": 0, "faulty_rows_count": 0}, True),
        (60, 6, {"faulty_rows_percent": 10, "faulty_rows_count": 0}, True),
        (60, 7, {"faulty_rows_percent": 10, "faulty_rows_count": 0}, False),
        (60, 12, {"faulty_rows_percent": 0, "faulty_rows_count": 12}, True),
    ],
)
def test_a_few_faulty_rows_are_sent(
    package: Path, students: int, count: int, options: dict[str, float], is_sent: bool
) -> None:
    package.write_bytes(with_wrong_roles(count, students))
    report = check(package, ValidationOptions(**options))  # type: ignore[arg-type]
    assert report.accepted is is_sent
    assert report.faulty_rows == ({"users": count} if count else {})
    [told] = [f.severity for f in report.findings if f.rule == "value.enum"] or ["fault"]
    assert told == ("fault" if is_sent else "error")
    assert report.record()["faulty_rows"] == report.faulty_rows


def test_a_severity_is_that_of_one_column(package: Path) -> None:
    made = rosters.invent(students=60, schools=2)
    made.set("users", 20, "role", "pupil")
    made.set("enrollments", 20, "role", "pupil")
    package.write_bytes(rosters.to_zip(made.members()))
    options = ValidationOptions(rules={"value.enum:enrollments.role": "error"})
    report = check(package, options)
    severities = {f.file: f.severity for f in report.findings}
    assert severities == {"users.csv": "fault", "enrollments.csv": "error"}


# ---- no consequence beside its cause ------------------------------------------------------------


@pytest.mark.parametrize("file", rosters.ROSTERING)
def test_a_file_without_rows_ends_in_a_report(package: Path, file: str) -> None:
    made = rosters.invent(students=60, schools=2)
    del made.tables[file][1:]
    package.write_bytes(rosters.to_zip(made.members()))
    rules_ = {finding.rule for finding in check(package).findings}
    assert "csv.no-rows" in rules_
    assert rules_ <= {"csv.no-rows", "reference.missing"}


def test_a_row_of_commas_is_one_fault(package: Path) -> None:
    made = rosters.invent(students=60, schools=2)
    for table in (made.tables["users"], made.tables["enrollments"]):
        table.extend([[""] * len(table[0])] * 2)
    package.write_bytes(rosters.to_zip(made.members()))
    report = check(package)
    assert report.accepted
    assert {(f.rule, f.file, f.column, tuple(f.rows)) for f in report.findings} == {
        ("value.required", "users.csv", "sourcedId", (64, 65)),
        ("value.required", "enrollments.csv", "sourcedId", (64, 65)),
    }


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"familyName ", "column 10 should be familyName; beside it stands a space"),
        (b"familyname", "column 10 should be familyName; capitals count"),
        (b"family\xe2\x80\x8bName", "it holds U+200B ZERO WIDTH SPACE"),
        ("Größe".encode(), "column 10 should be familyName; it holds letters beyond ASCII"),
        (b"lastName", "column 10 should be familyName)"),
    ],
)
def test_a_header_is_told_by_its_first_wrong_name(package: Path, header: bytes, says: str) -> None:
    members = dict(rosters.invent(students=3).members())
    members["users.csv"] = members["users.csv"].replace(b"familyName", header, 1)
    package.write_bytes(rosters.to_zip(list(members.items())))
    [finding] = check(package).findings
    assert says in finding.text()


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["metadata.a", "Metadata.b"], "column 20 should be metadata.… or nothing; capitals count"),
        (["metadata.a", "b"], "column 20 should be metadata.… or nothing)"),
        (["metadata.", "metadata.b"], "column 19 should be metadata.… or nothing)"),
        (["", "metadata.b"], "column 19 should be metadata.… or nothing)"),
        (["metadata.a", "metadata.a"], "column 20 has the name of another"),
        (["metadata.a b", "metadata.é"], ""),
    ],
)
def test_columns_of_the_district_stand_behind(package: Path, extra: list[str], says: str) -> None:
    made = rosters.invent(students=3)
    for number, row in enumerate(made.tables["users"]):
        row.extend(extra if number == 0 else ["1", "NULL"])
    package.write_bytes(rosters.to_zip(made.members()))
    texts = [finding.text() for finding in check(package).findings]
    assert len(texts) == bool(says)
    assert says in "".join(texts)


def test_a_manifest_alone_changes_nothing(package: Path) -> None:
    for defect, is_unchanged in (("manifest-alone", True), ("", False)):
        package.write_bytes(rosters.build(defect=defect))
        assert check(package).baseline.is_unchanged is is_unchanged


@pytest.mark.parametrize("mode", ["Delta", "Bulk", "delta ", "full"])
@pytest.mark.parametrize("status", ["", "active"])
def test_a_wrong_mode_never_asks_for_states(package: Path, mode: str, status: str) -> None:
    made = rosters.invent(students=60, schools=2)
    made.manifest = [[name, mode if name == "file.users" else v] for name, v in made.manifest]
    for row in range(2, 64):
        made.set("users", row, "status", status)
    package.write_bytes(rosters.to_zip(made.members()))
    assert [finding.rule for finding in check(package).findings] == ["manifest.value"]


def test_a_delta_refers_to_earlier_packages(package: Path) -> None:
    made = rosters.invent(students=60, schools=2, mode="delta", drop_students=2)
    for file in ("orgs", "classes"):
        made.tables[file] = made.tables[file][:2]
    package.write_bytes(rosters.to_zip(made.members()))
    assert not list(check(package).findings)


@pytest.mark.parametrize("file", rosters.ROSTERING)
@pytest.mark.parametrize(
    ("end", "rule"), [(b"a,b\r\n", "csv.row-width"), (b"\xff", "csv.encoding")]
)
def test_what_is_broken_is_told_alone(package: Path, file: str, end: bytes, rule: str) -> None:
    for broken in (end, b""):
        members = dict(rosters.invent(students=60, schools=2).members())
        whole = members[f"{file}.csv"]
        members[f"{file}.csv"] = whole + broken if broken else b"x" + whole
        package.write_bytes(rosters.to_zip(list(members.items())))
        [finding] = check(package).findings
        assert (finding.file, finding.rule) == (f"{file}.csv", rule if broken else "csv.header")
