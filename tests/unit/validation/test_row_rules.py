"""The rules between several values of a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.validation.check import check
from roster_upload.validation.row_rules import have_lost_zeros
from support import rosters


@pytest.mark.parametrize(("day", "is_reported"), [("2026-08-10", False), ("2026-08-09", True)])
def test_a_day_may_be_first_and_last(package: Path, day: str, is_reported: bool) -> None:
    made = rosters.invent(students=60, schools=2)
    made.set("enrollments", 20, "endDate", day)
    package.write_bytes(rosters.to_zip(made.members()))
    assert ("value.order" in {finding.rule for finding in check(package).findings}) is is_reported


@pytest.mark.parametrize(
    ("schools", "is_reported"),
    [("school-0,school-1", True), ("school-0,district", False), ("school-0,school-0", False)],
)
def test_a_student_of_a_school_and_its_district_has_one_school(
    package: Path, schools: str, is_reported: bool
) -> None:
    made = rosters.invent(students=60, schools=2)
    made.set("users", 20, "orgSourcedIds", schools)
    package.write_bytes(rosters.to_zip(made.members()))
    found = {finding.rule: finding.rows for finding in check(package).findings}
    assert found == ({"imagine.one-school": [20]} if is_reported else {})
    made.set("users", 20, "role", "teacher")
    package.write_bytes(rosters.to_zip(made.members()))
    assert not list(check(package).findings)


@pytest.mark.parametrize(
    ("numbers", "is_reported"),
    [(["12", "345"], True), (["12", "34"], False), (["012", "3456"], False),
     (["12", "x3456"], False), (["12"], False), (["0", "12"], True)],
)  # fmt: skip
def test_numbers_have_lost_their_zeros(numbers: list[str], is_reported: bool) -> None:
    assert have_lost_zeros(numbers) is is_reported
