"""What a check finds and how it is told; and the checks that are the same for every format."""

from __future__ import annotations

import gc
import zipfile
from pathlib import Path

import pytest
import rosters
from roster_upload import config, validate
from roster_upload.census import Census
from roster_upload.exits import RETRYABLE, Exit
from roster_upload.findings import Findings, Report, spec
from roster_upload.validate import Terms
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
    assert (first.count, first.rows) == (SHOWN + 2, list(range(2, SHOWN + 2)))
    assert first.detail == "row 2", "that of the first one"
    assert f"rows {', '.join(map(str, first.rows))} … ({SHOWN + 2:,} in all): " in first.text()
    assert "users.csv, column status, row 7: " in second.text()
    assert second.text().endswith("[value.enum]")
    assert first.record() == {
        "rule": "value.enum", "severity": "error", "file": "users.csv", "column": "role",
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
    assert [f.rows for f in found][1] == [], "row 0 is the file as a whole"
    assert "error: a.xml: " in [f.text() for f in found][1]
    assert "(3 bytes)" in [f.text() for f in found][1]


@pytest.mark.parametrize(
    ("severity", "accepted", "count"),
    [("", False, 1), ("error", False, 1), ("warning", True, 1), ("ignore", True, 0)],
)
def test_a_feed_sets_the_severity_of_a_rule(severity: str, accepted: bool, count: int) -> None:
    report = Report(Findings({"value.enum": severity}), Census())
    report.findings.add("value.enum", "users.csv")
    assert (report.accepted, len(report.findings)) == (accepted, count)
    assert report.record()["accepted"] is accepted
    assert len(report.record()["findings"]) == count


def test_errors_come_first() -> None:
    found = Findings({"value.enum": "warning"})
    for rule in ("value.enum", "file.too-small", "file.too-large"):
        found.add(rule, "a")
    assert [finding.rule for finding in found] == [
        "file.too-small",
        "file.too-large",
        "value.enum",
    ]
    assert [finding.rule for finding in found.errors] == ["file.too-small", "file.too-large"]


# ---- any export ---------------------------------------------------------------------------------


def rules(path: Path, terms: Terms, name: str = "") -> list[str]:
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
    terms = Terms("other" if is_opaque else "oneroster-1.1", minimum_bytes=low, maximum_bytes=high)
    # What has another size is not looked into.
    expected = found if is_opaque or found else ["package.not-zip"]
    report = validate.check(path, terms)
    assert [finding.rule for finding in report.findings] == expected
    assert report.census.rows == ({"bytes": 10} if is_opaque else {})


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
    found = rules(path, Terms("other", remote_name=remote), name)
    assert found == (["file.name"] if is_told else [])


def test_the_terms_are_those_of_the_feed(tmp_path: Path) -> None:
    feed = config.parse(
        {**GOOD, "minimum_bytes": 5, "maximum_bytes": 6, "rules": {"value.enum": "ignore"}}
    )
    terms = Terms.of(feed)
    assert (terms.format, terms.minimum_bytes, terms.maximum_bytes) == ("oneroster-1.1", 5, 6)
    assert (terms.rules, terms.remote_name) == ({"value.enum": "ignore"}, "OneRoster.zip")
    assert not terms.allow_delete_unlisted
    assert (Terms().minimum_bytes, Terms().maximum_bytes) == (1, 2_000_000_000)


def test_a_check_uses_the_severities_of_its_feed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"x")
    for severities, accepted in (({}, False), ({"file.too-small": "warning"}, True)):
        opaque = Terms("other", rules=severities, minimum_bytes=2)
        assert validate.check(path, opaque).accepted is accepted


def test_the_garbage_is_collected_again_afterwards(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(rosters.build(students=30))
    bad.write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for path in (good, bad, tmp_path / "empty.zip"):
        validate.check(path)
        assert gc.isenabled()
    gc.disable()
    try:
        validate.check(good)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_only_with_the_same_key_two_exports_can_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(rosters.build(students=30))

    def ids(key: bytes) -> bytes:
        report = validate.check(path, key=key)
        return bytes(report.census.kinds["users.student"].ids.tobytes())

    assert ids(b"k" * 32) == ids(b"k" * 32) != ids(b"o" * 32)
    assert ids(b"") != ids(b""), "else anybody could compute them"


# ---- exit codes ---------------------------------------------------------------------------------


def test_what_locks_an_account_is_never_tried_again() -> None:
    assert not RETRYABLE & {
        Exit.LOGIN, Exit.SECOND_FACTOR, Exit.PASSWORD_EXPIRED, Exit.HOST_KEY, Exit.PERMISSION,
        Exit.VERIFY, Exit.HELD, Exit.STALE, Exit.REFUSED, Exit.PAUSED, Exit.STOPPED,
    }  # fmt: skip


def test_an_exit_code_keeps_its_number() -> None:
    """Monitoring of districts compares with them."""
    told = spec("explain")
    assert {str(int(code)) for code in Exit} - set(told) == set()
    assert [int(code) for code in (Exit.OK, Exit.HELD, Exit.MISSED, Exit.INTERNAL)] == [
        0, 17, 28, 70
    ]  # fmt: skip
