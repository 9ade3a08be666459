"""The guard: what would wipe a district, or a school of it, is held and told in numbers.

What it compares with, the census of the last accepted package, is tested behind it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosters
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from roster_upload import census, config, guard
from roster_upload.census import (
    Census,
    Counter,
    Gathered,
    Hashes,
    Kind,
    Places,
    Prints,
    Repeats,
    RowNumbers,
)
from roster_upload.validate import Terms, check
from unit.test_config import GOOD

KEY = b"k" * 32
TODAY = dt.date(2026, 11, 1)


def census_of(folder: Path, package: rosters.Package) -> Census:
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
    old = census_of(tmp_path, rosters.invent(students=400, schools=8))
    package = rosters.invent(students=400, schools=8)
    change(package)
    return guard.judge(feed(**settings), old, census_of(tmp_path, package), TODAY).reasons


def number(row: dict[str, str]) -> int:
    """A student's number; far above all for others."""
    return int(row["sourcedId"].partition("-s")[2] or 10**9)


def test_the_same_package_has_no_change(tmp_path: Path) -> None:
    old = census_of(tmp_path, rosters.invent())
    verdict = guard.judge(feed(), old, census_of(tmp_path, rosters.invent()), TODAY)
    assert verdict.reasons == ()
    students = verdict.changes["users.student"]
    assert students == guard.Change(before=300, now=300, added=0, removed=0, changed=0)


def test_what_comes_goes_and_changes_is_counted(tmp_path: Path) -> None:
    old = census_of(tmp_path, rosters.invent())
    package = rosters.invent()
    drop_users(package, lambda row: number(row) < 7)
    package.set("users", 40, "email", "other@invented.example")
    header = package.tables["orgs"][0]
    package.tables["orgs"].append(["school-x", "", "", "New", "school", "1", "district"])
    assert header[0] == "sourcedId"
    changes = guard.judge(feed(), old, census_of(tmp_path, package), TODAY).changes
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
    old = census_of(tmp_path, rosters.invent(students=60, schools=1))
    package = rosters.invent(students=60, schools=1)
    drop_users(package, lambda row: number(row) < 18)
    assert guard.judge(feed(), old, census_of(tmp_path, package), TODAY).reasons == ()


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
    old = census_of(tmp_path, rosters.invent())
    new = census_of(tmp_path, rosters.invent())
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
    old = census_of(tmp_path, rosters.invent(students=400, schools=8))
    package = rosters.invent(students=400, schools=8)
    drop_users(package, lambda row: number(row) // 16 % 2 == 0 and number(row) < 10**6)
    new = census_of(tmp_path, package)
    wide = feed(expected_changes=["2026-08-01..2026-08-31 rollover"], expected_percent=60)
    for of_august in (1, 31):
        assert guard.judge(wide, old, new, dt.date(2026, 8, of_august)).reasons == ()
    for day in (dt.date(2026, 7, 31), dt.date(2026, 9, 1)):
        assert guard.judge(wide, old, new, day).reasons


def test_a_first_delivery_has_minima(tmp_path: Path) -> None:
    new = census_of(tmp_path, rosters.invent(students=9, schools=1))
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
    old = census_of(tmp_path, rosters.invent(students=400, schools=8))
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
    full = census_of(tmp_path, rosters.invent(students=400, schools=8))
    assert guard.judge(feed(), held, full, TODAY).changes["users.student"].added == 50


# ---- limits, to the record ----------------------------------------------------------------------

KIND = "users.student"
WINDOW = ["2026-10-01..2026-12-01 rollover"]


def kind_of(records: Iterable[tuple[int, int, int]], gone: Iterable[int] = ()) -> Kind:
    """Records of one kind, each with its id, its content and its place, as numbers."""
    ids, tags, places = np.array(sorted(records), np.uint64).T
    return Kind(ids, tags, places.astype(np.uint32), np.isin(ids, list(gone)))


def district(schools: Mapping[str, Iterable[int]], changed: Iterable[int] = ()) -> Census:
    """A census of one kind of record: the ids by what the records say of their schools."""
    places = ["", *(text for text in schools if text)]
    altered = set(changed)
    records = [
        (number, number in altered, place)
        for text, place in zip(schools, map(places.index, schools), strict=True)
        for number in schools[text]
    ]
    kinds = {KIND: kind_of(records)} if records else {}
    return Census(kinds, places, {"users": len(records)})


def held(old: Census, new: Census, **settings: Any) -> list[str]:
    """Why the guard holds a census, without minima and a floor unless the settings say so."""
    terms = {"guard_minimum": {}, "guard_floor": 0, "guard_removed_percent": 10, **settings}
    return list(guard.judge(feed(**terms), old, new, TODAY).reasons)


REKEYED = (
    "sourcedIds are gone and {} are new; the SIS seems to have given everyone a new sourcedId, "
    "which would make new accounts and lose the history of the old ones"
)


@pytest.mark.parametrize(
    ("removed", "added", "changed", "settings", "told"),
    [
        (200, 0, 0, {}, []),
        (201, 0, 0, {}, ["201 of 2,000 would be removed (10.1 %); the limit is 10 %"]),
        (1200, 0, 0, {}, ["1,200 of 2,000 would be removed (60.0 %); the limit is 10 %"]),
        (0, 1000, 0, {}, []),
        (0, 1001, 0, {}, ["1,001 of 2,000 would be added (50.0 %); the limit is 50 %"]),
        (0, 0, 2000, {}, []),
        (0, 0, 800, {"guard_changed_percent": 40}, []),
        (
            *(0, 0, 801, {"guard_changed_percent": 40}),
            ["801 of 2,000 would be changed (40.0 %); the limit is 40 %"],
        ),
        # So few count as nothing.
        (299, 0, 0, {"guard_floor": 299}, []),
        (
            *(300, 0, 0, {"guard_floor": 299}),
            ["300 of 2,000 would be removed (15.0 %); the limit is 10 %"],
        ),
        (0, 1100, 0, {"guard_floor": 1100}, []),
        # The limit by number is looked at whatever the share and the floor.
        (50, 0, 0, {"guard_removed_count": 50}, []),
        (51, 0, 0, {"guard_removed_count": 50}, ["51 would be removed; the limit is 50"]),
        (2, 0, 0, {"guard_removed_count": 1}, ["2 would be removed; the limit is 1"]),
        (
            *(1500, 0, 0, {"guard_removed_count": 1000}),
            [
                "1,500 of 2,000 would be removed (75.0 %); the limit is 10 %",
                "1,500 would be removed; the limit is 1,000",
            ],
        ),
        (0, 0, 1500, {"guard_removed_count": 50}, []),
        # An emptied kind is held in any case, and told in one sentence.
        (2000, 0, 0, {"guard_removed_count": 1}, ["all 2,000 are gone"]),
        (2000, 0, 0, {"expected_changes": WINDOW}, ["all 2,000 are gone"]),
        (2000, 0, 0, {"guard_floor": 5000}, ["all 2,000 are gone"]),
        # Half gone and half as many new: new ids for everyone.
        (1000, 1000, 0, {"guard_removed_count": 1}, [f"1,000 of 2,000 {REKEYED.format('1,000')}"]),
        (1999, 1999, 0, {}, [f"1,999 of 2,000 {REKEYED.format('1,999')}"]),
        (999, 1000, 0, {}, ["999 of 2,000 would be removed (50.0 %); the limit is 10 %"]),
        (1000, 999, 0, {}, ["1,000 of 2,000 would be removed (50.0 %); the limit is 10 %"]),
        (1001, 1001, 0, {"guard_floor": 1000}, [f"1,001 of 2,000 {REKEYED.format('1,001')}"]),
        (
            *(1001, 1000, 0, {"guard_floor": 1000}),
            ["1,001 of 2,000 would be removed (50.0 %); the limit is 10 %"],
        ),
        (
            *(1000, 1001, 0, {"guard_floor": 1000}),
            ["1,001 of 2,000 would be added (50.0 %); the limit is 50 %"],
        ),
        (1000, 1000, 0, {"guard_removed_percent": 50}, []),
        (
            1000,
            1000,
            0,
            {"guard_removed_percent": 49},
            [f"1,000 of 2,000 {REKEYED.format('1,000')}"],
        ),
        (1000, 1000, 0, {"expected_changes": WINDOW}, []),
    ],
)
def test_limits_of_a_kind(
    removed: int, added: int, changed: int, settings: dict[str, Any], told: list[str]
) -> None:
    old = district({"": range(2000)})
    new = district({"": range(removed, 2000 + added)}, range(removed, removed + changed))
    assert held(old, new, **settings) == [f"{KIND}: {reason}" for reason in told]


LOSES = f"{KIND}: the school school-a would lose"


@pytest.mark.parametrize(
    ("before", "lost", "settings", "told"),
    [
        (100, 10, {}, []),
        (100, 11, {}, [f"{LOSES} 11 of 100"]),
        (2000, 200, {}, []),
        (2000, 201, {}, [f"{LOSES} 201 of 2,000"]),
        (3000, 1200, {}, [f"{LOSES} 1,200 of 3,000"]),
        (30, 20, {"guard_floor": 20}, []),
        (30, 21, {"guard_floor": 20}, [f"{LOSES} 21 of 30"]),
        # From five records on, an emptied school is held below the floor, too.
        (4, 4, {"guard_floor": 20}, []),
        (5, 4, {"guard_floor": 20}, []),
        (5, 5, {"guard_floor": 20}, [f"{LOSES} 5 of 5"]),
        (6, 6, {"guard_floor": 20}, [f"{LOSES} 6 of 6"]),
        (4, 4, {"guard_floor": 3}, [f"{LOSES} 4 of 4"]),
        # It may go where the limit lets everyone go.
        (50, 50, {"guard_removed_percent": 99}, [f"{LOSES} 50 of 50"]),
        (50, 50, {"guard_removed_percent": 100}, []),
        (9, 9, {"guard_removed_percent": 99, "guard_floor": 20}, [f"{LOSES} 9 of 9"]),
        (9, 9, {"guard_removed_percent": 100, "guard_floor": 20}, []),
        (50, 50, {"expected_changes": WINDOW}, []),
        (50, 50, {"expected_changes": WINDOW, "expected_percent": 99}, [f"{LOSES} 50 of 50"]),
        (50, 45, {"expected_changes": WINDOW, "expected_percent": 90}, []),
        (50, 46, {"expected_changes": WINDOW, "expected_percent": 90}, [f"{LOSES} 46 of 50"]),
    ],
)
def test_limits_of_a_school(
    before: int, lost: int, settings: dict[str, Any], told: list[str]
) -> None:
    rest = range(10_000, 22_000)
    old = district({"school-a": range(before), "school-b": rest})
    new = district({"school-b": rest, "school-a": range(lost, before)})
    assert held(old, new, **settings) == told


def test_an_emptied_kind_is_told_without_its_schools() -> None:
    old = district({"a": range(50), "b": range(50, 80)})
    assert held(old, Census(rows={"users": 0})) == [f"{KIND}: all 80 are gone"]


@pytest.mark.parametrize(
    ("emptied", "further"),
    [
        (5, []),
        (6, [f"{KIND}: 1 more schools would lose as much"]),
        (9, [f"{KIND}: 4 more schools would lose as much"]),
    ],
)
def test_five_schools_are_named_and_the_others_counted(emptied: int, further: list[str]) -> None:
    rest = {"rest": range(10**6, 10**6 + 1000)}
    schools = {f"school-{n}": range(10 * n, 10 * n + 10) for n in range(emptied)}
    named = [f"{KIND}: the school school-{n} would lose 10 of 10" for n in range(5)]
    assert held(district({**schools, **rest}), district(rest)) == named + further


@pytest.mark.parametrize(
    ("was", "now", "losers"),
    [
        ("a", "a", []),
        ("a", "b", ["a"]),
        ("a", "", ["a"]),
        ("a", "never-seen", ["a"]),
        ("a", "b,a", []),
        ("a", "b , a", []),
        ("a,b", "b", ["a"]),
        ("a,b", "a", ["b"]),
        ("a, b", "b,a", []),
        ("a,b", "c", ["a", "b"]),
        ("a,,", "c", ["a"]),
        ("", "a", []),
        ("a,b", None, ["a", "b"]),
        ("", None, []),
    ],
)
def test_a_school_loses_who_is_no_longer_said_to_be_there(
    was: str, now: str | None, losers: list[str]
) -> None:
    """Ten move or leave. Ten others stay in the school a."""
    stay = {"big": range(100, 1100), "a,": range(1100, 1110)}
    old = district({was: range(10), **stay})
    new = district({**stay, **({} if now is None else {now: range(10)})})
    total = {"a": 20, "b": 10}
    assert sorted(held(old, new)) == [
        f"{KIND}: the school {school} would lose 10 of {total[school]}" for school in losers
    ]


def test_the_records_of_a_school_are_summed_up() -> None:
    """Those who are in several schools count in each, and whoever goes is counted once."""
    old = district({"a": range(50), "a,b": range(50, 80), "c": range(100, 2000)})
    new = district({"a": range(20, 50), "b": range(55, 80), "c": range(100, 2000)})
    assert held(old, new) == [
        f"{KIND}: the school a would lose 50 of 80",
        f"{KIND}: the school b would lose 5 of 30",
    ]


def test_whoever_comes_makes_no_one_else_be_lost() -> None:
    """Ids before, between and behind the old ones."""
    old = district({"a": range(10, 110, 2), "b": range(11, 111, 2)})
    new = district({"a": [*range(10, 110, 2), 0, 500], "b": [*range(11, 111, 2), 1, 501]})
    verdict = guard.judge(feed(guard_minimum={}), old, new, TODAY)
    assert verdict.changes[KIND] == guard.Change(100, 104, 4, 0, 0)
    assert verdict.reasons == ()
    back = guard.judge(feed(guard_minimum={}), new, old, TODAY)
    assert back.changes[KIND] == guard.Change(104, 100, 0, 4, 0)


def test_all_schools_lose_what_is_gone() -> None:
    old, none = district({"a": range(7), "b": range(7, 10)}), Census(places=[])
    comparison = guard.Comparison(old.kinds[KIND], Kind.none())
    assert list(comparison.left_schools(old, none)) == [("a", 7, 7), ("b", 3, 3)]


@pytest.mark.parametrize(
    ("day", "percent", "limits"),
    [
        ("2026-09-30", 60, guard.Limits(10, 50, 70, 9, 20)),
        ("2026-10-01", 60, guard.Limits(60, 60, 70, 0, 20)),
        ("2026-12-01", 60, guard.Limits(60, 60, 70, 0, 20)),
        ("2026-12-02", 60, guard.Limits(10, 50, 70, 9, 20)),
        ("2026-11-01", 5, guard.Limits(10, 50, 70, 0, 20)),
        ("2026-11-01", 80, guard.Limits(80, 80, 80, 0, 20)),
    ],
)
def test_a_window_widens_the_limits(day: str, percent: int, limits: guard.Limits) -> None:
    """It narrows none, and lifts the limit by number."""
    terms = feed(
        guard_changed_percent=70,
        guard_removed_count=9,
        expected_changes=["2026-01-01 a day", *WINDOW],
        expected_percent=percent,
    )
    assert guard.Limits.of(terms, dt.date.fromisoformat(day)) == limits


def test_nothing_is_no_share_of_nothing() -> None:
    assert guard.Change(0, 5, 5, 0, 0).percent(5) == 0


def test_a_verdict_is_recorded_as_json() -> None:
    old, new = district({"a": range(7)}), district({"a": range(2, 8)}, [3])
    old.kinds["orgs"] = new.kinds["orgs"] = kind_of([(1, 1, 0)])
    record = guard.judge(feed(), old, new, TODAY).record()
    counts = {"before": 7, "now": 6, "added": 1, "removed": 2, "changed": 1}
    same = {"before": 1, "now": 1, "added": 0, "removed": 0, "changed": 0}
    assert json.loads(json.dumps(record)) == {KIND: counts, "orgs": same}


# ---- files and columns --------------------------------------------------------------------------

GONE = "users.csv was in the last accepted export"


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"users": 1200}, {}, [f"{GONE} (1,200 rows) and is gone", "users: all 1,200 are gone"]),
        ({"users": 1}, {}, [f"{GONE} (1 rows) and is gone", "users: all 1 are gone"]),
        ({"users": 0}, {}, []),
        ({"users": 0}, {"users": 0}, []),
        ({}, {"users": 5}, []),
        ({"users": 1000}, {"users": 900}, []),
        (
            {"users": 1000},
            {"users": 899},
            ["users: 101 of 1,000 would be removed (10.1 %); the limit is 10 %"],
        ),
        ({"users": 100}, {"users": 150}, []),
        (
            {"users": 100},
            {"users": 151},
            ["users: 51 of 100 would be added (51.0 %); the limit is 50 %"],
        ),
        ({"users": 100}, {"users": 0}, ["users: all 100 are gone"]),
    ],
)
def test_a_file_whose_records_are_of_no_kind(
    before: dict[str, int], now: dict[str, int], told: list[str]
) -> None:
    assert held(Census(rows=before), Census(rows=now)) == told


@pytest.mark.parametrize(("before", "now", "added", "removed"), [(5, 7, 2, 0), (7, 5, 0, 2)])
def test_rows_of_no_kind_come_or_go(before: int, now: int, added: int, removed: int) -> None:
    old, new = Census(rows={"bytes": before}), Census(rows={"bytes": now})
    changes = guard.judge(feed(), old, new, TODAY).changes
    assert changes == {"bytes": guard.Change(before, now, added, removed, 0)}


@pytest.mark.parametrize(
    ("had", "filled", "rows", "is_held"),
    [
        (1000, {"email": 0}, 990, True),
        (999, {"email": 0}, 990, False),
        (1001, {"email": 0}, 1, True),
        (10_000, {"email": 1}, 990, False),
        (10_000, {}, 990, False),
        (10_000, {"phone": 0}, 990, False),
        (10_000, {"email": 0}, 0, False),
    ],
)
def test_a_column_is_told_that_a_tenth_of_the_rows_had_filled(
    had: int, filled: dict[str, int], rows: int, is_held: bool
) -> None:
    old = Census(rows={"users": 10_000}, filled={"users": {"email": had}})
    new = Census(rows={"users": rows}, filled={"users": filled})
    found = held(old, new, guard_removed_percent=100)
    told = f"users.csv: the column email is empty in every row; {had:,} of 10,000 rows had a value"
    assert (told in found) is is_held
    assert not any("column" in reason for reason in found if reason != told)


def test_columns_of_a_file_that_is_gone_are_not_told() -> None:
    old = Census(rows={"users": 1000}, filled={"users": {"email": 1000}})
    assert held(old, Census(), guard_removed_percent=100) == [
        "users.csv was in the last accepted export (1,000 rows) and is gone",
        "users: all 1,000 are gone",
    ]


@pytest.mark.parametrize(
    ("format_", "minimum", "told"),
    [
        ("oneroster-1.1", {KIND: 2000}, []),
        ("oneroster-1.1", {KIND: 2001}, [f"{KIND}: 2,000 in all; guard_minimum asks for 2,001"]),
        ("oneroster-1.1", {"classes": 1}, ["classes: 0 in all; guard_minimum asks for 1"]),
        ("oneroster-1.1", {"classes": 0}, []),
        # The defaults name kinds of OneRoster, which another format does not have.
        ("traditional-math", {"classes": 1}, []),
        ("traditional-math", {KIND: 2001}, [f"{KIND}: 2,000 in all; guard_minimum asks for 2,001"]),
    ],
)
def test_minima(format_: str, minimum: dict[str, int], told: list[str]) -> None:
    new = district({"": range(2000)})
    terms = feed(format=format_, guard_minimum=minimum)
    for old in (None, new):
        assert list(guard.judge(terms, old, new, TODAY).reasons) == told


def test_reasons_come_in_the_order_of_their_weight() -> None:
    """Files, kinds with their schools, files without kinds, minima. All of them are told."""
    old, new = district({"a": range(100)}), district({"a": range(50)})
    old.rows |= {"orgs": 9, "courses": 100}
    new.rows |= {"courses": 80}
    old.kinds["classes"] = kind_of((n, 0, 0) for n in range(10))
    assert held(old, new, guard_minimum={KIND: 51}) == [
        "orgs.csv was in the last accepted export (9 rows) and is gone",
        f"{KIND}: 50 of 100 would be removed (50.0 %); the limit is 10 %",
        f"{KIND}: the school a would lose 50 of 100",
        "classes: all 10 are gone",
        "orgs: all 9 are gone",
        "courses: 20 of 100 would be removed (20.0 %); the limit is 10 %",
        f"{KIND}: 50 in all; guard_minimum asks for 51",
    ]


# ---- deltas -------------------------------------------------------------------------------------


def told_by(package: Census, kind: Kind) -> dict[int, str]:
    """What a census says of each record's schools, by its id."""
    return {int(n): package.places[at] for n, at in zip(kind.ids, kind.places, strict=True)}


def incremental(
    kinds: dict[str, Kind], places: list[str], rows: dict[str, int], delta: list[str]
) -> Census:
    return Census(kinds, places, rows, {}, delta, is_incremental=True)


OLD = Census(
    {
        KIND: kind_of([(1, 1, 1), (2, 1, 1), (3, 1, 2), (4, 1, 2)]),
        "users.teacher": kind_of([(9, 1, 1)]),
        "classes": kind_of([(5, 1, 2), (6, 1, 1)]),
    },
    ["", "a", "b"],
    {"users": 5, "classes": 2, "orgs": 3},
    {"users": {"email": 5}},
)


def test_a_delta_is_added_to_what_there_was() -> None:
    """One is new, one moves, one goes, one becomes a teacher. The classes are not in it."""
    new = incremental(
        {
            KIND: kind_of([(3, 2, 1), (4, 2, 0), (7, 2, 2)], gone=[4]),
            "users.teacher": kind_of([(2, 2, 2)]),
        },
        ["", "c", "a"],
        {"users": 4},
        ["users"],
    )
    new.filled = {"users": {"email": 0}, "demographics": {"sex": 1}}
    now = guard.accepted(OLD, new)
    assert told_by(now, now.kinds[KIND]) == {1: "a", 3: "c", 7: "a"}
    assert now.kinds[KIND].tags.tolist() == [1, 2, 2]
    assert told_by(now, now.kinds["users.teacher"]) == {2: "a", 9: "a"}
    assert told_by(now, now.kinds["classes"]) == {5: "b", 6: "a"}
    assert now.rows == {"users": 5, "classes": 2, "orgs": 3}
    assert now.filled == {"users": {"email": 5}, "demographics": {"sex": 1}}
    assert not now.is_incremental
    assert not now.delta
    verdict = guard.judge(feed(guard_floor=0), OLD, new, TODAY)
    assert verdict.changes == {
        KIND: guard.Change(4, 3, 1, 2, 1),
        "users.teacher": guard.Change(1, 2, 1, 0, 0),
    }
    assert verdict.reasons == (
        f"{KIND}: 2 of 4 would be removed (50.0 %); the limit is 10 %",
        f"{KIND}: the school a would lose 1 of 2",
        f"{KIND}: the school b would lose 2 of 2",
        "users.teacher: 1 of 1 would be added (100.0 %); the limit is 50 %",
    )


def test_ids_of_one_file_say_nothing_of_anothers() -> None:
    new = incremental(
        {KIND: kind_of([(5, 1, 1)]), "classes": kind_of([(8, 1, 1)])},
        ["", "a"],
        {"users": 1, "classes": 1},
        ["users", "classes"],
    )
    now = guard.accepted(OLD, new)
    assert {name: kind.ids.tolist() for name, kind in now.kinds.items()} == {
        KIND: [1, 2, 3, 4, 5],
        "users.teacher": [9],
        "classes": [5, 6, 8],
    }


def test_a_delta_without_a_record_changes_nothing() -> None:
    new = incremental({}, [""], {"users": 0}, ["users"])
    now = guard.accepted(OLD, new)
    assert now.kinds.keys() == OLD.kinds.keys()
    assert all(now.kinds[name].ids.tolist() == OLD.kinds[name].ids.tolist() for name in now.kinds)
    assert now.rows == OLD.rows
    verdict = guard.judge(feed(), OLD, new, TODAY)
    assert verdict.changes.keys() == {KIND, "users.teacher"}
    assert verdict.reasons == ()


def test_a_whole_file_beside_a_delta_replaces_what_there_was() -> None:
    new = incremental(
        {"classes": kind_of([(8, 1, 0)])}, [""], {"users": 0, "classes": 1}, ["users"]
    )
    now = guard.accepted(OLD, new)
    assert now.kinds["classes"].ids.tolist() == [8]
    assert now.rows == {"users": 5, "classes": 1, "orgs": 3}
    assert len(now.kinds[KIND]) == 4


def test_a_delta_can_take_the_last_record_away() -> None:
    new = incremental(
        {"classes": kind_of([(5, 1, 0), (6, 1, 0)], gone=[5, 6])},
        [""],
        {"classes": 2},
        ["classes"],
    )
    now = guard.accepted(OLD, new)
    assert "classes" not in now.kinds
    assert now.rows["classes"] == 0
    verdict = guard.judge(feed(), OLD, new, TODAY)
    assert verdict.reasons == ("classes: all 2 are gone",)
    assert verdict.changes == {"classes": guard.Change(2, 0, 0, 2, 0)}


def test_a_first_delta_is_all_that_there_is() -> None:
    new = incremental({KIND: kind_of([(1, 1, 0)])}, [""], {"users": 1, "orgs": 2}, ["users"])
    now = guard.accepted(None, new)
    assert now.kinds[KIND].ids.tolist() == [1]
    assert now.rows == {"users": 1, "orgs": 0}
    verdict = guard.judge(feed(), None, new, TODAY)
    assert verdict.reasons == ()  # minima are of whole packages
    assert verdict.changes == {
        KIND: guard.Change(0, 1, 1, 0, 0),
        "orgs": guard.Change(0, 0, 0, 0, 0),
    }


def test_a_file_of_no_kind_that_a_delta_leaves_out_stays() -> None:
    old = Census(rows={"orgs": 100, "courses": 100})
    new = incremental({}, [""], {"courses": 0}, ["courses"])
    assert guard.judge(feed(), old, new, TODAY).changes.keys() == {"courses"}


# ---- what is remembered: hashes, as they are documented -----------------------------------------

PRINTS = Prints(KEY)


def encrypted(purpose: bytes, blocks: bytes) -> int:
    """The first 64 bits of the last block of AES-CBC without an initial value, as documented."""
    key = hashlib.blake2b(purpose, key=KEY, digest_size=32).digest()
    made = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(blocks)
    return int.from_bytes(made[-16:-8], "little")


def hash_of(value: str) -> int:
    """The hash of a value: its length in the first block, and 256 bytes of it at most."""
    data = value.encode()
    text = data[:256]
    return encrypted(b"id", len(data).to_bytes(16, "little") + text + bytes(-len(text) % 16))


def tag_of(value: str, line: str) -> int:
    """The hash of a row: of its id's hash and its CRC-32."""
    content = hash_of(value).to_bytes(8, "little") + zlib.crc32(line.encode()).to_bytes(4, "little")
    return encrypted(b"tag", content.ljust(16, b"\0"))


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["a"],
        ["1-s1", "", "1-s10"],
        # Values of the same padded text differ by their length.
        ["a", "a\0", "a" * 16, "a" * 16 + "\0", "a" * 17],
        ["é" * 8, "é" * 9, "x" * 15],
        ["x" * size for size in (1, 31, 32, 33, 255, 256, 257, 1000)],
        ["x" * 255 + last for last in "yz"],
    ],
)
def test_a_hash_is_the_documented_one(values: list[str]) -> None:
    """Files on hosts are compared with it, so that another hash would hold every district."""
    assert PRINTS.of(values).tolist() == [hash_of(value) for value in values]
    assert len(set(PRINTS.of(values).tolist())) == len(values)


def test_256_bytes_and_the_length_of_a_value_count() -> None:
    long = "x" * 256
    one, other, longer, earlier = PRINTS.of([f"{long}a", f"{long}b", f"{long}bb", f"{long[1:]}yb"])
    assert one == other
    assert len({other, longer, earlier}) == 3


def test_a_rows_hash_is_of_its_id_and_its_content() -> None:
    sums = np.array([zlib.crc32(line) for line in (b"one", b"two", b"one")], np.uint32)
    made = PRINTS.rows(PRINTS.of(["a", "a", "b"]), sums).tolist()
    assert made == [tag_of("a", "one"), tag_of("a", "two"), tag_of("b", "one")]
    assert len(set(made)) == 3


def test_the_hash_of_nothing_is_known() -> None:
    assert PRINTS.nothing == hash_of("")


def test_another_key_gives_other_hashes(tmp_path: Path) -> None:
    path = tmp_path / "OneRoster.zip"
    path.write_bytes(rosters.build())
    one, other = (check(path, key=key * 32).census.kinds["classes"] for key in (b"a", b"b"))
    assert not set(one.ids.tolist()) & set(other.ids.tolist())
    assert not set(one.tags.tolist()) & set(other.tags.tolist())


# ---- kinds --------------------------------------------------------------------------------------


def kind_with(*records: tuple[int, int, int, bool]) -> Kind:
    ids, tags, places, gone = zip(*records, strict=True)
    return Kind(
        np.array(ids, np.uint64),
        np.array(tags, np.uint64),
        np.array(places, np.uint32),
        np.array(gone, np.bool_),
    )


def records(kind: Kind) -> list[tuple[int, int, int, bool]]:
    columns = (kind.ids, kind.tags, kind.places, kind.gone)
    assert [column.dtype for column in columns] == [np.uint64, np.uint64, np.uint32, np.bool_]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_kinds_are_joined_in_the_order_of_their_ids() -> None:
    one = kind_with((2, 20, 1, False), (5, 50, 2, True))
    other = kind_with((1, 11, 3, True), (2, 21, 4, True), (9, 91, 5, False))
    both = [
        (1, 11, 3, True),
        (2, 20, 1, False),
        (2, 21, 4, True),
        (5, 50, 2, True),
        (9, 91, 5, False),
    ]
    assert records(Kind.joined(one, other)) == both
    assert records(Kind.joined(Kind.none(), other)) == records(other)
    assert records(Kind.joined(one, Kind.none())) == records(one)
    assert len(Kind.none()) == 0
    assert len(other) == 3


def test_of_equal_ids_the_first_kinds_record_comes_first() -> None:
    one = kind_with(*((n, 1, 0, False) for n in range(2000)))
    other = kind_with(*((n, 2, 0, False) for n in range(2000)))
    assert Kind.joined(one, other).tags.tolist() == [1, 2] * 2000


# ---- counting -----------------------------------------------------------------------------------


class Observed(Prints):
    """Hashes, and how many values were hashed at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        super().__init__(KEY)

    def of(self, values: Sequence[str]) -> Hashes:
        self.sizes.append(len(values))
        return super().of(values)


# Rows of a file: number, id, text, place, kind, whether it is gone. Row 4 is left out.
ROWS = [
    (2, "c", "one", 1, 0, False),
    (3, "a", "two", 2, 1, False),
    (5, "", "three", 0, 0, False),
    (6, "b", "four", 1, 0, True),
    (7, "a", "five", 3, 0, False),
    (8, "", "six", 4, 1, False),
    (9, "a", "seven", 5, 1, True),
]


def counted(rows: list[Any], batches: list[int], prints: Prints = PRINTS) -> Counter:
    """A counter that got its rows in batches of these sizes."""
    counter = Counter(prints)
    left = list(rows)
    for size in batches:
        batch, left = left[:size], left[size:]
        numbers, values, lines, places, kinds, gone = map(list, zip(*batch, strict=True))
        counter.add(
            numbers[0],
            values,
            lines,
            places=np.array(places, np.uint32),
            kinds=np.array(kinds, np.uint8),
            gone=np.array(gone, np.bool_),
        )
    assert not left
    return counter


def expected(*kinds: int) -> list[tuple[int, int, int, bool]]:
    """The records of these kinds, by the hash of their id."""
    found = [
        (hash_of(value), tag_of(value, line), place, gone)
        for _, value, line, place, kind, gone in ROWS
        if kind in kinds
    ]
    return sorted(found, key=lambda record: record[0])


@pytest.mark.parametrize("batches", [[2, 5], [1, 1, 1, 1, 1, 1, 1], [2, 2, 3]])
@pytest.mark.parametrize(
    ("values_at_once", "batches_at_once"), [(1, 99), (3, 99), (99, 2), (99, 99)]
)
def test_rows_are_counted_by_kind_in_whatever_batches_they_come(
    monkeypatch: pytest.MonkeyPatch, batches: list[int], values_at_once: int, batches_at_once: int
) -> None:
    monkeypatch.setattr(census, "HASHED_AT_ONCE", values_at_once)
    monkeypatch.setattr(census, "BATCHES_AT_ONCE", batches_at_once)
    found, repeated = counted(ROWS, batches).finish({0: "student", 1: "teacher", 2: "nobody"})
    assert {name: records(kind) for name, kind in found.items()} == {
        "student": expected(0),
        "teacher": expected(1),
    }
    assert repeated == [7, 9]
    found, repeated = counted(ROWS, batches).finish({0: "classes"})
    assert {name: records(kind) for name, kind in found.items()} == {"classes": expected(0, 1)}
    assert repeated == [7, 9]


def test_a_file_without_rows_has_no_kind() -> None:
    assert Counter(PRINTS).finish({0: "classes"}) == ({}, [])


@pytest.mark.parametrize(
    ("batches", "hashed"),
    [
        ([8191, 1, 1], [8192, 1]),
        ([8190, 1, 8192], [16383]),
        ([8192, 3], [8192, 3]),
        ([1] * 65, [64, 1]),
        ([1] * 63, [63]),
        ([1] * 64, [64]),
    ],
)
def test_many_rows_are_hashed_at_once_and_never_all(batches: list[int], hashed: list[int]) -> None:
    prints = Observed()
    prints.sizes.clear()
    rows = [(2 + n, f"{n}", f"{n}", 0, 0, False) for n in range(sum(batches))]
    (kind,) = counted(rows, batches, prints).finish({0: "classes"})[0].values()
    assert prints.sizes == hashed
    assert sorted(kind.ids.tolist()) == sorted(PRINTS.of([value for _, value, *_ in rows]).tolist())


@pytest.mark.parametrize(
    ("batches", "rows"),
    [
        ([], []),
        ([(2, ["a", "b", ""])], []),
        ([(2, ["", ""]), (4, [""])], []),
        ([(2, ["a", "b", "a"])], [4]),
        ([(2, ["b", "a"]), (7, ["a", "b", "c"]), (90, ["a"])], [7, 8, 90]),
        ([(2, ["same", "same", "same"])], [3, 4]),
    ],
)
def test_values_that_stand_in_several_rows(
    batches: list[tuple[int, list[str]]], rows: list[int]
) -> None:
    repeats = Repeats(PRINTS)
    for first, values in batches:
        repeats.add(first, values)
    assert repeats.rows() == rows


def test_the_first_of_many_equal_values_is_the_earliest() -> None:
    """An unstable sort keeps the order of a few, and not of many."""
    values = [str(n % 7) for n in range(5000)]
    later = list(range(2 + 7, 2 + 5000))
    repeats = Repeats(PRINTS)
    repeats.add(2, values)
    assert json.loads(json.dumps(repeats.rows())) == later
    rows = [(2 + n, value, "", 0, 0, False) for n, value in enumerate(values)]
    assert counted(rows, [5000]).finish({0: "classes"})[1] == later


def test_row_numbers_of_batches_with_gaps() -> None:
    numbers = RowNumbers()
    for first, count in ((2, 3), (10, 1), (20, 2)):
        numbers.add(first, count)
    assert numbers.of(np.array([5, 0, 3, 2, 4, 1])) == [2, 3, 4, 10, 20, 21]
    assert numbers.of(np.array([], np.int64)) == []


def test_places_have_numbers_and_nothing_has_none() -> None:
    places = Places()
    assert places.of(["a", "", "b,c", "a"]).tolist() == [1, 0, 2, 1]
    assert places.of(["b,c", "new"]).dtype == np.uint32
    assert [places.text(number) for number in range(4)] == ["", "a", "b,c", "new"]
    assert list(places) == ["", "a", "b,c", "new"]


def test_gathered_arrays_are_let_go() -> None:
    gathered = Gathered()
    assert not gathered
    gathered.add(np.array([3, 1]))
    gathered.add(np.array([2]))
    assert gathered
    assert gathered.joined().tolist() == [3, 1, 2]
    assert not gathered


# ---- its file -----------------------------------------------------------------------------------

SAVED = Census(
    {
        "users.student": kind_with((1, 10, 1, False), (2, 20, 0, True)),
        "classes": kind_with((7, 70, 2, False)),
    },
    ["", "a", "b,c"],
    {"users": 2, "classes": 1},
    {"users": {"email": 2}},
    ["users"],
    is_incremental=True,
)


def test_a_census_comes_back_from_its_file(tmp_path: Path) -> None:
    """What a delta file says is of one night, and is not kept."""
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    again = Census.load(path, KEY)
    assert {name: records(kind) for name, kind in again.kinds.items()} == {
        "users.student": [(1, 10, 1, False), (2, 20, 0, False)],
        "classes": [(7, 70, 2, False)],
    }
    assert (again.places, again.rows, again.filled) == (SAVED.places, SAVED.rows, SAVED.filled)
    assert (again.delta, again.is_incremental) == ([], False)


def test_a_census_holds_no_value_of_a_row(tmp_path: Path) -> None:
    package, path = tmp_path / "OneRoster.zip", tmp_path / "census.npz"
    package.write_bytes(rosters.build())
    check(package, key=KEY).census.save(path, KEY)
    content = path.read_bytes()
    assert not [word for word in (b"1-s1", b"Quorra", b"invented.example", KEY) if word in content]


def test_an_empty_census_has_no_school() -> None:
    assert Census() == Census({}, [""], {}, {}, [], is_incremental=False)


def altered(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change what a file says. None takes a part of it away."""

    def change(parts: dict[str, Any]) -> None:
        told = {**json.loads(parts["told"].tobytes()), **changes}
        kept = {name: value for name, value in told.items() if value is not None}
        parts["told"] = np.frombuffer(json.dumps(kept).encode(), np.uint8)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (altered(v=0), "was written by another version of the program"),
        (altered(v=2), "was written by another version of the program"),
        (altered(v=None), "was written by another version of the program"),
        (altered(key="0" * 16), "was written with another key; was the host set up anew?"),
        (altered(key=None), "was written with another key; was the host set up anew?"),
        (altered(kinds=["a", "b", "c"]), "is damaged"),
        (altered(kinds=None), "is damaged"),
        (altered(kinds=1), "is damaged"),
        (altered(places=None), "is damaged"),
        (altered(rows=None), "is damaged"),
        (altered(filled=None), "is damaged"),
        (lambda parts: parts.pop("told"), "is damaged (KeyError)"),
        (lambda parts: parts.pop("0.ids"), "is damaged"),
        (lambda parts: parts.pop("1.tags"), "is damaged"),
        (lambda parts: parts.pop("0.places"), "is damaged"),
        (lambda parts: parts.update(told=np.zeros(3, np.uint8)), "is damaged (JSONDecodeError)"),
    ],
)
def test_a_file_that_is_not_its_own_is_told(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    change(parts)
    np.savez(path, **parts)
    with pytest.raises(ValueError, match="census") as caught:
        Census.load(path, KEY)
    assert str(caught.value) == f"{path} {told}"


def test_another_key_reads_no_file(tmp_path: Path) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    with pytest.raises(ValueError, match="was written with another key"):
        Census.load(path, b"o" * 32)
    with pytest.raises(FileNotFoundError):
        Census.load(tmp_path / "none.npz", KEY)


def header(shape: str) -> bytes:
    """A numpy array's header, of an array that is not there."""
    text = f"{{'descr': '<u8', 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("content", [b"", b"PK", "half", header(str(10**15)), header(str(2**65))])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    whole = path.read_bytes()
    if isinstance(content, str):
        content = whole[: len(whole) // 2]
    elif content.startswith(b"\x93"):
        content = rosters.to_zip([("told.npy", content)])
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Census.load(path, KEY)


class Planted:
    """An object that does something as soon as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "census.npz", tmp_path / "trace"
    out = io.BytesIO()
    np.savez(out, told=np.array([Planted(trace)], dtype=object))
    path.write_bytes(out.getvalue())
    with pytest.raises(ValueError, match="is damaged"):
        Census.load(path, KEY)
    assert not trace.exists()


def test_the_mark_of_a_key_stays_the_same() -> None:
    """Files on hosts carry it. With another mark, all of them would be of another key."""
    assert census.mark(KEY) == "c6b519658a230a05"
    assert census.mark(b"o" * 32) != census.mark(KEY)
