"""The steps in their order, and exports to which they cannot be applied."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from roster_upload.package.build import build
from support import packages, rosters
from support.packages import Feed, Scope, contents, dangling, ids, make, tables, write
from unit.package.test_package_repairs import GOOD, REPAIRS
from unit.package.test_package_scope import SIZE, scoped
from unit.package.test_package_waiting import LEAVE_OUT, changed, export


def make_at(out: Path, export: Path) -> None:
    """Make a package with all repairs."""
    feed = Feed(repairs=REPAIRS)
    build(feed, export, out, check=lambda _: packages.Checked(), night=packages.NIGHT)


def test_a_feed_without_steps_has_no_package_of_its_own(tmp_path: Path) -> None:
    export, out = write(tmp_path / "export.zip", GOOD), tmp_path / "out.zip"
    built = build(Feed(), export, out, check=lambda _: packages.Checked(), night=packages.NIGHT)
    assert built is None
    assert not out.exists()


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    export = write(tmp_path / "export.zip", {"notes.txt": b"x", **GOOD})
    feed = Feed(scope=Scope(grades=("01", "02")), repairs=REPAIRS)
    first = make(tmp_path, feed, export)
    again = make(tmp_path, feed, export)
    assert first == again
    with zipfile.ZipFile(first.path) as archive:
        infos = archive.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert not any(info.flag_bits & 0x8 for info in infos)  # sizes stand before the contents
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert "notes.txt" not in contents(first.path)
    assert tables(first.path)["users"]


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    export, out = write(tmp_path / "export.zip", GOOD), tmp_path / "out.zip"
    out.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        make_at(out, export)
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "out.zip"]


@pytest.mark.parametrize("defect", ["not-a-zip", "damaged", "encrypted", "bomb"])
def test_an_unusable_export_is_its_own_package(tmp_path: Path, defect: str) -> None:
    export = tmp_path / "export.zip"
    export.write_bytes(rosters.build(defect=defect))
    built = make(tmp_path, Feed(repairs=REPAIRS), export)
    assert built.path == export
    assert built.unscoped == ()
    assert make(tmp_path, Feed(scope=Scope(grades=("01",))), export).unscoped == ("the package",)
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]


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


def test_faulty_rows_go_with_what_depends_on_them(tmp_path: Path) -> None:
    given = export(tmp_path)
    before = tables(given)
    student = next(i for i, row in enumerate(before["users"]) if row["role"] == "student")
    name = before["users"][student]["sourcedId"]
    built = make(tmp_path, LEAVE_OUT, given, rows={"users.csv": [student + 2]})
    after = tables(built.path)
    assert name not in {row["sourcedId"] for row in after["users"]}
    assert dangling(after) == set()
    assert built.steps == {
        "faulty_rows": {"demographics": 1, "enrollments": 1, "results": 2, "users": 1}
    }
    assert built.report is None


def test_a_faulty_row_that_nothing_depends_on_goes_alone(tmp_path: Path) -> None:
    given = export(tmp_path)
    built = make(tmp_path, LEAVE_OUT, given, rows={"enrollments.csv": [3, 5]})
    kept = ids(given, "enrollments")
    assert ids(built.path, "enrollments") == [kept[0], kept[2], *kept[4:]]
    assert built.steps == {"faulty_rows": {"enrollments": 2}}


def test_a_refused_package_stays_as_it_is(tmp_path: Path) -> None:
    given = export(tmp_path)
    built = make(tmp_path, LEAVE_OUT, given, rows={"users.csv": [2]}, accepted=False)
    assert built.path == given
    assert built.steps == {}


def test_without_faults_the_report_is_that_of_the_package(tmp_path: Path) -> None:
    built = make(tmp_path, LEAVE_OUT, export(tmp_path))
    assert built.report is not None
    assert built.path.name == "export.zip"


def test_rows_out_of_scope_do_not_wait(tmp_path: Path) -> None:
    before, tonight = export(tmp_path, "before"), export(tmp_path, drop_students=10)
    feed = Feed(Scope(schools=("school-1",)), removals="wait")
    built = make(tmp_path, feed, tonight, before)
    found = tables(built.path)
    wanted = [row for row in tables(before)["users"] if row["orgSourcedIds"] == "school-1"]
    assert {row["sourcedId"] for row in found["users"]} == {row["sourcedId"] for row in wanted}
    assert {row["orgSourcedIds"] for row in found["users"]} == {"school-1"}


def test_a_row_left_out_for_its_fault_waits_as_it_was(tmp_path: Path) -> None:
    before = export(tmp_path, "before")
    tonight = changed(tmp_path, "export", "users", 2, username="")
    feed = Feed(faulty_rows="leave-out", removals="wait")
    built = make(tmp_path, feed, tonight, before, rows={"users.csv": [2]})
    assert sorted(ids(built.path, "users")) == sorted(ids(before, "users"))
    assert all(row["username"] for row in tables(built.path)["users"])


def test_nothing_waits_where_removals_are_held(tmp_path: Path) -> None:
    before, tonight = export(tmp_path, "before"), export(tmp_path, without_school=1)
    feed = Feed(repairs=("booleans",))
    assert "waiting" not in make(tmp_path, feed, tonight, before).steps
