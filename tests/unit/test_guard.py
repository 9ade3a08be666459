"""The guard: what would wipe a district, or a school of it, is held and told in numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import rosters
from roster_upload import config, guard
from roster_upload.census import Census
from roster_upload.validate import Terms, check
from unit.test_config import GOOD

KEY = b"k" * 32
TODAY = dt.date(2026, 11, 1)


def census(folder: Path, package: rosters.Package) -> Census:
    """The census of a package, which has to be a good one."""
    path = folder / "OneRoster.zip"
    path.write_bytes(rosters.to_zip(package.members()))
    report = check(path, key=KEY)
    assert report.accepted, [finding.text() for finding in report.findings]
    return report.census


def feed(**changes: Any) -> config.Feed:
    return config.parse({**GOOD, **changes})


def drop(package: rosters.Package, file: str, where: Callable[[dict[str, str]], bool]) -> None:
    """Takes the rows away that `where` chooses."""
    header, *rows = package.tables[file]
    kept = [row for row in rows if not where(dict(zip(header, row, strict=True)))]
    package.tables[file] = [header, *kept]


def drop_users(package: rosters.Package, gone: Callable[[dict[str, str]], bool]) -> None:
    """Takes users away, and all that refers to them."""
    header, *rows = package.tables["users"]
    ids = {row[0] for row in rows if gone(dict(zip(header, row, strict=True)))}
    drop(package, "users", lambda row: row["sourcedId"] in ids)
    drop(package, "demographics", lambda row: row["sourcedId"] in ids)
    drop(package, "enrollments", lambda row: row["userSourcedId"] in ids)


def reasons(
    tmp_path: Path, change: Callable[[rosters.Package], None], **settings: Any
) -> tuple[str, ...]:
    """Why the guard holds a package that differs by `change` from the last accepted one."""
    old = census(tmp_path, rosters.invent(students=400, schools=8))
    package = rosters.invent(students=400, schools=8)
    change(package)
    return guard.judge(feed(**settings), old, census(tmp_path, package), TODAY).reasons


def number(row: dict[str, str]) -> int:
    """A student's number; far above all for others."""
    return int(row["sourcedId"].partition("-s")[2] or 10**9)


def test_the_same_package_has_no_change(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent())
    verdict = guard.judge(feed(), old, census(tmp_path, rosters.invent()), TODAY)
    assert verdict.reasons == ()
    students = verdict.changes["users.student"]
    assert students == guard.Change(before=300, now=300, added=0, removed=0, changed=0)


def test_what_comes_goes_and_changes_is_counted(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent())
    package = rosters.invent()
    drop_users(package, lambda row: number(row) < 7)
    package.set("users", 40, "email", "other@invented.example")
    header = package.tables["orgs"][0]
    package.tables["orgs"].append(["school-x", "", "", "New", "school", "1", "district"])
    assert header[0] == "sourcedId"
    changes = guard.judge(feed(), old, census(tmp_path, package), TODAY).changes
    assert changes["users.student"] == guard.Change(300, 293, 0, 7, 1)
    assert changes["orgs"] == guard.Change(4, 5, 1, 0, 0)
    assert changes["enrollments"].removed == 7


@pytest.mark.parametrize(("gone", "is_held"), [(20, False), (40, False), (41, True), (399, True)])
def test_a_share_of_the_students(tmp_path: Path, gone: int, is_held: bool) -> None:
    spread = {"guard_floor": 20}
    told = reasons(
        tmp_path, lambda p: drop_users(p, lambda r: number(r) * 37 % 400 < gone), **spread
    )
    mine = [
        reason for reason in told if reason.startswith("users.student: ") and " of 400 " in reason
    ]
    assert bool(mine) is is_held
    if is_held:
        assert f"{gone} of 400 would be removed" in mine[0]
        assert "the limit is 10 %" in mine[0]


def test_a_small_district_may_lose_a_few(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent(students=60, schools=1))
    package = rosters.invent(students=60, schools=1)
    drop_users(package, lambda row: number(row) < 18)
    assert guard.judge(feed(), old, census(tmp_path, package), TODAY).reasons == ()


def test_an_absolute_limit(tmp_path: Path) -> None:
    told = reasons(
        tmp_path,
        lambda p: drop_users(p, lambda r: number(r) < 6),
        guard_removed_count=5,
    )
    assert "users.student: 6 would be removed; the limit is 5" in told


def test_one_school_of_eight_is_little_of_the_district(tmp_path: Path) -> None:
    """An eighth would pass a limit of 13 %, and yet a school is empty."""
    told = reasons(
        tmp_path,
        lambda p: drop_users(
            p, lambda r: r["orgSourcedIds"] == "school-3" and r["role"] == "student"
        ),
        guard_removed_percent=13,
    )
    assert "users.student: the school school-3 would lose 50 of 50" in told


def test_students_moved_out_of_a_school_are_lost_to_it(tmp_path: Path) -> None:
    def move(package: rosters.Package) -> None:
        at = package.column("users", "orgSourcedIds")
        for row in package.tables["users"][1:]:
            if row[at] == "school-3" and "-s" in row[0]:
                row[at] = "district"

    told = reasons(tmp_path, move)
    assert told == ("users.student: the school school-3 would lose 50 of 50",)


def test_a_kind_that_falls_to_zero_is_held_whatever_the_limits(tmp_path: Path) -> None:
    told = reasons(
        tmp_path,
        lambda p: drop_users(p, lambda r: r["role"] == "teacher"),
        guard_removed_percent=100,
        guard_minimum={},
        expected_changes=["2026-10-01..2026-12-01 all"],
    )
    assert told == ("users.teacher: all 16 are gone",)


def test_a_file_that_is_gone_is_held(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent())
    new = census(tmp_path, rosters.invent())
    del new.kinds["demographics"], new.rows["demographics"], new.filled["demographics"]
    told = guard.judge(feed(), old, new, TODAY).reasons
    assert "demographics.csv was in the last accepted export (300 rows) and is gone" in told


def test_a_column_that_empties_is_held(tmp_path: Path) -> None:
    def empty(package: rosters.Package) -> None:
        at = package.column("demographics", "birthDate")
        for row in package.tables["demographics"][1:]:
            row[at] = ""

    told = reasons(tmp_path, empty)
    assert told == (
        "demographics.csv: the column birthDate is empty in every row; 400 of 400 rows had a value",
    )


def test_new_ids_for_everyone_have_their_own_words(tmp_path: Path) -> None:
    def rekey(package: rosters.Package) -> None:
        for file, column in (
            ("users", "sourcedId"),
            ("demographics", "sourcedId"),
            ("enrollments", "userSourcedId"),
        ):
            at = package.column(file, column)
            for row in package.tables[file][1:]:
                row[at] = f"new-{row[at]}"

    told = [reason for reason in reasons(tmp_path, rekey) if reason.startswith("users.student: 4")]
    assert len(told) == 1
    assert "given everyone a new sourcedId" in told[0]


def test_a_window_of_expected_change_widens_and_snaps_back(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent(students=400, schools=8))
    package = rosters.invent(students=400, schools=8)
    drop_users(package, lambda row: number(row) // 16 % 2 == 0 and number(row) < 10**6)
    new = census(tmp_path, package)
    wide = feed(expected_changes=["2026-08-01..2026-08-31 rollover"], expected_percent=60)
    for of_august in (1, 31):
        assert guard.judge(wide, old, new, dt.date(2026, 8, of_august)).reasons == ()
    for day in (dt.date(2026, 7, 31), dt.date(2026, 9, 1)):
        assert guard.judge(wide, old, new, day).reasons


def test_a_first_delivery_has_minima(tmp_path: Path) -> None:
    new = census(tmp_path, rosters.invent(students=9, schools=1))
    told = guard.judge(feed(), None, new, TODAY).reasons
    assert "users.student: 9 in all; guard_minimum asks for 10" in told
    assert guard.judge(feed(guard_minimum={}), None, new, TODAY).reasons == ()


def delta(changes: Mapping[str, tuple[str, ...]]) -> rosters.Package:
    """A delta package of users: sourcedId to status."""
    package = rosters.invent(students=400, schools=8)
    rows = {row[0]: row for row in package.tables["users"]}
    package.tables = {"users": [rows["sourcedId"]]}
    for user, (status, *_) in changes.items():
        row = list(rows.get(user) or rows["1-s1"])
        row[0], row[1], row[2] = user, status, "2026-11-01T00:00:00Z"
        package.tables["users"].append(row)
    for row in package.manifest:
        if row[0].startswith("file."):
            row[1] = "delta" if row[0] == "file.users" else "absent"
    return package


def test_a_delta_counts_what_it_takes_away(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent(students=400, schools=8))
    rules = {f"1-s{n}": ("tobedeleted",) for n in range(50)} | {"1-s900": ("active",)}
    path = tmp_path / "delta.zip"
    path.write_bytes(rosters.to_zip(delta(rules).members()))
    report = check(path, Terms(rules={"imagine.required-file": "ignore"}), key=KEY)
    assert report.accepted, [finding.text() for finding in report.findings]
    verdict = guard.judge(feed(), old, report.census, TODAY)
    assert verdict.changes["users.student"] == guard.Change(400, 351, 1, 50, 0)
    assert any("50 of 400 would be removed" in reason for reason in verdict.reasons)
    held = guard.accepted(old, report.census)
    assert len(held.kinds["users.student"]) == 351
    assert len(held.kinds["classes"]) == len(old.kinds["classes"])
    # The next bulk package is compared with what the vendor holds after the delta.
    full = census(tmp_path, rosters.invent(students=400, schools=8))
    assert guard.judge(feed(), held, full, TODAY).changes["users.student"].added == 50


def test_a_census_comes_back_from_its_file_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    old = census(tmp_path, rosters.invent())
    path = tmp_path / "census.npz"
    old.save(path, KEY)
    again = Census.load(path, KEY)
    assert guard.judge(feed(), old, again, TODAY).changes["users.student"].changed == 0
    assert b"1-s1" not in path.read_bytes()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged"):
        Census.load(path, KEY)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="another key"):
        Census.load(path, b"o" * 32)


def test_another_key_gives_other_hashes(tmp_path: Path) -> None:
    path = tmp_path / "OneRoster.zip"
    path.write_bytes(rosters.build())
    one, other = (check(path, key=key * 32).census.kinds["classes"] for key in (b"a", b"b"))
    assert not set(one.ids.tolist()) & set(other.ids.tolist())
    assert not set(one.tags.tolist()) & set(other.tags.tolist())
