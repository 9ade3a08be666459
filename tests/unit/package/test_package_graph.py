"""References between rows: removed rows, emptied references, cut lists."""

from __future__ import annotations

from pathlib import Path

from support import packages, rosters
from support.packages import Feed, dangling, ids, make, tables, write
from unit.package.test_package_scope import changed, scoped
from unit.package.test_package_waiting import LEAVE_OUT, export


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


def test_a_faulty_term_is_cut_from_its_classes(tmp_path: Path) -> None:
    given = export(tmp_path)
    row = ids(given, "academicSessions").index("spring") + 2
    built = make(tmp_path, LEAVE_OUT, given, rows={"academicSessions.csv": [row]})
    assert {row["termSourcedIds"] for row in tables(built.path)["classes"]} == {"fall"}


def test_a_class_without_a_term_goes(tmp_path: Path) -> None:
    given = export(tmp_path)
    rows = [ids(given, "academicSessions").index(name) + 2 for name in ("fall", "spring")]
    built = make(tmp_path, LEAVE_OUT, given, rows={"academicSessions.csv": rows})
    found = tables(built.path)
    assert found["classes"] == found["enrollments"] == []
    assert found["users"]
