"""The validator: every single defect is found in its place, and no value of a row is ever told."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import rosters
from roster_upload import cli
from roster_upload.findings import rules, spec
from roster_upload.validate import Terms, check

CANARY = "Quillfeather-Canary"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Where a test puts its package."""
    return tmp_path / "OneRoster.zip"


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
    errors = [f for f in report.findings if f.severity == "error"]
    assert report.accepted is not bool(errors)
    if finding.severity == "error":
        assert finding in errors


def test_every_rule_is_broken_by_some_defect() -> None:
    """A rule that nothing can break is a check that cannot fail."""
    shown = {defect.rule for defect in rosters.DEFECTS.values()}
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
        report = check(package, Terms(rules={"value.enum": severity}))
        severities.append([f.severity for f in report.findings if f.rule == "value.enum"])
        assert report.accepted is (severity != "error")
    assert severities == [["error"], ["warning"], []]


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
    package.write_bytes(rosters.build(defect="role"))
    assert cli.main(["check", "--file", str(package), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["accepted"] is False
    assert told["findings"][0]["rule"] == "value.enum"
    assert told["findings"][0]["rows"] == [20]
