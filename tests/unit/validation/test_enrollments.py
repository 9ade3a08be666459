"""The days of sessions, classes and enrollments, and the rules between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roster_upload.guard.calendar import Calendar, State
from roster_upload.validation import enrollments
from roster_upload.validation.check import check
from roster_upload.validation.columns import Numbered
from roster_upload.validation.enrollments import (
    Calendars,
    Classes,
    Sessions,
    day_after,
    day_of,
)
from roster_upload.validation.findings import Report
from support import rosters

NIGHT = dt.date(2026, 11, 1)
FALL, SPRING = ("2026-08-10", "2026-12-21"), ("2027-01-05", "2027-06-12")  # the day after the last


def look(tmp_path: Path, *changes: Callable[[rosters.Package], Any], **values: Any) -> Report:
    """Return the report of a changed package."""
    package = rosters.invent(**{"students": 60, "schools": 2, **values})
    for change in changes:
        change(package)
    path = tmp_path / "OneRoster.zip"
    path.write_bytes(rosters.to_zip(package.members()))
    return check(path, night=NIGHT)


def rows(report: Report) -> dict[str, list[int]]:
    """Return the rows of each rule."""
    return {finding.rule: finding.rows for finding in report.findings}


def put(file: str, column: str, value: str, row: int = 20) -> Callable[[rosters.Package], None]:
    """Return a change of one value."""
    return lambda package: package.set(file, row, column, value)


def everywhere(file: str, column: str, value: str) -> Callable[[rosters.Package], None]:
    """Return a change of all values of a column."""

    def change(package: rosters.Package) -> None:
        for row in range(2, len(package.tables[file]) + 1):
            package.set(file, row, column, value)

    return change


# ---- days ---------------------------------------------------------------------------------------


def test_the_day_after() -> None:
    assert day_after("2026-12-31") == "2027-01-01"
    assert [day_after(day) for day in ("", "soon", "9999-12-31")] == ["", "soon", "9999-12-31"]


def test_a_day_is_taken_without_its_edges_and_only_as_a_day() -> None:
    assert [day_of(" 2026-12-31\u00a0"), day_of("12/31/2026"), day_of("")] == ["2026-12-31", "", ""]


def test_equal_calendars_have_one_number() -> None:
    calendars = Calendars()
    assert calendars[Calendar()] == 0
    one = calendars[Calendar("2026-01-01", "", None)]
    assert one == calendars[Calendar("2026-01-01", "", None)] == 1
    assert calendars[Calendar("", "2026-01-01", None)] == 2


@pytest.fixture
def sessions() -> Sessions:
    """Return two semesters and sessions of wrong days."""
    made = Sessions()
    ids = ["fall", "spring", "again", "us", "open"]
    first = [FALL[0], SPRING[0], FALL[0], "8/10/2026", "2026-08-10"]
    last = ["2026-12-20", "2027-06-11 ", "2026-12-20", "2026-12-20", ""]
    made.add(ids, ["semester"] * 5, first, last)
    return made


@pytest.mark.parametrize(
    ("terms", "days"),
    [
        ("fall", (FALL,)),
        ("spring,fall", (FALL, SPRING)),
        ("fall,again", (FALL,)),
        (" fall , spring", (FALL, SPRING)),
        ("fall,nowhere", None),
        ("us", None),
        ("fall,open", None),
        ("", None),
        (",", None),
    ],
)
def test_a_list_of_sessions_has_days_where_all_are_known(
    sessions: Sessions, terms: str, days: tuple[tuple[str, str], ...] | None
) -> None:
    assert sessions.of(terms) == days
    assert sessions.of(terms) == days


def test_sessions_that_classes_point_to_are_used(sessions: Sessions) -> None:
    sessions.of("fall,nowhere")
    assert [one.is_used for one in sessions.all()] == [True, *[False] * 4]
    assert sessions.all()[0][:3] == ("semester", FALL[0], "2026-12-20")
    assert sessions.all()[3][1:3] == ("", "2026-12-20")


def test_classes_that_never_came_have_no_school() -> None:
    classes = Classes(Numbered(), Sessions(), Calendars())
    classes.ready()
    assert classes.school_of.tolist() == classes.terms_of.tolist() == [0]
    assert len(classes.whens_of_courses(0)) == 0


# ---- who is there on a day ----------------------------------------------------------------------


def present(report: Report, kind: str, day: str) -> int:
    """Return how many records of a kind are in force on a day."""
    records = report.baseline.records[kind]
    states = records.at(report.baseline.states(dt.date.fromisoformat(day)))
    return int(np.count_nonzero(states == State.PRESENT))


def test_the_day_on_which_an_enrollment_ends_is_outside(tmp_path: Path) -> None:
    report = look(
        tmp_path,
        everywhere("enrollments", "beginDate", "2026-09-01"),
        everywhere("enrollments", "endDate", "2026-10-01"),
    )
    counts = [
        present(report, "enrollments.student", f"2026-{day}")
        for day in ("08-31", "09-01", "09-30", "10-01")
    ]
    assert counts == [0, 60, 60, 0]


def test_the_last_day_of_a_session_is_inside(tmp_path: Path) -> None:
    report = look(
        tmp_path,
        everywhere("enrollments", "endDate", ""),
        everywhere("classes", "termSourcedIds", "fall"),
    )
    for kind, count in (("enrollments.student", 60), ("classes", 2), ("courses", 2)):
        days = ("2026-08-09", "2026-08-10", "2026-12-20", "2026-12-21")
        assert [present(report, kind, day) for day in days] == [0, count, count, 0]


def test_between_its_sessions_a_class_is_not_there(tmp_path: Path) -> None:
    report = look(tmp_path)
    for kind in ("enrollments.student", "classes", "courses"):
        assert present(report, kind, "2026-12-28") == 0
        assert present(report, kind, "2027-01-05") > 0


def test_a_session_of_wrong_days_bounds_nothing_and_is_not_there(tmp_path: Path) -> None:
    report = look(tmp_path, put("academicSessions", "endDate", "12/20/2026", 3))
    assert rows(report) == {"value.format": [3]}
    assert present(report, "academicSessions", "2026-11-01") == 1
    assert present(report, "classes", "2026-11-01") == 2


def test_an_enrollment_with_a_wrong_day_is_not_there(tmp_path: Path) -> None:
    report = look(tmp_path, put("enrollments", "endDate", "06/11/2027"))
    assert rows(report) == {"value.format": [20]}
    assert present(report, "enrollments.student", "2026-11-01") == 59


def test_a_course_is_taught_while_one_of_its_classes_is(tmp_path: Path) -> None:
    report = look(
        tmp_path,
        put("classes", "courseSourcedId", "course-0", 3),
        put("classes", "termSourcedIds", "fall", 2),
        put("classes", "termSourcedIds", "spring", 3),
    )
    days = ("2026-08-09", "2026-11-01", "2026-12-28", "2027-02-01", "2027-06-12")
    assert [present(report, "courses", day) for day in days] == [0, 1, 0, 1, 0]


def test_a_course_without_classes_is_not_taught(tmp_path: Path) -> None:
    report = look(tmp_path, lambda package: package.tables["courses"].append(
        ["course-x", "", "", "year", "Invented", "X", "03", "school-0", "", ""]))  # fmt: skip
    assert present(report, "courses", "2026-11-01") == 2


# ---- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "is_reported"),
    [
        ("beginDate", "2026-08-10", False), ("beginDate", "2026-08-09", True),
        ("beginDate", "2027-06-12", False), ("beginDate", "2027-06-13", True),
        ("endDate", "2027-06-12", False), ("endDate", "2027-06-13", True),
        ("endDate", "", False), ("beginDate", "", False),
    ],
)  # fmt: skip
def test_an_enrollment_lies_within_the_terms_of_its_class(
    tmp_path: Path, column: str, value: str, is_reported: bool
) -> None:
    found = rows(look(tmp_path, put("enrollments", column, value)))
    found.pop("value.order", None)
    assert found == ({"enrollment.term": [20]} if is_reported else {})


def test_rows_out_of_term_come_in_their_order(tmp_path: Path) -> None:
    report = look(
        tmp_path,
        put("enrollments", "beginDate", "2025-02-02", 9),
        put("enrollments", "beginDate", "2025-01-01", 30),
        put("enrollments", "beginDate", "2025-03-03", 4),
    )
    assert rows(report) == {"enrollment.term": [4, 9, 30]}


def test_terms_that_are_not_known_are_no_measure(tmp_path: Path) -> None:
    for change in (
        put("academicSessions", "startDate", "NULL", 3),
        put("classes", "termSourcedIds", "fall,never", 2),
    ):
        found = rows(look(tmp_path, change, everywhere("enrollments", "beginDate", "2020-01-01")))
        assert len(found.get("enrollment.term", [])) == (0 if "value.leftover" in found else 5)


def test_swapped_days_of_a_session_are_told_of_it_alone(tmp_path: Path) -> None:
    def swap(package: rosters.Package) -> None:
        for row in package.tables["academicSessions"][1:]:
            row[5], row[6] = row[6], row[5]

    assert rows(look(tmp_path, swap)) == {"value.order": [2, 3, 4]}


def test_a_school_is_that_of_the_class(tmp_path: Path) -> None:
    assert rows(look(tmp_path, put("enrollments", "schoolSourcedId", "school-1", 4))) == {
        "enrollment.school": [4]
    }


# ---- teachers -----------------------------------------------------------------------------------


def without_teacher(package: rosters.Package) -> None:
    """Remove the teacher of the second class."""
    table = package.tables["enrollments"]
    table[:] = [row for row in table if (row[3], row[6]) != ("class-1", "teacher")]


def test_a_class_without_a_teacher_has_its_row(tmp_path: Path) -> None:
    assert rows(look(tmp_path, without_teacher)) == {"class.no-teacher": [3]}
    assert rows(look(tmp_path, without_teacher, put("enrollments", "role", "proctor", 2))) == {
        "class.no-teacher": [2, 3], "enrollment.primary": [2],
    }  # fmt: skip


def test_a_class_is_not_told_where_enrollments_lead_nowhere(tmp_path: Path) -> None:
    for column in ("classSourcedId", "role"):
        found = rows(look(tmp_path, everywhere("enrollments", column, "NULL")))
        assert len(found) == 1
    assert rows(look(tmp_path, without_teacher, put("enrollments", "role", "aide"))) == {
        "class.no-teacher": [3], "value.enum": [20],
    }  # fmt: skip


def test_enrollments_without_a_student(tmp_path: Path) -> None:
    assert (
        rows(look(tmp_path, everywhere("enrollments", "role", "proctor")))["enrollment.no-students"]
        == []
    )
    header_only = lambda package: package.tables["enrollments"].__delitem__(slice(1, None))  # noqa: E731
    assert rows(look(tmp_path, header_only)) == {"csv.no-rows": []}


@pytest.mark.parametrize(
    ("first", "second", "is_reported"),
    [
        (("2026-08-10", "2026-10-01"), ("2026-10-01", "2027-06-11"), False),
        (("2026-08-10", "2026-10-02"), ("2026-10-01", "2027-06-11"), True),
        (("", ""), ("2026-10-01", "2026-10-02"), True),
        (("2026-10-01", ""), ("", "2026-10-01"), False),
    ],
)
def test_two_primary_teachers_at_the_same_time(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], is_reported: bool
) -> None:
    def change(package: rosters.Package) -> None:
        package.set("enrollments", 3, "classSourcedId", "class-0")
        package.set("enrollments", 3, "schoolSourcedId", "school-0")
        for row, days in ((2, first), (3, second)):
            for column, day in zip(("beginDate", "endDate"), days, strict=True):
                package.set("enrollments", row, column, day)

    found = rows(look(tmp_path, change))
    assert found.get("enrollment.two-primary", []) == ([3] if is_reported else [])


# ---- crowds -------------------------------------------------------------------------------------


def test_enrollments_are_counted_by_class_and_days(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        package.set("enrollments", 4, "endDate", "2026-09-01")
        package.set("enrollments", 5, "classSourcedId", "nowhere")

    classes, whens, counts = look(tmp_path, change).baseline.crowds
    assert len(set(classes.tolist())) == 2
    assert len(classes) == len(set(zip(classes.tolist(), whens.tolist(), strict=True))) == 3
    assert sorted(counts.tolist()) == [1, 30, 30]


@pytest.mark.parametrize("value", ["school-0 ", "nowhere", ""])
@pytest.mark.parametrize("file", ["enrollments", "classes"])
def test_a_school_that_leads_nowhere_is_told_as_such(tmp_path: Path, file: str, value: str) -> None:
    assert len(rows(look(tmp_path, put(file, "schoolSourcedId", value, 2)))) == 1


def test_enrollments_of_a_class_are_summed_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrollments, "COUNTED_AT_ONCE", 3)
    crowd = enrollments.Crowd()
    for lessons, whens in (([0, 1, 1, -1], [0, 0, 2, 0]), ([1, 0], [0, 0]), ([1, 1], [0, 2])):
        crowd.add(np.array(lessons), np.array(whens, np.uint32))
    found = zip(*(one.tolist() for one in crowd.all()), strict=True)
    assert sorted(found) == [(0, 0, 2), (1, 0, 3), (1, 2, 2)]
