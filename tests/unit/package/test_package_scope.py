"""A scope: the vendor gets the requested records, without dangling references."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload.package.built import Built
from support import packages, rosters, share
from support.packages import Feed, Scope, contents, dangling, ids, make, tables, write

SIZE = {"students": 60, "schools": 3, "full": True}


def scoped(
    folder: Path, package: rosters.Package, repairs: tuple[str, ...] = (), **scope: Any
) -> Built:
    """Return a package in scope."""
    export = write(folder / "export.zip", packages.members(package))
    return make(folder, Feed(Scope(**scope), repairs), export)


def changed(change: Callable[[rosters.Package], None]) -> rosters.Package:
    """Return an invented package with a change."""
    package = rosters.invent(**SIZE)
    change(package)
    return package


def test_a_school_stays_with_its_district_and_all_that_belongs_to_it(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), schools=("school-1",))
    found = tables(built.path)
    assert [row["sourcedId"] for row in found["orgs"]] == ["district", "school-1"]
    assert {row["schoolSourcedId"] for row in found["classes"]} == {"school-1"}
    assert {row["orgSourcedIds"] for row in found["users"]} == {"school-1"}
    assert {row["schoolSourcedId"] for row in found["enrollments"]} == {"school-1"}
    users = {row["sourcedId"] for row in found["users"]}
    assert {row["sourcedId"] for row in found["demographics"]} < users
    assert dangling(found) == set()
    before = tables(tmp_path / "export.zip")
    left_out = {name: len(before[name]) - len(rows) for name, rows in found.items()}
    assert built.steps["scope"] == {n: c for n, c in sorted(left_out.items()) if c}
    assert built.unscoped == ()


def test_every_row_in_scope_stays_byte_for_byte(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), schools=("school-1",))
    lines = contents(tmp_path / "export.zip")["enrollments.csv"].splitlines(keepends=True)
    kept = [line for line in lines if b"school-1" in line or line is lines[0]]
    assert contents(built.path)["enrollments.csv"] == b"".join(kept)


def test_a_school_is_found_by_its_identifier(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), schools=("0000002", "0000009"))
    assert ids(built.path, "orgs") == ["district", "school-2"]
    assert built.steps["unmatched"] == {"schools": ["0000009"]}


def test_a_department_stays_with_its_school(tmp_path: Path) -> None:
    def add(package: rosters.Package) -> None:
        package.tables["orgs"].insert(1, ["lab", "", "", "Lab", "department", "", "dep"])
        package.tables["orgs"].append(["dep", "", "", "Dep", "department", "", "school-1"])

    built = scoped(tmp_path, changed(add), schools=("school-1",))
    assert ids(built.path, "orgs") == ["lab", "district", "school-1", "dep"]


@pytest.mark.parametrize(
    ("role", "orgs", "expected"),
    [
        ("student", "school-1,school-0", "school-1"),
        ("student", "school-0,school-1,school-2", "school-1"),
        ("student", "district,school-1", "district,school-1"),
        ("student", "district", None),
        ("administrator", "district", "district"),
        ("teacher", "school-0,district", "district"),
        ("student", "school-0,school-2", None),
        ("student", "nowhere", "nowhere"),
        ("student", "nowhere,school-1,school-0", "nowhere,school-1"),
        ("student", "nowhere,school-0", None),
        ("student", "", ""),
    ],
)
def test_users_stay_by_their_orgs(
    tmp_path: Path, role: str, orgs: str, expected: str | None
) -> None:
    def change(package: rosters.Package) -> None:
        package.set("users", 2, "orgSourcedIds", orgs)
        package.set("users", 2, "role", role)

    package = changed(change)
    who = package.tables["users"][1][0]
    built = scoped(tmp_path, package, schools=("school-1",))
    found = {row["sourcedId"]: row["orgSourcedIds"] for row in tables(built.path)["users"]}
    assert found.get(who) == expected


def test_only_students_are_chosen_by_grade(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), grades=("03", "04"))
    before, after = tables(tmp_path / "export.zip")["users"], tables(built.path)["users"]
    assert after == [u for u in before if u["role"] != "student" or u["grades"] in ("03", "04")]
    assert 0 < len(after) < len(before)


def test_one_grade_of_several_is_enough(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        for row in range(2, len(package.tables["users"]) + 1):
            package.set("users", row, "role", "student")
            package.set("users", row, "grades", "01,03" if row == 5 else "02,01")

    package = changed(change)
    built = scoped(tmp_path, package, grades=("03",))
    assert ids(built.path, "users") == [package.tables["users"][4][0]]


def test_roles_choose_users(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), roles=("teacher", "aide"))
    found = tables(built.path)
    assert {row["role"] for row in found["users"]} == {"teacher"}
    assert {row["role"] for row in found["enrollments"]} == {"teacher"}
    assert found["demographics"] == []
    assert found["results"] == []


@pytest.mark.parametrize("course", ["course-1", "R1"])
def test_classes_of_other_courses_go(tmp_path: Path, course: str) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), courses=(course, "none"))
    found = tables(built.path)
    assert [row["sourcedId"] for row in found["courses"]] == ["course-1"]
    assert {row["courseSourcedId"] for row in found["classes"]} == {"course-1"}
    assert len(found["users"]) == len(tables(tmp_path / "export.zip")["users"])
    assert built.steps["unmatched"] == {"courses": ["none"]}
    assert dangling(found) == set()


def test_users_without_an_enrollment_that_stays_go(tmp_path: Path) -> None:
    built = scoped(tmp_path, rosters.invent(**SIZE), courses=("R1",), enrolled_only=True)
    found = tables(built.path)
    enrolled = {row["userSourcedId"] for row in found["enrollments"]}
    assert {row["sourcedId"] for row in found["users"]} == enrolled
    assert {row["sourcedId"] for row in found["demographics"]} < enrolled
    assert {row["studentSourcedId"] for row in found["results"]} <= enrolled


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Return any scope."""

    def some(values: list[str]) -> tuple[str, ...]:
        return tuple(draw(st.lists(st.sampled_from(values), max_size=2, unique=True)))

    return Scope(
        some(["district", "school-0", "school-1", "0000002", "nowhere"]),
        some(["01", "02", "03", "07", "12"]),
        some(["student", "teacher"]),
        some(["R0", "course-1", "none"]),
        draw(st.booleans()),
    )


@settings(max_examples=share.of(60))
@given(scope=scopes(), seed=st.integers(0, 99))
def test_any_scope_leaves_no_reference_into_nothing(
    tmp_path_factory: pytest.TempPathFactory, scope: Scope, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("scope")
    package = rosters.invent(students=30, schools=3, full=True, seed=seed)
    chance = random.Random(seed)  # noqa: S311 - any order
    orgs = ["school-0", "school-1", "school-2", "district"]
    everybody = [row[0] for row in package.tables["users"][1:]]
    for row in range(2, len(package.tables["users"]) + 1):
        if chance.random() < 0.5:
            its = ",".join(chance.sample(orgs, chance.randint(1, 3)))
            package.set("users", row, "orgSourcedIds", its)
            agents = ",".join(chance.sample(everybody, chance.randint(0, 3)))
            package.set("users", row, "agentSourcedIds", agents)
    export = write(folder / "export.zip", packages.members(package))
    if scope.is_everything:
        return
    built = make(folder, Feed(scope), export)
    found = tables(built.path)
    assert dangling(found) == set()
    assert built.unscoped == ()
    before = contents(export)
    for name, content in contents(built.path).items():
        header, _, _ = content.partition(b"\r\n")
        assert before[name].startswith(header)
        assert {len(row) for row in csv.reader(io.StringIO(content.decode()))} <= {
            header.count(b",") + 1
        }
    again = make(folder, Feed(scope), built.path.rename(folder / "scoped.zip"))
    assert contents(again.path) == contents(folder / "scoped.zip")
