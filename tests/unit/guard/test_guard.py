"""The guard holds a package that would wipe a district or a school, and shows the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.guard import Reason, Rule, Verdict
from support.baselines import Record, baseline, feed, person
from support.judgements import (
    ENDED,
    IGNORED,
    KIND,
    LATER,
    NEXT,
    NIGHT,
    NOW,
    PAST,
    WINDOW,
    above,
    district,
    enrolled,
    held,
    judged,
    records,
    replaced,
    rules,
)


def test_the_same_package_has_no_change() -> None:
    same = district({"a": range(300)})
    verdict = judged(same, same)
    assert verdict == Verdict({KIND: guard.Change(300, 300, 0, 0, 0)}, ())
    assert not verdict.is_removals_only


def test_reasons_come_in_the_order_of_their_weight() -> None:
    """Files, columns, kinds with their schools, minima. All of them are reported."""
    old = baseline(
        {KIND: records(range(100), schools="a"), "classes": records(range(10))},
        {"orgs": 9, "courses": 100},
        filled={"users": {"email": 100}},
    )
    new = baseline(
        {KIND: records(range(50), schools="a"), "classes": records([])},
        {"courses": 80},
        filled={"users": {"email": 0}},
    )
    verdict = judged(old, new, guard_minimum={KIND: 51})
    assert [(reason.rule, reason.kind) for reason in verdict.reasons] == [
        ("file_gone", "orgs"),
        ("column_emptied", "users"),
        ("removed", KIND),
        ("school", KIND),
        ("emptied", "classes"),
        ("emptied", "orgs"),
        ("removed", "courses"),
        ("minimum", KIND),
    ]
    assert verdict.texts == [reason.text for reason in verdict.reasons]
    assert verdict.texts[-1] == f"{KIND}: 50 present, guard_minimum requires 51"


def test_the_only_record_is_no_number() -> None:
    assert held(district({"": [1]}), district({"": []})) == [
        f"{KIND}: the only one would be removed"
    ]


def test_a_kind_that_was_empty_may_fill() -> None:
    assert held(district({"": []}), district({"": range(500)})) == []


def test_each_default_can_trip() -> None:
    """None of a feed's limits is so wide that nothing exceeds it."""
    old = baseline({KIND: [person(n, username=1) for n in range(1, 101)]})
    new = baseline({KIND: [replaced(person(n, username=2), tag=1) for n in range(1, 101)]})
    assert rules(old, new, guard_floor=20) == [("changed", KIND), ("identity", "users")]


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
        # It may go if the limit lets everyone go.
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
    assert held(old, baseline({}, {"users": 0})) == [f"{KIND}: all 80 would be removed"]


@pytest.mark.parametrize(
    ("emptied", "further"),
    [
        (5, []),
        (6, [f"{KIND}: 1 more school would lose too many"]),
        (9, [f"{KIND}: 4 more schools would lose too many"]),
    ],
)
def test_the_five_schools_that_lose_most_are_named(emptied: int, further: list[str]) -> None:
    rest = {"rest": range(10**6, 10**6 + 5000)}
    schools = {f"school-{n}": range(100 * n, 100 * n + 10 + n) for n in range(emptied)}
    named = [
        f"{KIND}: the school school-{n} would lose {10 + n} of {10 + n}"
        for n in range(emptied - 1, emptied - 6, -1)
    ]
    assert held(district({**schools, **rest}), district(rest)) == named + further


def test_schools_that_lose_as_much_come_in_their_order() -> None:
    rest = {"rest": range(1000, 6000)}
    old = district({"b": range(10), "c": range(10, 20), "a": range(20, 30), **rest})
    assert [text.split()[3] for text in held(old, district(rest))] == ["a", "b", "c"]


def test_enrollments_are_judged_as_a_whole() -> None:
    old = enrolled(records(range(100), schools="a"), records(range(200, 210), schools="a"))
    new = enrolled(records(range(12, 100), schools="a"), records(range(200, 210), schools="a"))
    verdict = judged(old, new)
    assert verdict.changes == {"enrollments": guard.Change(110, 98, 0, 12, 0)}
    assert verdict.texts == [
        above("enrollments: 12 of 110 would be removed", "10.9"),
        "enrollments: the school a would lose 12 of 110",
    ]


def test_roles_are_summed_up() -> None:
    """Listed records, and upcoming ones, are those of all roles."""
    old = enrolled(
        [*records(range(100)), *records(range(300, 400), when=LATER)],
        [*records(range(200, 300)), *records(range(400, 500), when=LATER)],
    )
    new = enrolled(
        [*records(range(90)), *records(range(90, 100), present=False),
         *records(range(310, 400), when=LATER)],
        [*records(range(220, 300)), *records(range(200, 220), present=False),
         *records(range(430, 500), when=LATER)],
    )  # fmt: skip
    listed = ", 30 of them in the export but disabled, ended or faulty"
    assert held(old, new) == [
        above(f"enrollments: 30 of 200 would be removed{listed}", "15.0"),
        above("enrollments: 40 of 200 that begin later would be removed", "20.0"),
    ]


def test_a_role_is_told_where_the_whole_is_not() -> None:
    old = enrolled(records(range(100)), records(range(200, 205)))
    assert held(old, enrolled(records(range(100)))) == [
        "enrollments.teacher: all 5 would be removed"
    ]
    assert held(old, enrolled(records(range(50)))) == [
        above("enrollments: 55 of 105 would be removed", "52.4"),
        "enrollments.teacher: all 5 would be removed",
    ]
    assert held(old, enrolled([])) == ["enrollments: all 105 would be removed"]


@pytest.mark.parametrize(
    ("own", "removed", "told"),
    [
        ({}, 11, ["enrollments.teacher"]),
        ({"enrollments.teacher": {"removed": 11}}, 11, []),
        ({"enrollments.teacher": {"removed": 11}}, 12, ["enrollments.teacher"]),
        ({"enrollments": {"removed": 11}}, 11, []),
    ],
)
def test_roles_have_limits_of_their_own(own: dict[str, Any], removed: int, told: list[str]) -> None:
    old = enrolled(records(range(1000)), records(range(2000, 2100)))
    new = enrolled(records(range(1000)), records(range(2000 + removed, 2100)))
    assert [kind for _, kind in rules(old, new, guard_limits=own)] == told


ANEW = (
    ". The SIS seems to have renumbered its enrollments. If it does so every night, "
    "set guard_limits: {enrollments: {removed: 100}}. The guard then compares contents instead of "
    "ids"
)


def test_enrollments_with_new_ids_have_their_own_words() -> None:
    """They are no accounts. Of equal contents, as many return as are gone and new.

    Contents of remaining records are not among them.
    """
    was = [Record(n, 1000 + n // 2) for n in range(100)]
    now = [
        *(Record(500 + n, 1000 + n // 2) for n in range(89)),
        *records(range(700, 711), tag=1000),
    ]
    stay = [Record(900, 8), Record(901, 9)]
    old = enrolled([*was, *records(range(200, 203), tag=8)], stay)
    new = enrolled([*now, *records(range(800, 805), tag=9)], stay)
    assert held(old, new) == [
        "enrollments: 103 of 105 sourcedIds are gone and 105 are new, 89 with the same class, user "
        f"and role as before{ANEW}"
    ]


def test_new_ids_are_told_once_and_an_emptied_role_beside_them() -> None:
    """The teachers are so few that they lose schools, and have no share."""
    old = enrolled(records(range(100)), records(range(200, 210), schools="a"))
    anew = enrolled(records(range(500, 600)), records(range(700, 710), schools="a"))
    assert rules(old, anew, guard_floor=20) == [("renumbered", "enrollments")]
    students = enrolled(records(range(500, 600)))
    assert rules(old, students, guard_floor=20) == [
        ("renumbered", "enrollments"),
        ("emptied", "enrollments.teacher"),
    ]


def test_classes_with_new_ids_are_no_accounts() -> None:
    old, new = district({"": range(50)}, kind="classes"), district({"": range(90)}, kind="classes")
    new.records["classes"].ids += np.uint64(1000)
    assert held(old, new) == [
        "classes: 50 of 50 sourcedIds are gone and 90 are new. The SIS seems to have "
        "renumbered its classes"
    ]


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (90, []),
        (89, [
            above("enrollments: 11 of 100 would be removed", "11.0"),
            "enrollments: the school a would lose 11 of 100",
        ]),
        (0, ["enrollments: all 100 would be removed"]),
    ],
)  # fmt: skip
def test_contents_have_the_general_limits(left: int, told: list[str]) -> None:
    """All of these have the same content, so only their number counts."""
    old = enrolled([Record(n, 7, "a") for n in range(100)])
    new = enrolled([Record(500 + n, 7, "a") for n in range(left)])
    assert held(old, new, **IGNORED) == told


@pytest.mark.parametrize(("more", "is_held"), [(50, False), (51, True)])
def test_added_contents_have_the_general_limit(more: int, is_held: bool) -> None:
    old = enrolled([Record(n, n) for n in range(100)])
    new = enrolled([Record(500 + n, n) for n in range(100 + more)])
    told = above(f"enrollments: {more} of 100 would be added", f"{more}.0", 50)
    assert held(old, new, **IGNORED) == ([told] if is_held else [])


def test_other_ids_than_those_of_enrollments_mean_something() -> None:
    old, new = district({"": range(50)}), district({"": range(100, 150)})
    assert judged(old, new, guard_limits={"users": {"removed": 100, "added": 100}}) == Verdict(
        {KIND: guard.Change(50, 50, 50, 50, 0)}, ()
    )


GONE = "users.csv was in the last accepted export"


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"users": 1200}, {}, [
            f"{GONE} (1,200 rows) and is missing now", "users: all 1,200 would be removed"
        ]),
        ({"users": 1}, {}, [
            f"{GONE} (1 row) and is missing now", "users: the only one would be removed",
        ]),
        ({"users": 0}, {}, []),
        ({"users": 0}, {"users": 0}, []),
        ({}, {"users": 5}, []),
        ({"users": 1000}, {"users": 900}, []),
        ({"users": 1000}, {"users": 899}, [above("users: 101 of 1,000 would be removed", "10.1")]),
        ({"users": 100}, {"users": 150}, []),
        ({"users": 100}, {"users": 151}, [above("users: 51 of 100 would be added", "51.0", 50)]),
        ({"users": 100}, {"users": 0}, ["users: all 100 would be removed"]),
    ],
)  # fmt: skip
def test_a_file_whose_records_are_of_no_kind(
    before: dict[str, int], now: dict[str, int], told: list[str]
) -> None:
    assert held(baseline({}, before), baseline({}, now)) == told


@pytest.mark.parametrize(("before", "now", "added", "removed"), [(5, 7, 2, 0), (7, 5, 0, 2)])
def test_rows_of_no_kind_come_or_go(before: int, now: int, added: int, removed: int) -> None:
    old, new = Baseline(rows={"bytes": before}), Baseline(rows={"bytes": now})
    assert judged(old, new).changes == {"bytes": guard.Change(before, now, added, removed, 0)}


def test_a_file_of_no_known_format_is_held_by_its_size() -> None:
    old, new = Baseline(rows={"bytes": 90_000}), Baseline(rows={"bytes": 900})
    name = "the file's size in bytes"
    assert held(old, new) == [
        f"{name}: 89,100 of 90,000 would be removed (99.0 %, the limit is 10 %)"
    ]
    assert held(old, Baseline(rows={"bytes": 0})) == [f"{name}: all 90,000 would be removed"]
    [told] = held(new, new, guard_minimum={"bytes": 1000})
    assert told == f"{name}: 900 present, guard_minimum requires 1,000"


def test_a_file_that_is_gone_is_held() -> None:
    old = baseline({KIND: records(range(300)), "orgs": records([1])})
    new = baseline({"orgs": records([1])})
    assert rules(old, new, guard_removed_percent=100, expected_changes=WINDOW) == [
        ("file_gone", "users"),
        ("emptied", KIND),
    ]


@pytest.mark.parametrize(
    ("had", "filled", "rows", "is_held"),
    [
        # A tenth of the rows had a value.
        (1000, {"email": 0}, 990, True),
        (999, {"email": 0}, 990, False),
        (1001, {"email": 0}, 1, True),
        # Less than a tenth of the share is left.
        (10_000, {"email": 99}, 1000, True),
        (10_000, {"email": 100}, 1000, False),
        (5_000, {"email": 49}, 1000, True),
        (5_000, {"email": 50}, 1000, False),
        (10_000, {}, 990, False),
        (10_000, {"phone": 0}, 990, False),
        (10_000, {"email": 0}, 0, False),
        (10_000, {"email": 10_000}, 10_000, False),
    ],
)
def test_a_column_that_empties_is_held(
    had: int, filled: dict[str, int], rows: int, is_held: bool
) -> None:
    old = Baseline(rows={"users": 10_000}, filled={"users": {"email": had}})
    new = Baseline(rows={"users": rows}, filled={"users": filled}, modes={"users": "bulk"})
    found = judged(old, new, guard_removed_percent=100, expected_changes=WINDOW).reasons
    told = [reason for reason in found if reason.rule is Rule.COLUMN_EMPTIED]
    text = (
        f"users.csv: the column email has a value in {filled.get('email')} of {rows:,} rows. "
        f"It had one in {had:,} of 10,000"
    )
    assert told == ([Reason(Rule.COLUMN_EMPTIED, "users", text)] if is_held else [])


def test_columns_that_the_vendor_does_not_use_may_empty() -> None:
    columns = {"userIds": 10, "email": 10}
    old = Baseline(rows={"users": 10}, filled={"users": columns})
    new = Baseline(rows={"users": 10}, filled={"users": dict.fromkeys(columns, 0)})
    for unused, told in (
        ({}, ["userIds", "email"]),
        ({"users": ["userIds"]}, ["email"]),
        ({"orgs": ["userIds", "email"]}, ["userIds", "email"]),
    ):
        reasons = guard.judge(feed(guard_minimum={}), old, new, NIGHT, unused=unused).reasons
        assert [reason.text.split()[3] for reason in reasons] == told


def test_the_unused_columns_are_those_of_the_specification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = Baseline(rows={"users": 10}, filled={"users": {"userIds": 10}})
    new = Baseline(rows={"users": 10}, filled={"users": {"userIds": 0}})
    for table, count in (({}, 1), ({"unused": {"users": ["userIds"]}}, 0)):
        monkeypatch.setattr(guard, "spec", {"imagine-learning": table}.__getitem__)
        assert len(held(old, new)) == count


@pytest.mark.parametrize(
    ("format_", "minimum", "told"),
    [
        ("oneroster-1.1", {KIND: 2000}, []),
        ("oneroster-1.1", {KIND: 2001}, [f"{KIND}: 2,000 present, guard_minimum requires 2,001"]),
        ("oneroster-1.1", {"users": 2000}, []),
        ("oneroster-1.1", {"users": 2001}, ["users: 2,000 present, guard_minimum requires 2,001"]),
        ("oneroster-1.1", {"classes": 1}, ["classes: 0 present, guard_minimum requires 1"]),
        ("oneroster-1.1", {"classes": 0}, []),
        # The defaults name kinds of OneRoster, which another format does not have.
        ("traditional-math", {"classes": 1}, []),
        ("traditional-math", {KIND: 2001}, [
            f"{KIND}: 2,000 present, guard_minimum requires 2,001",
        ]),
        ("traditional-math", {"users": 2001}, [
            "users: 2,000 present, guard_minimum requires 2,001"
        ]),
    ],
)  # fmt: skip
def test_minima(format_: str, minimum: dict[str, int], told: list[str]) -> None:
    new = district({"": range(2000)})
    for old in (None, new):
        assert held(old, new, format=format_, guard_minimum=minimum) == told


def test_minima_are_of_the_kinds_that_there_were() -> None:
    minimum = {"users.teacher": 5, "bytes": 9, "classes": 1}
    old = baseline({"users.teacher": records(range(10))}, {"bytes": 10})
    new = baseline({KIND: records([1])})
    found = rules(old, new, format="traditional-math", guard_minimum=minimum)
    assert [kind for rule, kind in found if rule == "minimum"] == ["users.teacher", "bytes"]


def test_minima_count_who_is_present() -> None:
    new = enrolled(
        [*records(range(5)), *records(range(5, 9), when=LATER), *records([10], present=False)],
        records([20, 21]),
    )
    for name, count in (("enrollments", 7), ("enrollments.student", 5)):
        assert held(None, new, guard_minimum={name: count}) == []
        assert held(None, new, guard_minimum={name: count + 1}) == [
            f"{name}: {count} present, guard_minimum requires {count + 1}"
        ]


@pytest.mark.parametrize("status", ["delta", "bulk"])
def test_minima_are_of_what_the_vendor_holds_after_a_delta(status: str) -> None:
    old = baseline({KIND: records(range(10)), "classes": records(range(5))})
    gone = records(range(3), gone=True)
    new = baseline({"classes": gone}, modes={"classes": "delta", "orgs": "bulk"})
    assert held(old, new, guard_removed_percent=100, guard_minimum={"classes": 2, KIND: 10}) == []
    assert held(old, new, guard_removed_percent=100, guard_minimum={"classes": 3, KIND: 11}) == [
        "classes: 2 present, guard_minimum requires 3",
        f"{KIND}: 10 present, guard_minimum requires 11",
    ]


def test_in_a_break_nothing_taught_has_a_minimum() -> None:
    minimum = {"classes": 1, "enrollments": 1, "enrollments.student": 1, "users": 1}
    for sessions, told in (
        ([PAST, NEXT], ["users"]),
        ([PAST, NOW, NEXT], ["classes", "enrollments", "enrollments.student", "users"]),
    ):
        new = baseline({}, {"orgs": 1}, sessions=sessions)
        assert [kind for _, kind in rules(None, new, guard_minimum=minimum)] == told


def test_a_package_that_says_nothing_has_changed_is_never_held() -> None:
    old = baseline({KIND: records(range(9))}, sessions=[PAST])
    new = Baseline(is_unchanged=True)
    for before in (old, None):
        assert judged(before, new, guard_minimum={KIND: 10}) == Verdict({}, ())
    assert guard.accepted(old, new) is old
    assert guard.accepted(None, new).rows == {}


def first_version(found: Baseline) -> Baseline:
    """Return a baseline in the format of the first version."""
    whole = replace(found, has_tags=False, night="", sessions=[], duplicates={})
    for one in whole.records.values():
        one.tags[:] = 99
        one.identity = np.zeros((len(one), 0), np.uint32)
    return whole


def test_a_first_versions_ids_and_schools_are_compared() -> None:
    """It had one kind of enrollments and no days, so all listed ones count."""
    old = first_version(
        baseline({KIND: records(range(100), schools="a"), "enrollments": records(range(200))})
    )
    new = baseline(
        {
            KIND: [*records(range(50), schools="a"), *records(range(50, 88), present=False)],
            "enrollments.student": records(range(150), when=LATER),
            "enrollments.teacher": records(range(150, 199), when=ENDED),
        }
    )
    verdict = judged(old, new)
    assert verdict.changes == {
        KIND: guard.Change(100, 88, 0, 12, 0),
        "enrollments": guard.Change(200, 199, 0, 1, 0),
    }
    assert [(one.rule, one.kind) for one in verdict.reasons] == [
        ("removed", KIND),
        ("school", KIND),
    ]


def test_a_first_versions_enrollments_that_are_gone_are_held() -> None:
    old = first_version(baseline({"enrollments": records(range(200), schools="a")}))
    assert rules(old, enrolled(records(range(100), schools="a"), records(range(100, 150)))) == [
        ("removed", "enrollments"),
        ("school", "enrollments"),
    ]
    assert rules(old, baseline({}, {"enrollments": 0})) == [("emptied", "enrollments")]
    anew = enrolled(records(range(500, 700)))
    assert held(old, anew) == [f"enrollments: 200 of 200 sourcedIds are gone and 200 are new{ANEW}"]
    assert held(old, anew, **IGNORED) == []
    assert held(old, enrolled(records(range(500, 600))), **IGNORED) == [
        above("enrollments: 100 of 200 would be removed", "50.0")
    ]


def test_a_delta_after_a_first_version_is_compared_by_ids() -> None:
    old = first_version(baseline({"enrollments": records(range(200)), "users": records([1])}))
    new = enrolled(
        [*records(range(30), gone=True), *records([300])], modes={"enrollments": "delta"}
    )
    now = guard.accepted(old, new)
    assert (now.has_tags, now.rows["enrollments"]) == (False, 171)
    verdict = judged(old, new)
    assert verdict.changes == {"enrollments": guard.Change(200, 171, 1, 30, 0)}
    assert rules(old, new) == [("removed", "enrollments")]
