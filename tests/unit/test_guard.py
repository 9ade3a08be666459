"""The guard: what would wipe a district, or a school of it, is held and told in numbers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosters
from roster_upload import config, guard
from roster_upload.census import Census, Kind
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
