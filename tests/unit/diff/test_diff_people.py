"""Removed, added and changed people, by the guard's rules."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roster_upload.cli.render_diff import text
from roster_upload.diff.package import Package
from roster_upload.diff.people import Diff, Wish, between
from roster_upload.exits import Exit, Failure
from support import rosters
from unit.diff.test_diff import STUDENT, Change, package, student
from unit.diff.test_diff_package import NIGHT

VERSIONS = ("propertyName", "manifest.version", "oneroster.version")


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
