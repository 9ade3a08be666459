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


def test_agents_out_of_scope_are_cut_from_a_list(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        people = [row[0] for row in package.tables["users"]]
        students = [i for i, row in enumerate(package.tables["users"]) if "student" in row]
        teachers = [i for i, row in enumerate(package.tables["users"]) if "teacher" in row]
        first, second, third = (people[i] for i in students[1:4])
        outside = people[teachers[0]]
        for row, agents in enumerate([
            f"{first},{outside}", f"{outside},{first}", f"{first},{outside},{second}",
            f"{outside},{outside}", f"{first},{outside},{outside}", f"{outside}",
            f"{outside},nobody,{outside}", f"{first},{third}",
        ]):  # fmt: skip
            package.set("users", students[10 + row] + 1, "agentSourcedIds", agents)
        package.set("users", teachers[0] + 1, "agentSourcedIds", outside)
        self_names.extend([first, second, third])

    self_names: list[str] = []
    built = scoped(tmp_path, changed(change), roles=("student",))
    first, second, third = self_names
    lists = [row["agentSourcedIds"] for row in tables(built.path)["users"][10:18]]
    assert lists == [
        first, first, f"{first},{second}", "", first, "", "nobody", f"{first},{third}",
    ]  # fmt: skip
    assert built.steps["references"] == {"users.agentSourcedIds": 10}


def test_an_optional_reference_is_emptied(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        package.set("courses", 3, "schoolYearSourcedId", "year")

    package = changed(change)
    export = write(tmp_path / "export.zip", packages.members(package))
    built = make(
        tmp_path, Feed(faulty_rows="leave-out"), export, rows={"academicSessions.csv": [2]}
    )
    found = tables(built.path)
    assert {row["schoolYearSourcedId"] for row in found["courses"]} == {""}
    assert dangling(found) == set()


def test_columns_are_blanked_quotes_and_all(tmp_path: Path) -> None:
    built = scoped(
        tmp_path, rosters.invent(**SIZE), blank=("users.email", "classes.termSourcedIds")
    )
    found = tables(built.path)
    assert {row["email"] for row in found["users"]} == {""}
    assert {row["termSourcedIds"] for row in found["classes"]} == {""}
    assert b'""' not in contents(built.path)["classes.csv"]
    assert built.steps["blanked"]["users.email"] == len(found["users"])
    assert built.unscoped == ()


def test_what_never_was_there_is_not_hidden(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        package.set("enrollments", 2, "classSourcedId", "nowhere")
        package.set("enrollments", 2, "schoolSourcedId", "school-1")
        user = next(row for row in package.tables["users"] if "school-1" in row)
        package.set("enrollments", 2, "userSourcedId", user[0])

    built = scoped(tmp_path, changed(change), schools=("school-1",))
    assert {(file, to) for file, _, _, to in dangling(tables(built.path))} == {
        ("enrollments", "nowhere")
    }


def test_ids_are_compared_as_repaired(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        for row in range(2, len(package.tables["users"]) + 1):
            value = package.tables["users"][row - 1][package.column("users", "orgSourcedIds")]
            package.set("users", row, "orgSourcedIds", f"{value} , district ")

    built = scoped(tmp_path, changed(change), ("edge-blanks", "list-blanks"), schools=("school-1",))
    users = tables(built.path)["users"]
    orgs = {row["orgSourcedIds"] for row in users if row["role"] == "student"}
    assert orgs == {"school-1,district"}


def test_one_of_two_rows_of_an_id_is_enough(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        twin = list(package.tables["users"][1])
        twin[package.column("users", "orgSourcedIds")] = "school-1"
        package.tables["users"].append(twin)
        package.set("users", 2, "orgSourcedIds", "school-0")
        package.set("enrollments", 2, "classSourcedId", "class-1")
        package.set("enrollments", 2, "schoolSourcedId", "school-1")
        package.set("enrollments", 2, "userSourcedId", twin[0])

    package = changed(change)
    built = scoped(tmp_path, package, schools=("school-1",), enrolled_only=True)
    assert ids(built.path, "users").count(package.tables["users"][1][0]) == 1
    assert package.tables["enrollments"][1][0] in ids(built.path, "enrollments")


@pytest.mark.parametrize(
    ("scope", "file"),
    [
        ({"schools": ("school-1",)}, "orgs"),
        ({"courses": ("R1",)}, "courses"),
        ({"enrolled_only": True}, "enrollments"),
    ],
)
def test_a_scope_needs_the_file_that_it_goes_by(
    tmp_path: Path, scope: dict[str, Any], file: str
) -> None:
    package = rosters.invent(**SIZE)
    del package.tables[file]
    assert scoped(tmp_path, package, **scope).unscoped == (file,)


def test_files_that_cannot_be_held_to_a_scope_are_named(tmp_path: Path) -> None:
    members = packages.members(rosters.invent(**SIZE))
    members["users.csv"] = members["users.csv"].replace(b",", b";")
    members["backup/users.csv"] = members["users.csv"]
    members["notes.txt"] = b"x"
    built = make(tmp_path, Feed(Scope(roles=("teacher",))), write(tmp_path / "export.zip", members))
    assert built.unscoped == ("users", "another file")
    assert contents(built.path)["users.csv"] == members["users.csv"]
    assert "notes.txt" not in contents(built.path)


def test_a_file_that_breaks_off_is_named_and_keeps_its_rows(tmp_path: Path) -> None:
    members = packages.members(rosters.invent(**SIZE))
    members["users.csv"] += b'x,,,"open'
    export = write(tmp_path / "export.zip", members)
    built = make(tmp_path, Feed(Scope(roles=("aide",))), export)
    assert built.unscoped == ("users",)
    assert contents(built.path)["users.csv"] == members["users.csv"]


def test_a_delta_cannot_be_held_to_a_scope_of_rows(tmp_path: Path) -> None:
    package = rosters.invent(students=8, mode="delta")
    assert scoped(tmp_path, package, blank=("users.email",)).unscoped == ()
    assert "users" in scoped(tmp_path, package, grades=("01",)).unscoped


def test_a_large_package_is_scoped_across_its_pieces(tmp_path: Path) -> None:
    package = rosters.invent(students=6000, schools=4, enrollments_each=2)
    rows = package.tables["enrollments"]
    rows[1:] = random.Random(1).sample(rows[1:], len(rows) - 1)  # noqa: S311 - any order
    built = scoped(tmp_path, package, schools=("school-1", "school-3"))
    found = tables(built.path)
    before = tables(tmp_path / "export.zip")
    wanted = {"school-1", "school-3"}
    assert found["enrollments"] == [
        row for row in before["enrollments"] if row["schoolSourcedId"] in wanted
    ]
    assert found["users"] == [row for row in before["users"] if row["orgSourcedIds"] in wanted]


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
