"""Removals that wait: rows of the last accepted package are kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import packages, rosters, share
from support.packages import Feed, dangling, ids, make, tables, write

LEAVE_OUT, WAIT = Feed(faulty_rows="leave-out"), Feed(removals="wait")
SIZE = {"students": 60, "schools": 3, "full": True}


def export(folder: Path, name: str = "export", **values: object) -> Path:
    """Write an invented package."""
    return write(folder / f"{name}.zip", packages.members(rosters.invent(**{**SIZE, **values})))


def test_rows_that_vanish_wait_as_they_were(tmp_path: Path) -> None:
    before, tonight = export(tmp_path, "before"), export(tmp_path, without_school=1)
    built = make(tmp_path, WAIT, tonight, before)
    old, new, found = tables(before), tables(tonight), tables(built.path)
    for file, rows in found.items():
        if file == "manifest":
            continue
        known = {row["sourcedId"] for row in new[file]}
        vanished = [row for row in old[file] if row["sourcedId"] not in known]
        assert rows == new[file] + vanished
        assert built.steps["waiting"].get(file, 0) == len(vanished)
    assert dangling(found) == set()


def test_new_and_changed_rows_are_those_of_tonight(tmp_path: Path) -> None:
    before = export(tmp_path, "before")
    tonight = export(tmp_path, revision=1, students=70, drop_students=5)
    found = tables(make(tmp_path, WAIT, tonight, before).path)
    new = tables(tonight)
    assert found["classes"] == new["classes"]
    assert found["users"][: len(new["users"])] == new["users"]
    assert len(found["users"]) == len(new["users"]) + 5


def changed(folder: Path, name: str, file: str, row: int, **values: str) -> Path:
    """Write a package with one row changed."""
    package = rosters.invent(**SIZE)
    for column, value in values.items():
        package.set(file, row, column, value)
    return write(folder / f"{name}.zip", packages.members(package))


@pytest.mark.parametrize(
    ("file", "old", "new", "waits"),
    [
        ("users", {"enabledUser": "true"}, {"enabledUser": "false"}, True),
        ("users", {"enabledUser": "false"}, {"enabledUser": "true"}, False),
        ("users", {"enabledUser": "false"}, {"enabledUser": "false", "givenName": "X"}, False),
        ("users", {}, {"givenName": "X"}, False),
        ("enrollments", {"endDate": "2027-06-11"}, {"endDate": "2026-10-31"}, True),
        ("enrollments", {"endDate": ""}, {"endDate": "2026-11-01"}, True),
        ("enrollments", {"endDate": "2027-06-11"}, {"endDate": "2026-11-02"}, False),
        ("enrollments", {"endDate": "2027-06-11"}, {"endDate": ""}, False),
        ("enrollments", {"endDate": "2027-06-11"}, {"endDate": "soon"}, False),
        ("enrollments", {"endDate": "2026-10-31"}, {"endDate": "2026-10-30"}, False),
        ("enrollments", {"beginDate": "2026-08-10"}, {"beginDate": "2026-11-02"}, True),
        ("enrollments", {"beginDate": "2026-08-10"}, {"beginDate": "2026-11-01"}, False),
        ("academicSessions", {}, {"endDate": "2026-10-31"}, True),
    ],
)
def test_rows_that_are_in_effect_no_more_wait(
    tmp_path: Path, file: str, old: dict[str, str], new: dict[str, str], waits: bool
) -> None:
    before = changed(tmp_path, "before", file, 2, **old)
    tonight = changed(tmp_path, "export", file, 2, **new)
    built = make(tmp_path, WAIT, tonight, before)
    found = tables(built.path)[file]
    expected = tables(tonight)[file]
    if waits:
        expected = [*expected[1:], tables(before)[file][0]]
    assert found == expected
    assert built.steps == ({"waiting": {file: 1}} if waits else {})


def test_rows_come_in_the_columns_of_tonight(tmp_path: Path) -> None:
    package = rosters.invent(**SIZE)
    for number, row in enumerate(package.tables["users"]):
        row.append("metadata.old" if not number else "a,b")
    before = write(tmp_path / "before.zip", packages.members(package))
    package = rosters.invent(**{**SIZE, "drop_students": 1})
    for number, row in enumerate(package.tables["users"]):
        row.append("metadata.new" if not number else "x")
    tonight = write(tmp_path / "export.zip", packages.members(package))
    last = tables(make(tmp_path, WAIT, tonight, before).path)["users"][-1]
    vanished = set(ids(before, "users")) - set(ids(tonight, "users"))
    assert {last["sourcedId"]} == vanished
    assert last["metadata.new"] == ""


def test_a_file_without_a_last_line_end_gets_one_before_rows_that_wait(tmp_path: Path) -> None:
    before = export(tmp_path, "before")
    members = packages.members(rosters.invent(**{**SIZE, "drop_students": 1}))
    members["users.csv"] = members["users.csv"].removesuffix(b"\r\n")
    tonight = write(tmp_path / "export.zip", members)
    built = make(tmp_path, WAIT, tonight, before)
    assert sorted(ids(built.path, "users")) == sorted(ids(before, "users"))


def test_a_delta_file_lets_nothing_wait(tmp_path: Path) -> None:
    before = export(tmp_path, "before")
    tonight = export(tmp_path, mode="delta", students=50)
    assert make(tmp_path, WAIT, tonight, before).steps == {}


@settings(max_examples=share.of(40))
@given(seed=st.integers(0, 10_000))
def test_no_id_is_ever_removed_and_none_dangles(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("wait")
    chance = random.Random(seed)  # noqa: S311 - any package
    before = rosters.invent(students=30, schools=3, full=True)
    tonight = rosters.invent(
        students=chance.randint(1, 40), schools=chance.randint(1, 4), full=True,
        drop_students=chance.randint(0, 10), rekey=chance.random() < 0.3,
        revision=chance.randint(0, 1), without_school=chance.choice([None, 0, 1]),
    )  # fmt: skip
    for row in range(2, len(tonight.tables["users"]) + 1):
        if chance.random() < 0.3:
            tonight.set("users", row, "enabledUser", "false")
    old = write(folder / "before.zip", packages.members(before))
    new = write(folder / "export.zip", packages.members(tonight))
    found = tables(make(folder, WAIT, new, old).path)
    assert dangling(found) == set()
    enabled = {row["sourcedId"]: row.get("enabledUser") for row in found["users"]}
    for file in tables(old).keys() - {"manifest"}:
        now = [row["sourcedId"] for row in found[file]]
        assert set(ids(old, file)) <= set(now)
        assert set(ids(new, file)) <= set(now)
        assert len(now) == len(set(now))
    assert all(enabled[name] == "true" for name in ids(old, "users"))
