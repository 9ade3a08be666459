"""The generator of rosters: valid packages are valid, and an option changes only its part."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from roster_upload.validation.check import check
from support import rosters

PLANS: dict[str, dict[str, Any]] = {
    "default": {},
    "smallest": {"students": 1, "schools": 1},
    "other-seed": {"students": 700, "schools": 8, "seed": 9},
    "busy": {"students": 260, "enrollments_each": 7, "id_length": 36},
    "full": {"students": 100, "enrollments_each": 2, "full": True},
    "full-short": {"students": 30, "full": True, "id_length": 20},
    "delta": {"mode": "delta"},
    "delta-full": {"mode": "delta", "full": True, "drop_students": 5},
    "without-school": {"students": 400, "schools": 8, "without_school": 3},
    "without-students": {"drop_students": 40, "full": True},
    "rekeyed": {"rekey": True, "full": True},
    "revised": {"revision": 3},
}


def records(**values: Any) -> dict[str, dict[str, dict[str, str]]]:
    """Return the records of a package: by file and sourcedId, each by column."""
    tables = rosters.invent(**values).tables
    return {
        file: {row[0]: dict(zip(header, row, strict=True)) for row in rows}
        for file, (header, *rows) in tables.items()
    }


@pytest.mark.parametrize("plan", PLANS)
def test_what_is_written_as_it_is_made_is_what_is_listed(plan: str, tmp_path: Path) -> None:
    rosters.write(tmp_path / "streamed.zip", **PLANS[plan])
    assert (tmp_path / "streamed.zip").read_bytes() == rosters.build(**PLANS[plan])


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_is_a_valid_package(plan: str, tmp_path: Path) -> None:
    path, values = tmp_path / "OneRoster.zip", PLANS[plan]
    rosters.write(path, **values)
    report = check(path)
    assert [finding.text() for finding in report.findings] == []
    files = rosters.FILES if values.get("full") else rosters.ROSTERING
    assert sorted(report.rows) == sorted(files)
    assert all(report.rows.values())


def test_sizes_are_as_asked() -> None:
    made = records(students=260, schools=4, enrollments_each=7, id_length=36)
    counts = {file: len(rows) for file, rows in made.items()}
    assert counts["users"] == 260 + 10
    assert counts["classes"] == 10 * 7
    assert counts["enrollments"] == (260 + 10) * 7
    assert {len(key) for rows in made.values() for key in rows} == {36}
    by_user: dict[str, set[str]] = {}
    for row in made["enrollments"].values():
        by_user.setdefault(row["userSourcedId"], set()).add(row["classSourcedId"])
        assert row["schoolSourcedId"] == made["users"][row["userSourcedId"]]["orgSourcedIds"]
        assert row["schoolSourcedId"] == made["classes"][row["classSourcedId"]]["schoolSourcedId"]
    assert {len(classes) for classes in by_user.values()} == {7}


def test_a_row_is_made_when_it_is_asked_for() -> None:
    rows = rosters.District(students=10**9).rows("users")
    assert [next(rows)[0], next(rows)[0]] == ["sourcedId", "1-t0"]


def test_a_revision_adds_and_removes_nothing() -> None:
    old, new = records(full=True), records(full=True, revision=1)
    changed = [
        (file, column)
        for file, rows in old.items()
        for key, row in rows.items()
        for column, value in row.items()
        if new[file][key][column] != value
    ]
    assert {file: list(rows) for file, rows in old.items()} == {
        file: list(rows) for file, rows in new.items()
    }
    assert changed == [("classes", "location")] * len(old["classes"])


def test_a_school_that_is_gone_takes_along_what_is_its_own() -> None:
    size = {"students": 400, "schools": 8, "full": True}
    old, new = records(**size), records(**size, without_school=3)
    lost = {file: len(rows) - len(new[file]) for file, rows in old.items()}
    assert lost["orgs"] == lost["courses"] == lost["resources"] == 1
    assert lost["users"] == 50 + 2
    assert lost["enrollments"] == 52
    assert "school-3" not in {row["orgSourcedIds"] for row in new["users"].values()}
    for file, rows in new.items():
        assert rows.items() <= old[file].items(), f"{file}.csv has changed rows"


def test_students_that_are_gone_leave_all_others_as_they_were() -> None:
    old, new = records(full=True), records(full=True, drop_students=40)
    lost = {file: len(rows) - len(new[file]) for file, rows in old.items()}
    assert {file for file, count in lost.items() if count} == {
        "users", "demographics", "enrollments", "results",
    }  # fmt: skip
    assert (lost["users"], lost["demographics"], lost["enrollments"]) == (40, 40, 40)
    for file, rows in new.items():
        assert rows.items() <= old[file].items(), f"{file}.csv has changed rows"


@pytest.mark.parametrize("id_length", [0, 20])
def test_new_keys_are_given_to_all_users_and_to_nothing_else(id_length: int) -> None:
    size = {"id_length": id_length, "full": True}
    old, new = records(**size), records(**size, rekey=True)
    for file, rows in old.items():
        if file in {"users", "demographics"}:
            assert not rows.keys() & new[file].keys()
        else:
            assert rows.keys() == new[file].keys()
    names = [[row["username"] for row in made["users"].values()] for made in (old, new)]
    assert names[0] == names[1]


def test_a_delta_says_what_became_of_each_record() -> None:
    made = records(mode="delta", drop_students=5)
    gone = {
        file: [key for key, row in rows.items() if row["status"] == "tobedeleted"]
        for file, rows in made.items()
    }
    students = [f"1-s{number}" for number in range(5)]
    assert gone["users"] == gone["demographics"] == students
    assert {file for file, keys in gone.items() if keys} == {"users", "demographics", "enrollments"}
    states = {row["status"] for rows in made.values() for row in rows.values()}
    assert states == {"active", "tobedeleted"}


def test_the_command_line_has_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "OneRoster.zip"
    values: dict[str, Any] = {"students": 60, "schools": 4, "revision": 2, "without_school": 1}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    monkeypatch.setattr("sys.argv", ["rosters.py", str(path), *options, "--full", "--rekey"])
    rosters.main()
    assert path.read_bytes() == rosters.build(**values, full=True, rekey=True)


def test_nobody_is_enabled_and_nothing_else_is_changed() -> None:
    old, new = records(), records(disabled=True)
    assert {row["enabledUser"] for row in new["users"].values()} == {"false"}
    for row in new["users"].values():
        row["enabledUser"] = "true"
    assert new == old


def test_a_package_can_have_several_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, defects = tmp_path / "OneRoster.zip", ["unknown-class", "required-empty"]
    options = [f"--defect={name}" for name in defects]
    monkeypatch.setattr("sys.argv", ["rosters.py", str(path), *options])
    rosters.main()
    found = [finding.rule for finding in check(path).findings]
    assert sorted(found) == sorted(rosters.DEFECTS[name].rule for name in defects)


def test_a_district_by_name_is_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for name, revision in (("maple", 1), ("maple", 2), ("birch", 1)):
        path = tmp_path / f"{name}-{revision}.zip"
        options = [f"--district={name}", f"--revision={revision}"]
        monkeypatch.setattr("sys.argv", ["rosters.py", str(path), *options])
        rosters.main()
        with zipfile.ZipFile(path) as package:
            users = package.read("users.csv").decode()
        told.append([row[0] for row in csv.reader(users.splitlines())])
    assert told[0] == told[1]
    assert not set(told[0][1:]) & set(told[2][1:])
