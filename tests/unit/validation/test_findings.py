"""The findings of a check and their texts, and the checks for every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from roster_upload import config
from roster_upload.guard.baseline import Baseline
from roster_upload.spec import spec
from roster_upload.validation import check as validate
from roster_upload.validation.findings import Budget, Findings, Report
from roster_upload.validation.options import ValidationOptions
from support import rosters
from unit.test_config import GOOD

SHOWN = int(spec("limits")["rows_shown"])


def test_findings_are_counted_by_rule_file_and_column() -> None:
    found = Findings()
    for row in range(2, SHOWN + 4):
        found.add("value.enum", "users.csv", "role", row=row, detail=f"row {row}")
    found.add("value.enum", "users.csv", "status", row=7)
    found.add("value.enum", "classes.csv", "role", row=8)
    assert len(found) == 3
    first, second, _ = found
    assert (first.severity, first.count, first.rows) == (
        "fault",
        SHOWN + 2,
        list(range(2, SHOWN + 2)),
    )
    assert first.detail == "row 2", "that of the first one"
    assert f"rows {', '.join(map(str, first.rows))} … ({SHOWN + 2:,} in all): " in first.text()
    assert "users.csv, column status, row 7: " in second.text()
    assert second.text().endswith("[value.enum]")
    assert first.to_json() == {
        "rule": "value.enum", "severity": "fault", "file": "users.csv", "column": "role",
        "detail": "row 2", "count": SHOWN + 2, "rows": first.rows,
    }  # fmt: skip


def test_all_rows_are_told_where_they_are_few() -> None:
    found = Findings()
    for row in range(SHOWN):
        found.add("value.enum", "users.csv", row=row + 1)
    [finding] = found
    assert len(finding.rows) == SHOWN
    assert "in all" not in finding.text()
    found.add("file.too-small", "a.xml", detail="3 bytes")
    first = next(iter(found))
    assert first.rows == [], "row 0 is the file as a whole"
    assert "error: a.xml: " in first.text()
    assert "(3 bytes)" in first.text()


@pytest.mark.parametrize(
    ("key", "severity", "becomes"),
    [
        ("csv.quotes", "", "error"),
        ("csv.quotes", "warning", "warning"),
        ("csv.quotes", "ignore", "ignored"),
        ("csv.bom", "", "warning"),
        ("csv.bom", "error", "error"),
        ("value.enum", "", "fault"),
        ("value.enum", "error", "error"),
        ("value.enum", "warning", "warning"),
        ("value.enum:users.role", "ignore", "ignored"),
    ],
)
def test_a_feed_sets_the_severity_of_a_rule(key: str, severity: str, becomes: str) -> None:
    report = Report(Findings({key: severity}), Baseline())
    report.findings.add(key.partition(":")[0], "users.csv", "role", row=2)
    [finding] = report.findings
    assert finding.severity == becomes
    assert report.accepted is (becomes != "error")
    assert report.record()["accepted"] is report.accepted
    assert [f["severity"] for f in report.record()["findings"]] == [becomes]
    assert [f.severity for f in report.findings.told] == ([becomes] if becomes != "ignored" else [])


def test_the_severity_of_a_column_is_its_own() -> None:
    found = Findings({"value.enum": "ignore", "value.enum:enrollments.role": "error"})
    found.add("value.enum", "enrollments.csv", "role", row=2)
    found.add("value.enum", "users.csv", "role", row=2)
    assert [f.severity for f in found] == ["error", "ignored"]


# ---- the budget ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faulty", "rows", "is_covered"),
    [(5, 10, True), (6, 10, False), (6, 1200, True), (7, 1200, False), (50, 10_000, True),
     (51, 10_000, False), (0, 0, True)],
)  # fmt: skip
def test_a_file_may_have_a_few_faulty_rows(faulty: int, rows: int, is_covered: bool) -> None:
    assert Budget(0.5, 5).covers(faulty, rows) is is_covered
    found = Findings(budget=Budget(0.5, 5))
    found.add_rows("value.enum", "users.csv", "role", np.arange(2, faulty + 2))
    assert found.close("users.csv", rows) == faulty
    assert [f.severity for f in found.errors] == ([] if is_covered else ["error"])


def test_a_row_of_several_faults_is_one_row() -> None:
    found = Findings(budget=Budget(0, 5))
    for column in ("role", "enabledUser", "username"):
        found.add_rows("value.enum", "users.csv", column, np.arange(2, 7))
    assert found.close("users.csv", 100) == 5
    assert not found.errors
    found.add("value.enum", "users.csv", "email", row=99)
    assert found.close("users.csv", 100) == 6
    assert len(found.errors) == 4, "of whatever rule: the rows are too many"


def test_each_file_has_its_own_budget() -> None:
    found = Findings(budget=Budget(0, 1))
    found.add("value.enum", "users.csv", "role", row=2)
    found.add_rows("value.enum", "enrollments.csv", "role", np.array([2, 3]))
    assert [found.close(f, 9) for f in ("users.csv", "enrollments.csv")] == [1, 2]
    assert [f.file for f in found.errors] == ["enrollments.csv"]


@pytest.mark.parametrize(
    ("severities", "unused", "counted", "is_present"),
    [
        ({}, {}, 1, False),
        ({"value.enum": "warning"}, {}, 0, False),
        ({"value.enum": "ignore"}, {}, 0, False),
        ({}, {"users": ["role"]}, 0, True),
        ({"value.enum": "error"}, {}, 0, False),
    ],
)
def test_a_faulty_row_is_not_present_whatever_its_rule_is_turned_to(
    severities: dict[str, str], unused: dict[str, list[str]], counted: int, is_present: bool
) -> None:
    found = Findings(severities, unused)
    found.add("value.enum", "users.csv", "role", row=7)
    assert found.close("users.csv", 9) == counted
    flags = found.faulty("users.csv")
    assert (len(flags) <= 7 or not flags[7]) is is_present
    assert np.count_nonzero(flags) == (0 if is_present else 1)
    assert not len(found.faulty("orgs.csv"))


def test_beyond_the_budget_faults_alone_become_errors() -> None:
    found = Findings(budget=Budget(0, 0))
    for rule in ("value.enum", "value.unusual", "csv.bom"):
        found.add(rule, "users.csv", "role", row=2)
    found.close("users.csv", 9)
    assert [f.severity for f in found] == ["error", "warning", "warning"]


def test_columns_that_are_not_used_are_those_of_one_file_and_only_faults_warn() -> None:
    found = Findings({}, {"users": ["role"]})
    found.add("value.enum", "enrollments.csv", "role", row=2)
    found.add("value.enum", "users.csv", "role", row=2)
    found.add("value.bulk-only-empty", "users.csv", "role", row=2)
    assert {(f.rule, f.file): f.severity for f in found} == {
        ("value.enum", "enrollments.csv"): "fault",
        ("value.enum", "users.csv"): "warning",
        ("value.bulk-only-empty", "users.csv"): "error",
    }


def test_a_finding_is_as_severe_as_its_worst_row() -> None:
    for severities in (("error", ""), ("", "error")):
        found = Findings()
        for severity in severities:
            found.add("value.required", "users.csv", "role", row=2, severity=severity)
        assert [f.severity for f in found] == ["error"]


def test_a_warning_leaves_its_row_alone() -> None:
    found = Findings()
    found.add("value.unusual", "users.csv", "sourcedId", row=7)
    assert found.close("users.csv", 9) == 0
    assert not found.faulty("users.csv").any()


def test_a_finding_can_be_made_to_refuse_unless_the_feed_has_turned_it_down() -> None:
    for severities, expected in (
        ({}, "error"),
        ({"value.format:users.grades": "warning"}, "warning"),
    ):
        found = Findings(severities, {"users": ["grades"]})
        found.add("value.format", "users.csv", "grades", row=2)
        found.refuse("value.format", "users.csv", "grades")
        assert [f.severity for f in found] == [expected]
    found.refuse("value.format", "users.csv", "nowhere")
    assert len(found) == 1


def test_line_ends_that_make_one_line_of_a_file_are_no_matter_of_taste() -> None:
    found = Findings({"csv.line-ends": "ignore"})
    found.add("csv.line-ends", "users.csv", severity="error")
    found.add("csv.line-ends", "orgs.csv")
    assert [f.severity for f in found] == ["error", "ignored"]


def test_errors_come_first() -> None:
    found = Findings({"value.format": "ignore"})
    for rule in ("value.format", "csv.bom", "value.enum", "file.too-small", "file.too-large"):
        found.add(rule, "a", row=2)
    assert [finding.rule for finding in found] == [
        "file.too-small",
        "file.too-large",
        "value.enum",
        "csv.bom",
        "value.format",
    ]
    assert [finding.rule for finding in found.errors] == ["file.too-small", "file.too-large"]


# ---- any export ---------------------------------------------------------------------------------


def rules(path: Path, terms: ValidationOptions, name: str = "") -> list[str]:
    return [finding.rule for finding in validate.check(path, terms, name=name).findings]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (10, 10, []),
        (11, 99, ["file.too-small"]),
        (1, 9, ["file.too-large"]),
        (11, 9, ["file.too-small", "file.too-large"]),
    ],
)
@pytest.mark.parametrize("is_opaque", [True, False])
def test_an_export_has_its_size(
    tmp_path: Path, low: int, high: int, found: list[str], is_opaque: bool
) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(bytes(10))
    terms = ValidationOptions(
        "other" if is_opaque else "oneroster-1.1", minimum_bytes=low, maximum_bytes=high
    )
    # Files of another size are not inspected.
    expected = found if is_opaque or found else ["package.not-zip"]
    report = validate.check(path, terms)
    assert [finding.rule for finding in report.findings] == expected
    assert report.baseline.rows == ({"bytes": 10} if is_opaque else {})


@pytest.mark.parametrize(
    ("name", "remote", "is_told"),
    [
        ("a.xml", "b.XML", False),
        ("a.xml", "b.csv", True),
        ("a", "b.xml", True),
        ("", "b.dat", True),  # the copy's own name
        ("a.xml", "", False),
    ],
)
def test_an_opaque_export_is_of_the_kind_that_is_delivered(
    tmp_path: Path, name: str, remote: str, is_told: bool
) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"x")
    found = rules(path, ValidationOptions("other", remote_name=remote), name)
    assert found == (["file.name"] if is_told else [])


def test_the_terms_are_those_of_the_feed(tmp_path: Path) -> None:
    feed = config.parse(
        {**GOOD, "minimum_bytes": 5, "maximum_bytes": 6, "rules": {"value.enum": "ignore"}}
    )
    terms = ValidationOptions.from_feed(feed)
    assert (terms.format, terms.minimum_bytes, terms.maximum_bytes) == ("oneroster-1.1", 5, 6)
    assert (terms.rules, terms.remote_name) == ({"value.enum": "ignore"}, "OneRoster.zip")
    assert not terms.allow_delete_unlisted
    assert (ValidationOptions().minimum_bytes, ValidationOptions().maximum_bytes) == (
        1,
        2_000_000_000,
    )


def test_a_check_uses_the_severities_of_its_feed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"x")
    for severities, accepted in (({}, False), ({"file.too-small": "warning"}, True)):
        opaque = ValidationOptions("other", rules=severities, minimum_bytes=2)
        assert validate.check(path, opaque).accepted is accepted


def test_only_with_the_same_key_two_exports_can_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(rosters.build(students=30))

    def ids(key: bytes) -> bytes:
        report = validate.check(path, key=key)
        return bytes(report.baseline.records["users.student"].ids.tobytes())

    assert ids(b"k" * 32) == ids(b"k" * 32) != ids(b"o" * 32)
    assert ids(b"") != ids(b""), "else anybody could compute them"


def test_what_an_export_names_is_told_as_text() -> None:
    found = Findings(budget=Budget(0, 0))
    name = "\x1b]0;good\x07.zip"
    found.add("package.not-zip", name, "\x9b", detail="\u202e" * 1000, row=2)
    found.add("value.enum", name, row=2)
    assert all(finding.text().isprintable() for finding in found)
    assert max(len(finding.detail) for finding in found) <= 300
    assert found.count("package.not-zip", name, "\x9b") == 1
    found.close(name, 1)
    assert [f.severity for f in found] == ["error", "error"]
