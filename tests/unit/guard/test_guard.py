"""The guard holds a package that would wipe a district or a school, and shows the numbers.

Its baseline of the last accepted package has its own tests.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from roster_upload.guard.guard import Reason, Rule, Verdict
from roster_upload.guard.limits import Limits
from roster_upload.guard.verdict import percentage
from roster_upload.spec.values import Span
from support import share
from support.baselines import Record, baseline, feed, person

NIGHT = dt.date(2026, 11, 1)
KIND = "users.student"
WINDOW = (Span(dt.date(2026, 10, 1), dt.date(2026, 12, 1), "rollover"),)
# Days around the night: running, ended the day before, beginning the day after.
RUNNING = Calendar(sessions=(("2026-08-17", "2026-12-19"),))
ENDED = Calendar("", "2026-11-01", (("2026-08-17", "2026-12-19"),))
LATER = Calendar(sessions=(("2026-11-02", "2027-06-01"),))


def judged(old: Baseline | None, new: Baseline, **settings: Any) -> Verdict:
    """Return the verdict, without minima and a floor unless the settings say so."""
    terms = {"guard_minimum": {}, "guard_floor": 0, **settings}
    return guard.judge(feed(**terms), old, new, NIGHT)


def held(old: Baseline | None, new: Baseline, **settings: Any) -> list[str]:
    """Return the guard's reasons, for people."""
    return judged(old, new, **settings).texts


def rules(old: Baseline | None, new: Baseline, **settings: Any) -> list[tuple[str, str]]:
    """Return the rules that hold an export, with the kind of record."""
    return [(reason.rule, reason.kind) for reason in judged(old, new, **settings).reasons]


def district(
    schools: Mapping[str, Iterable[int]], changed: Iterable[int] = (), kind: str = KIND
) -> Baseline:
    """Return a baseline of one kind of record: the ids by the records' schools."""
    altered = set(changed)
    found = [
        Record(number, number in altered, text) for text, ids in schools.items() for number in ids
    ]
    return baseline({kind: found}, {kind.partition(".")[0]: len(found)})


def records(ids: Iterable[int], **facts: Any) -> list[Record]:
    return [Record(number, **facts) for number in ids]


# ---- the verdict --------------------------------------------------------------------------------


def test_the_same_package_has_no_change() -> None:
    same = district({"a": range(300)})
    verdict = judged(same, same)
    assert verdict == Verdict({KIND: guard.Change(300, 300, 0, 0, 0)}, ())
    assert not verdict.is_removals_only


def test_a_verdict_is_recorded_as_json() -> None:
    old = baseline({KIND: records(range(7)), "orgs": records([1])})
    new = baseline({KIND: [*records(range(2, 8)), Record(9, present=False)], "orgs": records([1])})
    counts = {"before": 7, "now": 6, "added": 1, "removed": 2, "changed": 0}
    same = {"before": 1, "now": 1, "added": 0, "removed": 0, "changed": 0}
    assert json.loads(json.dumps(judged(old, new).record())) == {KIND: counts, "orgs": same}


@pytest.mark.parametrize(
    ("rules", "is_removals_only"),
    [
        ([], False),
        *([[rule], True] for rule in ("removed", "removed_count", "upcoming", "school")),
        *([[rule], False] for rule in ("emptied", "added", "renumbered", "file_gone", "identity")),
        (["removed", "school"], True),
        (["removed", "added"], False),
    ],
)
def test_removals_alone_may_wait(rules: list[str], is_removals_only: bool) -> None:
    reasons = tuple(Reason(Rule(rule), KIND, "a text") for rule in rules)
    assert Verdict({}, reasons).is_removals_only is is_removals_only


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
    assert verdict.texts[-1] == f"{KIND}: 50 in all, guard_minimum asks for 51"


@pytest.mark.parametrize(
    ("count", "base", "limit", "text"),
    [
        (201, 2000, 10, "10.1 %"),
        (1001, 2000, 50, "50.05 %"),
        (100_001, 1_000_000, 10, "10.0001 %"),
        (1, 3, 10, "33.3 %"),
        (3, 2, 100, "150.0 %"),
        (1, 10_000_000, 0, "0.00001 %"),
    ],
)
def test_a_share_is_visibly_above_its_limit(count: int, base: int, limit: int, text: str) -> None:
    assert percentage(count, base, limit) == f"{text}, the limit is {limit} %"


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(0, 200))
def test_any_share_above_a_limit_is_told_as_above_it(count: int, base: int, limit: int) -> None:
    if 100 * count > limit * base:
        assert float(percentage(count, base, limit).partition(" ")[0]) > limit


# ---- limits, to the record ----------------------------------------------------------------------


def above(words: str, share: str, limit: int = 10) -> str:
    return f"{words} ({share} %, the limit is {limit} %)"


REKEYED = (
    "sourcedIds are gone and {} are new. The SIS seems to have given everyone a new sourcedId, "
    "which would make new accounts and lose the history of the old ones"
)


@pytest.mark.parametrize(
    ("removed", "added", "changed", "settings", "told"),
    [
        (200, 0, 0, {}, []),
        (201, 0, 0, {}, [above("201 of 2,000 would be removed", "10.1")]),
        (1200, 0, 0, {}, [above("1,200 of 2,000 would be removed", "60.0")]),
        (0, 1000, 0, {}, []),
        (0, 1001, 0, {}, [above("1,001 of 2,000 would be added", "50.05", 50)]),
        (0, 0, 1500, {}, []),
        (0, 0, 1501, {}, [above("1,501 of 2,000 would be changed", "75.05", 75)]),
        (0, 0, 801, {"guard_changed_percent": 40}, [
            above("801 of 2,000 would be changed", "40.05", 40)
        ]),
        # So few count as none.
        (299, 0, 0, {"guard_floor": 299}, []),
        (300, 0, 0, {"guard_floor": 299}, [above("300 of 2,000 would be removed", "15.0")]),
        (0, 1100, 0, {"guard_floor": 1100}, []),
        # The limit by number applies whatever the share and the floor.
        (50, 0, 0, {"guard_removed_count": 50}, []),
        (51, 0, 0, {"guard_removed_count": 50}, ["51 would be removed, the limit is 50"]),
        (2, 0, 0, {"guard_removed_count": 1}, ["2 would be removed, the limit is 1"]),
        (2, 0, 0, {"guard_removed_count": 1, "guard_floor": 99}, [
            "2 would be removed, the limit is 1"
        ]),
        (1500, 0, 0, {"guard_removed_count": 1000}, [
            above("1,500 of 2,000 would be removed", "75.0"),
            "1,500 would be removed, the limit is 1,000",
        ]),
        (0, 0, 1500, {"guard_removed_count": 50}, []),
        # An emptied kind is always held, and reported in one sentence.
        (2000, 0, 0, {"guard_removed_count": 1}, ["all 2,000 would be removed"]),
        (2000, 0, 0, {"expected_changes": WINDOW}, ["all 2,000 would be removed"]),
        (2000, 0, 0, {"guard_floor": 5000}, ["all 2,000 would be removed"]),
        # Half gone and half as many new: new ids for everyone.
        (1000, 1000, 0, {"guard_removed_count": 1}, [f"1,000 of 2,000 {REKEYED.format('1,000')}"]),
        (1999, 1999, 0, {}, [f"1,999 of 2,000 {REKEYED.format('1,999')}"]),
        (999, 1000, 0, {}, [above("999 of 2,000 would be removed", "50.0")]),
        (1000, 999, 0, {}, [above("1,000 of 2,000 would be removed", "50.0")]),
        (1001, 1001, 0, {"guard_floor": 1000}, [f"1,001 of 2,000 {REKEYED.format('1,001')}"]),
        (1001, 1000, 0, {"guard_floor": 1000}, [above("1,001 of 2,000 would be removed", "50.0")]),
        (1000, 1001, 0, {"guard_floor": 1000}, [
            above("1,001 of 2,000 would be added", "50.05", 50)
        ]),
        (1000, 1000, 0, {"guard_removed_percent": 50}, []),
        (1000, 1000, 0, {"guard_removed_percent": 49}, [
            f"1,000 of 2,000 {REKEYED.format('1,000')}"
        ]),
        (1000, 1000, 0, {"expected_changes": WINDOW}, []),
    ],
)  # fmt: skip
def test_limits_of_a_kind(
    removed: int, added: int, changed: int, settings: dict[str, Any], told: list[str]
) -> None:
    old = district({"": range(2000)})
    new = district({"": range(removed, 2000 + added)}, range(removed, removed + changed))
    assert held(old, new, **settings) == [f"{KIND}: {reason}" for reason in told]


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


def replaced(record: Record, **facts: Any) -> Record:
    return record._replace(**facts)


LIMITS = Limits(10, 50, 75, 9, 20)


@pytest.mark.parametrize(
    ("kind", "own", "limits"),
    [
        (KIND, {}, LIMITS),
        (KIND, {"users": {"removed": 20}}, replace(LIMITS, removed=20)),
        (KIND, {"users": {"added": 20}}, replace(LIMITS, added=20)),
        (KIND, {"users": {"changed": 20}}, replace(LIMITS, changed=20)),
        (KIND, {KIND: {"removed": 5}}, replace(LIMITS, removed=5)),
        (KIND, {KIND: {"removed": 5}, "users": {"removed": 7, "added": 8}},
         replace(LIMITS, removed=5, added=8)),
        (KIND, {"users.teacher": {"removed": 5}, "classes": {"removed": 6}}, LIMITS),
        ("classes", {"classes": {"removed": 100}}, replace(LIMITS, removed=100)),
        # If all ids may go, contents are compared, with the general limit.
        ("enrollments", {"enrollments": {"removed": 100}}, LIMITS),
        ("enrollments", {"enrollments": {"removed": 100, "added": 70}}, replace(LIMITS, added=70)),
        ("enrollments.student", {"enrollments": {"removed": 100}}, LIMITS),
        ("enrollments.student", {"enrollments": {"removed": 100}, "enrollments.student":
         {"removed": 30}}, replace(LIMITS, removed=30)),
        ("enrollments", {"enrollments": {"removed": 99}}, replace(LIMITS, removed=99)),
    ],
)  # fmt: skip
def test_limits_by_kind(kind: str, own: dict[str, Any], limits: Limits) -> None:
    terms = feed(guard_limits=own, guard_removed_count=9)
    assert Limits.of(terms, kind, NIGHT) == limits


@pytest.mark.parametrize(
    ("day", "percent", "limits"),
    [
        ("2026-09-30", 60, Limits(10, 50, 70, 9, 20)),
        ("2026-10-01", 60, Limits(60, 60, 70, 0, 20)),
        ("2026-12-01", 60, Limits(60, 60, 70, 0, 20)),
        ("2026-12-02", 60, Limits(10, 50, 70, 9, 20)),
        ("2026-11-01", 5, Limits(10, 50, 70, 0, 20)),
        ("2026-11-01", 80, Limits(80, 80, 80, 0, 20)),
    ],
)
def test_a_window_widens_the_limits(day: str, percent: int, limits: Limits) -> None:
    """It narrows none, and disables the limit by number."""
    first = Span(dt.date(2026, 1, 1), dt.date(2026, 1, 1), "a day")
    terms = feed(
        guard_changed_percent=70,
        guard_removed_count=9,
        expected_changes=(first, *WINDOW),
        expected_percent=percent,
    )
    assert Limits.of(terms, KIND, dt.date.fromisoformat(day)) == limits


def test_a_window_narrows_no_limit_of_a_kind() -> None:
    own = {"users": {"removed": 90, "added": 5, "changed": 4}}
    terms = feed(guard_limits=own, expected_changes=WINDOW, expected_percent=60)
    assert Limits.of(terms, KIND, NIGHT) == Limits(90, 60, 60, 0, 20)


# ---- schools ------------------------------------------------------------------------------------

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
        (6, [f"{KIND}: 1 more school loses too many"]),
        (9, [f"{KIND}: 4 more schools lose too many"]),
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


@pytest.mark.parametrize(
    ("was", "now", "losers"),
    [
        ("a", "a", []),
        ("a", "b", ["a"]),
        ("a", "", ["a"]),
        ("a", "never-seen", ["a"]),
        ("a", "b,a", []),
        ("a,b", "b", ["a"]),
        ("a,b", "a", ["b"]),
        ("a,b", "b,a", []),
        ("a,b", "c", ["a", "b"]),
        ("a,,", "c", ["a"]),
        ("a, ", "c", ["a"]),
        ("", "a", []),
        ("a,b", None, ["a", "b"]),
        ("", None, []),
        # The vendor compares exactly.
        ("a", "a ", ["a"]),
        ("a", "b, a", ["a"]),
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
    """Users in several schools count in each, and each removed user counts once."""
    old = district({"a": range(50), "a,b": range(50, 80), "c": range(100, 2000)})
    new = district({"a": range(20, 50), "b": range(55, 80), "c": range(100, 2000)})
    assert held(old, new) == [
        f"{KIND}: the school a would lose 50 of 80",
        f"{KIND}: the school b would lose 5 of 30",
    ]


def test_a_school_has_the_records_that_are_present() -> None:
    """Neither do later records count in its total, nor earlier removals in its loss."""
    stay = records(range(1000, 2000), schools="b")
    old = [
        *records(range(10), schools="a"),
        *records(range(10, 60), schools="a", when=LATER),
        *records(range(60, 100), schools="a", present=False),
    ]
    new = [*records(range(2, 60), schools="a"), *stay]
    assert held(baseline({KIND: [*old, *stay]}), baseline({KIND: new})) == [
        f"{KIND}: the school a would lose 2 of 10"
    ]


def test_whoever_comes_makes_no_one_else_be_lost() -> None:
    """Ids before, between and behind the old ones."""
    old = district({"a": range(10, 110, 2), "b": range(11, 111, 2)})
    new = district({"a": [*range(10, 110, 2), 0, 500], "b": [*range(11, 111, 2), 1, 501]})
    assert judged(old, new) == Verdict({KIND: guard.Change(100, 104, 4, 0, 0)}, ())
    assert judged(new, old) == Verdict({KIND: guard.Change(104, 100, 0, 4, 0)}, ())


# ---- who is present tonight ---------------------------------------------------------------------

DISABLED = {"present": False}


@pytest.mark.parametrize(
    ("was", "now", "rule"),
    [
        ({}, DISABLED, "emptied"),
        ({"when": RUNNING}, {"when": ENDED}, "emptied"),
        ({"when": RUNNING}, {"when": LATER}, "emptied"),
        ({"when": RUNNING}, {"when": RUNNING}, None),
        # Records that have ended by their own days, or start later, are not removed.
        ({"when": ENDED}, {"when": ENDED}, None),
        ({"when": ENDED}, {"when": RUNNING}, None),
        ({"when": LATER}, {"when": LATER}, None),
        ({"when": LATER}, {"when": RUNNING}, None),
        (DISABLED, DISABLED, None),
        (DISABLED, {}, None),
        # Records that start later are missed, too.
        ({"when": LATER}, {"when": ENDED}, "upcoming"),
        ({"when": LATER}, DISABLED, "upcoming"),
    ],
)
def test_both_exports_are_judged_for_tonight(
    was: dict[str, Any], now: dict[str, Any], rule: str | None
) -> None:
    old, new = (
        baseline({KIND: records(range(9), **was)}),
        baseline({KIND: records(range(9), **now)}),
    )
    assert [found for found, _ in rules(old, new)] == ([rule] if rule else [])


def test_whoever_is_still_listed_is_told() -> None:
    """A complete file looks good at first sight, even if its records are disabled or over."""
    old = baseline({KIND: records(range(100))})
    now = [*records(range(70)), *records(range(70, 90), present=False)]
    listed = ", 20 of them in the export but disabled, over or faulty"
    assert held(old, baseline({KIND: now})) == [
        above(f"{KIND}: 30 of 100 would be removed{listed}", "30.0")
    ]
    nobody = baseline({KIND: records(range(99), when=ENDED)})
    assert held(old, nobody) == [
        f"{KIND}: all 100 would be removed, 99 of them in the export but disabled, over or faulty"
    ]


def test_present_records_are_counted() -> None:
    old = baseline({KIND: [*records(range(10)), *records(range(10, 15), when=LATER)]})
    new = baseline({KIND: [*records(range(5, 12)), *records(range(12, 15), when=LATER),
                           Record(0, present=False), Record(99, present=False)]})  # fmt: skip
    assert judged(old, new).changes == {KIND: guard.Change(10, 7, 2, 5, 0)}


def test_only_present_records_change() -> None:
    """Added and removed users do not count as changed, nor do users absent in one export."""
    old = [Record(1), Record(2), Record(3, present=False), Record(4), Record(5, when=LATER)]
    new = [Record(1, 9), Record(2), Record(3, 9), Record(4, 9, present=False), Record(6, 9)]
    changes = judged(baseline({KIND: old}), baseline({KIND: new})).changes
    assert changes == {KIND: guard.Change(3, 4, 2, 1, 1)}


@pytest.mark.parametrize(
    ("gone", "settings", "share"),
    [
        (20, {}, None),
        (21, {}, "10.5"),
        (21, {"guard_floor": 21}, None),
        (22, {"guard_floor": 21}, "11.0"),
        (200, {}, "100.0"),
        (200, {"expected_changes": WINDOW}, None),
        (21, {"guard_limits": {"enrollments": {"removed": 11}}}, None),
    ],
)
def test_a_truncated_export_in_a_break_lacks_what_begins_later(
    gone: int, settings: dict[str, Any], share: str | None
) -> None:
    over = records(range(500, 900), when=ENDED)
    old = baseline({"enrollments.student": [*records(range(200), when=LATER), *over]})
    new = baseline({"enrollments.student": [*records(range(gone, 200), when=LATER), *over]})
    told = f"enrollments: {gone} of 200 that begin later would be removed"
    assert held(old, new, **settings) == ([above(told, share)] if share else [])


@pytest.mark.parametrize(
    ("last", "is_held"),
    [
        ("2026-10-30", False),
        ("2026-10-31", True),  # it was there on that night, and could have been in the export
        ("", True),
    ],
)
def test_a_term_that_begins_adds_what_is_foreseen(last: str, is_held: bool) -> None:
    begins = Calendar(sessions=(("2026-10-31", "2027-06-01"),))
    old = baseline({"classes": records(range(100))}, night=last)
    new = baseline({"classes": [*records(range(100)), *records(range(200, 260), when=begins)]})
    verdict = judged(old, new)
    assert verdict.changes == {"classes": guard.Change(100, 160, 60, 0, 0)}
    told = above("classes: 60 of 100 would be added", "60.0", 50)
    assert verdict.texts == ([told] if is_held else [])


def test_what_begins_is_foreseen_in_each_role() -> None:
    begins = Calendar(sessions=(("2026-10-31", "2027-06-01"),))
    old = enrolled(records(range(100)), records(range(200, 300)), night="2026-10-30")
    late = records(range(300, 420), when=begins)
    assert held(old, enrolled([*records(range(100)), *late], records(range(200, 300)))) == []
    assert held(old, enrolled(records(range(100)), [*records(range(200, 300)), *late])) == []


def test_only_what_is_added_is_foreseen() -> None:
    """The first hundred were there before their new days."""
    begins = Calendar(sessions=(("2026-10-31", "2027-06-01"),))
    old = baseline({"classes": records(range(100))}, night="2026-10-30")
    new = baseline({"classes": [*records(range(100), when=begins), *records(range(200, 260))]})
    assert held(old, new) == [above("classes: 60 of 100 would be added", "60.0", 50)]


# ---- enrollments: the file, and each role -------------------------------------------------------


def enrolled(students: Iterable[Record], teachers: Iterable[Record] = (), **facts: Any) -> Baseline:
    kinds = {"enrollments.student": list(students), "enrollments.teacher": list(teachers)}
    return baseline(kinds, **facts)


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
    listed = ", 30 of them in the export but disabled, over or faulty"
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


def test_whoever_has_another_role_stays() -> None:
    """Only the role has changed: no record is removed in total, nor lost to a school."""
    old = enrolled(records(range(100), schools="a"), records(range(200, 300), schools="a"))
    new = enrolled(records(range(5, 100), schools="a"), records([*range(5), *range(200, 300)]))
    new.records["enrollments.teacher"].schools[:] = 1
    new.schools = ["", "a"]
    verdict = judged(old, new)
    assert verdict.changes == {"enrollments": guard.Change(200, 200, 0, 0, 5)}
    assert verdict.reasons == ()


def test_whoever_begins_later_may_have_another_role() -> None:
    old = enrolled(records(range(100), when=LATER), records(range(200, 300), when=LATER))
    new = enrolled([], records([*range(100), *range(200, 300)], when=LATER))
    assert rules(old, new) == [("upcoming", "enrollments.student")]
    gone = enrolled([], [*records(range(100), when=ENDED), *records(range(200, 300), when=LATER)])
    assert ("upcoming", "enrollments") in rules(old, gone)


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
    ". The SIS seems to number its enrollments anew. If it does so each night, set guard_limits: "
    "{enrollments: {removed: 100}}, and the guard compares contents instead"
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
        "classes: 50 of 50 sourcedIds are gone and 90 are new. The SIS seems to number its classes "
        "anew"
    ]


IGNORED = {"guard_limits": {"enrollments": {"removed": 100}}}


def test_ids_that_mean_nothing_are_not_compared() -> None:
    old = enrolled([Record(n, 1000 + n // 2, "a") for n in range(100)])
    new = enrolled([Record(500 - n, 1000 + n // 2, "a") for n in range(100)])
    verdict = judged(old, new, **IGNORED)
    assert verdict.changes == {"enrollments": guard.Change(100, 100, 0, 0, 0)}
    assert verdict.reasons == ()


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


def test_other_contents_have_no_other_ids() -> None:
    old = enrolled([Record(n, n) for n in range(100)])
    new = enrolled([Record(n, 500 + n) for n in range(100)])
    assert held(old, new, **IGNORED) == [
        above("enrollments: 100 of 100 would be removed", "100.0"),
        above("enrollments: 100 of 100 would be added", "100.0", 50),
    ]


@pytest.mark.parametrize(("more", "is_held"), [(50, False), (51, True)])
def test_added_contents_have_the_general_limit(more: int, is_held: bool) -> None:
    old = enrolled([Record(n, n) for n in range(100)])
    new = enrolled([Record(500 + n, n) for n in range(100 + more)])
    told = above(f"enrollments: {more} of 100 would be added", f"{more}.0", 50)
    assert held(old, new, **IGNORED) == ([told] if is_held else [])


def test_contents_that_are_present_are_matched_first() -> None:
    """A dropped enrollment stays in the export beside the same one, which is active."""
    dropped = [Record(n, n % 100, when=ENDED) for n in range(100)]
    running = [Record(n, n % 100, when=RUNNING) for n in range(100, 200)]
    old = enrolled([*dropped, *running])
    new = enrolled([one._replace(id=1000 - one.id) for one in (*running, *dropped)])
    assert judged(old, new, **IGNORED).changes == {"enrollments": guard.Change(100, 100, 0, 0, 0)}
    over = enrolled([one._replace(id=1000 - one.id, when=ENDED) for one in (*running, *dropped)])
    assert rules(old, over, **IGNORED) == [("emptied", "enrollments")]


def test_contents_that_are_over_come_beside_those_that_run() -> None:
    """A student who returns to a class is in the export twice: once dropped, once present."""
    running = [Record(n, n, when=RUNNING) for n in range(100)]
    dropped = [Record(200 + n, n, when=ENDED) for n in range(100)]
    old, new = enrolled(running), enrolled([*running, *dropped])
    assert judged(old, new, **IGNORED).changes == {"enrollments": guard.Change(100, 100, 0, 0, 0)}


def test_contents_keep_their_schools_and_days() -> None:
    """The ids run the other way round."""
    begins = Calendar(sessions=(("2026-10-31", "2027-06-01"),))
    was = [Record(n, n, "a" if n < 50 else "b") for n in range(100)]
    now = [Record(1000 - n, n, one.schools) for n, one in enumerate(was)]
    late = [Record(500 - n, 100 + n, "a", begins) for n in range(60)]
    old = enrolled(was, night="2026-10-30")
    assert held(old, enrolled([*now, *late]), **IGNORED) == []


def test_other_ids_than_those_of_enrollments_mean_something() -> None:
    old, new = district({"": range(50)}), district({"": range(100, 150)})
    assert judged(old, new, guard_limits={"users": {"removed": 100, "added": 100}}) == Verdict(
        {KIND: guard.Change(50, 50, 50, 50, 0)}, ()
    )


# ---- identities ---------------------------------------------------------------------------------


def people(
    count: int, changed: int, column: str = "username", before: int = 1, now: int = 2
) -> tuple[Baseline, Baseline]:
    """Return two exports of people, in which one column of some has changed."""
    old = [person(n, **{column: before}) for n in range(1, count + 1)]
    new = [person(n, **{column: now if n <= changed else before}) for n in range(1, count + 1)]
    return baseline({KIND: old}), baseline({KIND: new})


@pytest.mark.parametrize(
    "column", ["username", "identifier", "email", "role", "orgSourcedIds", "grades"]
)
def test_each_identity_has_a_share_of_its_own(column: str) -> None:
    old, new = people(1000, 100, column)
    assert held(old, new) == []
    old, new = people(1000, 101, column)
    assert held(old, new) == [above(f"users: {column} of 101 of 1,000 would change", "10.1")]
    assert rules(old, new) == [("identity", "users")]


@pytest.mark.parametrize("column", ["name", "birthDate"])
def test_a_name_may_change(column: str) -> None:
    assert held(*people(100, 100, column)) == []


@pytest.mark.parametrize(
    ("changed", "settings", "is_held"),
    [
        (20, {"guard_floor": 20}, False),
        (21, {"guard_floor": 20}, True),
        (40, {"guard_identity_percent": 40}, False),
        (41, {"guard_identity_percent": 40}, True),
        (100, {"guard_identity_percent": 100}, False),
    ],
)
def test_limits_of_an_identity(changed: int, settings: dict[str, Any], is_held: bool) -> None:
    assert bool(held(*people(100, changed), **settings)) is is_held


@pytest.mark.parametrize(
    ("column", "percent", "changed", "is_held"),
    [
        *((column, 100, 11, True) for column in ("username", "identifier", "email", "role")),
        ("grades", 5, 100, False),
        ("orgSourcedIds", 60, 60, False),
        ("orgSourcedIds", 60, 61, True),
        ("orgSourcedIds", 5, 10, False),
        ("orgSourcedIds", 5, 11, True),
    ],
)
def test_grades_and_schools_may_change_where_it_is_expected(
    column: str, percent: int, changed: int, is_held: bool
) -> None:
    pair = people(100, changed, column)
    texts = held(*pair, expected_changes=WINDOW, expected_percent=percent)
    assert bool(texts) is is_held


def test_a_value_that_was_empty_may_come_and_one_that_was_not_may_not_go() -> None:
    assert held(*people(100, 100, before=0)) == []
    assert held(*people(100, 100, now=0)) == [
        above("users: username of 100 of 100 would change", "100.0")
    ]


def test_a_share_is_of_those_who_had_a_value() -> None:
    def some(value: int) -> Baseline:
        known = [person(n, email=value) for n in range(50)]
        return baseline({KIND: [*known, *(person(n) for n in range(50, 2000))]})

    assert held(some(1), some(2)) == [above("users: email of 50 of 50 would change", "100.0")]


def test_identities_are_of_those_who_are_present_in_both() -> None:
    old = [person(n, email=1) for n in range(100)]
    new = [one._replace(identity=person(0, email=2).identity) for one in old]
    for fact in ({"present": False}, {"when": LATER}):
        absent = [one._replace(**fact) for one in new]
        found = rules(baseline({KIND: absent}), baseline({KIND: old}))
        assert ("identity", "users") not in found
        found = rules(baseline({KIND: old}), baseline({KIND: absent}))
        assert ("identity", "users") not in found


def test_a_role_is_an_identity_over_all_users() -> None:
    """A former student who is a teacher now is another kind of record, with the same sourcedId."""
    old = baseline(
        {KIND: [person(n, role=1) for n in range(100)], "users.teacher": [person(200, role=2)]}
    )
    new = baseline(
        {
            KIND: [person(n, role=1) for n in range(11, 100)],
            "users.teacher": [person(n, role=2) for n in (*range(11), 200)],
        }
    )
    assert above("users: role of 11 of 101 would change", "10.9") in held(old, new)


@pytest.mark.parametrize("missing", ["old", "new"])
def test_unknown_identities_are_not_compared(missing: str) -> None:
    known, unknown = people(100, 100)[0], district({"": range(1, 101)})
    pair = (unknown, known) if missing == "old" else (known, unknown)
    assert held(*pair) == []


# ---- sourcedIds of somebody else ----------------------------------------------------------------

WHO = {"name": 1, "birthDate": 1, "username": 1, "identifier": 1, "email": 1}
OTHER = ["name", "birthDate"]


def users(count: int, other: int, columns: Iterable[str], **known: int) -> Baseline:
    """Return an export of people. The first ones have other values in some columns."""
    who = {**WHO, **known}
    new = who | dict.fromkeys(columns, 2)
    return baseline({KIND: [person(n, **(new if n < other else who)) for n in range(count)]})


@pytest.mark.parametrize(
    ("other", "columns", "settings", "is_held"),
    [
        (101, OTHER, {}, True),
        (100, OTHER, {}, False),
        (101, OTHER, {"guard_floor": 101}, False),
        (102, OTHER, {"guard_floor": 101}, True),
        (101, OTHER, {"guard_identity_percent": 11}, False),
        (1000, ["name"], {}, False),
        (1000, ["birthDate"], {}, False),
        (1000, ["name", "username"], {"guard_identity_percent": 99}, False),
        # Nothing of it is expected.
        (101, OTHER, {"expected_changes": WINDOW}, True),
    ],
)
def test_a_sourced_id_may_belong_to_somebody_else(
    other: int, columns: list[str], settings: dict[str, Any], is_held: bool
) -> None:
    found = judged(users(1000, 0, ()), users(1000, other, columns), **settings).reasons
    told = [reason.text for reason in found if reason.rule is Rule.SOMEBODY_ELSE]
    share = f"{other / 10}"
    words = f"users: {other} of 1,000 sourcedIds now belong to somebody else"
    assert told == ([above(words, share)] if is_held else [])


@pytest.mark.parametrize("side", ["old", "new", "both"])
@pytest.mark.parametrize(
    ("columns", "is_held"),
    [
        (["name", "username"], True),
        (["name", "identifier"], True),
        (["name", "email"], True),
        (["name"], False),
        (["username", "identifier", "email"], False),
    ],
)
def test_without_birth_dates_an_account_tells_who_it_is(
    side: str, columns: list[str], is_held: bool
) -> None:
    old = users(100, 0, (), birthDate=0 if side != "new" else 1)
    new = users(100, 50, columns, birthDate=0 if side != "old" else 1)
    assert (("somebody_else", "users") in rules(old, new)) is is_held


@pytest.mark.parametrize("unknown", ["name", "birthDate"])
def test_whoever_is_not_known_in_both_is_nobody_else(unknown: str) -> None:
    """The first one is known, so that there are birth dates at all."""
    old = users(100, 0, ())
    nameless = [person(0, **WHO), *(person(n, **{**WHO, unknown: 0}) for n in range(1, 100))]
    new = users(100, 100, OTHER)
    for pair in ((baseline({KIND: nameless}), new), (new, baseline({KIND: nameless}))):
        found = [one for one in judged(*pair).reasons if one.rule is Rule.SOMEBODY_ELSE]
        assert not found or "1 of 1 sourcedIds" in found[0].text
    assert ("somebody_else", "users") in rules(old, new)


def test_without_birth_dates_only_known_accounts_count() -> None:
    """A new e-mail, or a removed username, does not identify a person."""
    none = {"birthDate": 0, "username": 0, "identifier": 0, "email": 0}
    old = users(100, 0, (), **{**none, "username": 1})
    new = users(100, 100, ["name", "email"], **none)
    assert ("somebody_else", "users") not in rules(old, new)
    known = users(100, 100, ["name", "email"], **{**none, "username": 1})
    assert ("somebody_else", "users") not in rules(old, known)


# ---- new duplicates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "settings", "is_held"),
    [
        (0, 100, {}, False),
        (0, 101, {}, True),
        (50, 150, {}, False),
        (50, 151, {}, True),
        (500, 500, {}, False),
        (500, 100, {}, False),
        (0, 101, {"guard_floor": 101}, False),
        (0, 102, {"guard_floor": 101}, True),
        (0, 101, {"guard_identity_percent": 11}, False),
        (0, 101, {"expected_changes": WINDOW}, True),
    ],
)
def test_duplicates_that_are_new(
    before: int, now: int, settings: dict[str, Any], is_held: bool
) -> None:
    old, new = district({"": range(1000)}), district({"": range(1000)})
    old.duplicates, new.duplicates = {"users.email": before}, {"users.email": now}
    words = f"users: {now - before} of 1,000 would share their email with others and did not before"
    told = [above(words, f"{(now - before) / 10}")]
    assert held(old, new, **settings) == (told if is_held else [])
    assert not is_held or rules(old, new, **settings) == [("duplicates", "users")]


def test_duplicates_are_new_to_nobody_who_does_not_know() -> None:
    new = district({"": range(100)})
    new.duplicates = {"users.email": 100}
    assert held(None, new) == []
    assert held(replace(district({"": range(100)}), has_tags=False), new) == []
    assert rules(district({"": range(100)}), new) == [("duplicates", "users")]


# ---- concentration ------------------------------------------------------------------------------

EVEN = [(n, RUNNING, 25) for n in range(16)]


def crowded(crowds: Iterable[tuple[int, Calendar, int]], **facts: Any) -> Baseline:
    return baseline({}, {"enrollments": 400}, crowds=crowds, **facts)


def moved(into: int, count: int) -> list[tuple[int, Calendar, int]]:
    """Return classes of 25, of which one has `count` of the 400 enrollments."""
    return [(into, RUNNING, count), *((n, RUNNING, (400 - count) // 15) for n in range(90, 105))]


@pytest.mark.parametrize(
    ("now", "settings", "told"),
    [
        # It has to be more than twice the biggest, and a tenth of all, and above the floor.
        ([(0, RUNNING, 50), (1, RUNNING, 50)], {}, False),
        ([(0, RUNNING, 51), (1, RUNNING, 50)], {}, True),
        ([(0, RUNNING, 65), (1, RUNNING, 335)], {"guard_concentration_percent": 78}, False),
        ([(0, RUNNING, 65), (1, RUNNING, 335)], {"guard_concentration_percent": 77}, True),
        (
            [(0, RUNNING, 60), *((n, RUNNING, 20) for n in range(20, 35))],
            {"guard_floor": 34},
            False,
        ),
        (
            [(0, RUNNING, 60), *((n, RUNNING, 10) for n in range(20, 35))],
            {"guard_floor": 35},
            False,
        ),
        ([(0, RUNNING, 60), *((n, RUNNING, 10) for n in range(20, 35))], {"guard_floor": 34}, True),
        # A new class has grown by all its enrollments.
        ([(99, RUNNING, 390), (0, RUNNING, 26)], {}, True),
        # A class's enrollments on other days do not count.
        ([(0, RUNNING, 40), (0, LATER, 300), (0, ENDED, 300)], {}, False),
        ([(0, RUNNING, 30), (0, Calendar(), 30)], {}, True),
        ([(0, RUNNING, 390)], {"expected_changes": WINDOW}, False),
        ([(0, RUNNING, 390)], {"expected_changes": WINDOW, "expected_percent": 93}, True),
        ([(0, RUNNING, 390)], {"expected_changes": WINDOW, "expected_percent": 94}, False),
        ([], {}, False),
    ],
)
def test_one_class_may_not_hold_too_much(
    now: list[tuple[int, Calendar, int]], settings: dict[str, Any], told: bool
) -> None:
    assert rules(crowded(EVEN), crowded(now), **settings) == (
        [("concentration", "enrollments")] if told else []
    )


def test_concentration_is_told_in_numbers() -> None:
    assert held(crowded(EVEN), crowded([(0, RUNNING, 390), (1, RUNNING, 26)])) == [
        above(
            "enrollments: one class would hold 390 of 416, and 365 of them are new to it",
            "87.7",
        )
        + ". The biggest class held 25"
    ]


def test_the_class_that_grows_most_need_not_be_the_biggest() -> None:
    old = crowded([(0, RUNNING, 100), (1, RUNNING, 10)])
    new = crowded([(0, RUNNING, 210), (1, RUNNING, 130)])
    assert rules(old, new) == [("concentration", "enrollments")]


def test_the_biggest_class_may_have_been_on_other_days() -> None:
    """On a term's first day no earlier record is present."""
    assert rules(crowded([(5, ENDED, 30)]), crowded([(0, RUNNING, 60)])) == []
    assert rules(crowded([(5, ENDED, 30)]), crowded([(0, RUNNING, 61)])) == [
        ("concentration", "enrollments")
    ]
    assert rules(crowded([]), crowded([(0, RUNNING, 400)])) == []
    assert rules(None, crowded([(0, RUNNING, 400)])) == []


def test_a_class_grows_by_what_it_did_not_hold_tonight() -> None:
    old = crowded([(0, RUNNING, 10), (0, ENDED, 60), (1, RUNNING, 100)])
    new = crowded([(0, RUNNING, 205), *((n, RUNNING, 53) for n in range(5, 20))])
    told = [("concentration", "enrollments")]
    assert rules(old, new, guard_concentration_percent=19) == told  # 195 of 1,000
    assert rules(old, new, guard_concentration_percent=20) == []


@pytest.mark.parametrize("modes", [{"enrollments": "delta"}, {"enrollments": "bulk"}])
def test_concentration_is_of_whole_files(modes: dict[str, str]) -> None:
    new = crowded([(0, RUNNING, 400)], modes={**modes, "users": "delta"})
    old = baseline({"enrollments.student": records(range(400))}, crowds=EVEN)
    new.records = old.records
    is_held = ("concentration", "enrollments") in rules(old, new)
    assert is_held is (modes["enrollments"] == "bulk")


# ---- files and columns --------------------------------------------------------------------------

GONE = "users.csv was in the last accepted export"


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"users": 1200}, {}, [
            f"{GONE} (1,200 rows) and is gone", "users: all 1,200 would be removed"
        ]),
        ({"users": 1}, {}, [f"{GONE} (1 row) and is gone", "users: the only one would be removed"]),
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
    assert told == f"{name}: 900 in all, guard_minimum asks for 1,000"


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
        f"users.csv: the column email has a value in {filled.get('email')} of {rows:,} rows, and "
        f"had one in {had:,} of 10,000"
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


# ---- minima -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "minimum", "told"),
    [
        ("oneroster-1.1", {KIND: 2000}, []),
        ("oneroster-1.1", {KIND: 2001}, [f"{KIND}: 2,000 in all, guard_minimum asks for 2,001"]),
        ("oneroster-1.1", {"users": 2000}, []),
        ("oneroster-1.1", {"users": 2001}, ["users: 2,000 in all, guard_minimum asks for 2,001"]),
        ("oneroster-1.1", {"classes": 1}, ["classes: 0 in all, guard_minimum asks for 1"]),
        ("oneroster-1.1", {"classes": 0}, []),
        # The defaults name kinds of OneRoster, which another format does not have.
        ("traditional-math", {"classes": 1}, []),
        ("traditional-math", {KIND: 2001}, [f"{KIND}: 2,000 in all, guard_minimum asks for 2,001"]),
        ("traditional-math", {"users": 2001}, [
            "users: 2,000 in all, guard_minimum asks for 2,001"
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
            f"{name}: {count} in all, guard_minimum asks for {count + 1}"
        ]


@pytest.mark.parametrize("status", ["delta", "bulk"])
def test_minima_are_of_what_the_vendor_holds_after_a_delta(status: str) -> None:
    old = baseline({KIND: records(range(10)), "classes": records(range(5))})
    gone = records(range(3), gone=True)
    new = baseline({"classes": gone}, modes={"classes": "delta", "orgs": "bulk"})
    assert held(old, new, guard_removed_percent=100, guard_minimum={"classes": 2, KIND: 10}) == []
    assert held(old, new, guard_removed_percent=100, guard_minimum={"classes": 3, KIND: 11}) == [
        "classes: 2 in all, guard_minimum asks for 3",
        f"{KIND}: 10 in all, guard_minimum asks for 11",
    ]


# ---- sessions -----------------------------------------------------------------------------------

YEAR = Session("schoolYear", "2026-08-17", "2027-06-05", False)
PAST = Session("semester", "2026-08-17", "2026-10-30", True)
NEXT = Session("semester", "2026-11-03", "2027-06-05", True)
QUARTER = Session("gradingPeriod", "2026-10-20", "2026-11-20", False)
NOW = Session("semester", "2026-10-31", "2026-11-02", True)
UNUSED = f"academicSessions: no class points to a session that contains {NIGHT}"


def none_contains(edge: str) -> str:
    return f"academicSessions: no session contains {NIGHT}, {edge}"


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        ([], []),
        ([NOW], []),
        ([Session("term", "2026-11-01", "2026-11-01", True)], []),
        ([PAST, NOW, NEXT], []),
        ([PAST, NEXT], []),  # a break
        ([PAST, NEXT, YEAR], []),
        ([PAST, NEXT, QUARTER], []),
        ([PAST], [none_contains("the last ended on 2026-10-30")]),
        ([PAST, YEAR], [none_contains("the last ended on 2026-10-30")]),
        ([NEXT], [none_contains("the first begins on 2026-11-03")]),
        ([NEXT, NEXT._replace(first="2026-11-02")],
         [none_contains("the first begins on 2026-11-02")]),
        ([PAST, PAST._replace(last="2026-10-31")], [none_contains("the last ended on 2026-10-31")]),
        # Classes point to other terms than tonight's.
        ([PAST, NOW._replace(is_used=False)], [UNUSED]),
        ([PAST, NOW._replace(is_used=False), NEXT], [UNUSED]),
        ([PAST, NOW._replace(is_used=False), YEAR._replace(is_used=True)], []),
        # Without a session that classes refer to, all of them count.
        ([YEAR], [UNUSED]),
        ([PAST._replace(is_used=False), NEXT._replace(is_used=False)], []),
        ([PAST._replace(is_used=False)], [none_contains("the last ended on 2026-10-30")]),
        # Sessions without days are none.
        ([Session("semester", "", "2026-10-01", True), NEXT],
         [none_contains("the first begins on 2026-11-03")]),
        ([Session("semester", "2026-10-01", "", True)], []),
    ],
)  # fmt: skip
def test_a_session_contains_tonight(sessions: list[Session], told: list[str]) -> None:
    new = baseline({}, {"orgs": 1}, sessions=sessions)
    for old in (None, new):
        assert held(old, new) == told
        assert held(old, new, expected_changes=WINDOW) == []
    if told:
        assert rules(None, new) == [("session", "academicSessions")]


def test_sessions_that_a_delta_leaves_out_are_those_of_before() -> None:
    old = baseline({}, {"academicSessions": 1, "orgs": 1}, sessions=[PAST])
    new = baseline({}, {"orgs": 0}, modes={"orgs": "delta"})
    assert ("session", "academicSessions") in rules(old, new)


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


# ---- deltas, and files of both modes ------------------------------------------------------------

HAD = baseline(
    {
        KIND: [Record(1, 1, "a"), Record(2, 1, "a"), Record(3, 1, "b"), Record(4, 1, "b", LATER)],
        "users.teacher": [Record(9, 1, "a")],
        "classes": [Record(5, 1, "b", RUNNING), Record(6, 1, "a")],
    },
    {"orgs": 3},
    filled={"users": {"email": 5}, "classes": {"title": 2}},
    duplicates={"users.email": 1},
    crowds=[(5, LATER, 30), (6, RUNNING, 40)],
    sessions=[PAST, YEAR],
    night="2026-10-30",
)


def said(found: Baseline, kind: str) -> dict[int, tuple[str, Calendar]]:
    """Return the records' schools and days in a baseline, by id."""
    one = found.records[kind]
    return {
        int(number): (found.schools[school], found.calendars[when])
        for number, school, when in zip(one.ids, one.schools, one.when, strict=True)
    }


def test_a_delta_is_added_to_what_there_was() -> None:
    """One is new, one moves, one goes, one becomes a teacher. The classes are not in it."""
    new = baseline(
        {
            KIND: [Record(3, 2, "c", ENDED), Record(4, 2, gone=True), Record(7, 2, "a", RUNNING)],
            "users.teacher": [Record(2, 2, "a", LATER)],
        },
        modes={"users": "delta"},
        filled={"users": {"email": 0}, "demographics": {"sex": 1}},
        duplicates={"users.email": 9, "users.username": 2},
        night="2026-11-01",
    )
    now = guard.accepted(HAD, new)
    always = Calendar()
    assert said(now, KIND) == {1: ("a", always), 3: ("c", ENDED), 7: ("a", RUNNING)}
    assert now.records[KIND].tags.tolist() == [1, 2, 2]
    assert said(now, "users.teacher") == {2: ("a", LATER), 9: ("a", always)}
    assert said(now, "classes") == {5: ("b", RUNNING), 6: ("a", always)}
    assert now.rows == {"users": 5, "classes": 2, "orgs": 3}
    assert now.filled == {**HAD.filled, "demographics": {"sex": 1}}
    assert now.duplicates == {"users.email": 1, "users.username": 2}
    assert (now.night, now.has_tags, now.modes, now.is_incremental) == (
        *("2026-11-01", True, {}),
        False,
    )
    assert now.sessions == HAD.sessions
    assert [(one, now.calendars[when], n) for one, when, n in zip(*now.crowds, strict=True)] == [
        (5, LATER, 30),
        (6, RUNNING, 40),
    ]
    assert not now.records[KIND].gone.any()
    assert judged(HAD, new).changes == {
        KIND: guard.Change(3, 2, 1, 2, 0),
        "users.teacher": guard.Change(1, 1, 0, 0, 0),
    }


def test_many_deltas_do_not_make_the_lists_longer() -> None:
    new = baseline({KIND: [Record(7, 2, "a", RUNNING)]}, modes={"users": "delta"})
    now = HAD
    for _ in range(5):
        now = guard.accepted(now, new)
    assert (now.schools, now.calendars) == (HAD.schools, HAD.calendars)


def test_ids_of_one_file_say_nothing_of_anothers() -> None:
    new = baseline(
        {KIND: [Record(5)], "classes": [Record(8)]}, modes={"users": "delta", "classes": "delta"}
    )
    now = guard.accepted(HAD, new)
    assert {name: found.ids.tolist() for name, found in now.records.items()} == {
        KIND: [1, 2, 3, 4, 5],
        "users.teacher": [9],
        "classes": [5, 6, 8],
    }


def test_a_delta_without_a_record_changes_nothing() -> None:
    new = baseline({}, {"users": 0}, modes={"users": "delta"})
    now = guard.accepted(HAD, new)
    assert {name: said(now, name) for name in now.records} == {
        name: said(HAD, name) for name in HAD.records
    }
    assert now.rows == HAD.rows
    verdict = guard.judge(feed(guard_minimum={}, expected_changes=WINDOW), HAD, new, NIGHT)
    assert verdict.changes.keys() == {KIND, "users.teacher"}
    assert verdict.reasons == ()


def test_a_whole_file_beside_a_delta_replaces_what_there_was() -> None:
    new = baseline(
        {"classes": [Record(8, 0, "z", LATER)]},
        {"users": 0, "enrollments": 1},
        modes={"users": "delta"},
        filled={"classes": {"title": 1}},
        duplicates={"classes.title": 4},
        crowds=[(8, ENDED, 3)],
    )
    now = guard.accepted(HAD, new)
    assert said(now, "classes") == {8: ("z", LATER)}
    assert now.rows == {"users": 5, "classes": 1, "orgs": 3, "enrollments": 1}
    assert (len(now.records[KIND]), now.filled["classes"]) == (4, {"title": 1})
    assert now.duplicates == {"users.email": 1, "classes.title": 4}
    assert [(one, now.calendars[when], n) for one, when, n in zip(*now.crowds, strict=True)] == [
        (8, ENDED, 3)
    ]


def test_a_whole_file_may_lose_a_kind() -> None:
    new = baseline({KIND: records(range(5))}, {"orgs": 1}, modes={"orgs": "delta"})
    assert guard.accepted(HAD, new).records.keys() == {KIND, "classes"}
    assert ("emptied", "users.teacher") in rules(HAD, new)


def test_a_whole_package_replaces_everything() -> None:
    new = baseline({KIND: records(range(5))})
    assert guard.accepted(HAD, new) is new


def test_a_delta_can_take_the_last_record_away() -> None:
    new = baseline({"classes": records([5, 6], gone=True)}, modes={"classes": "delta"})
    now = guard.accepted(HAD, new)
    assert "classes" not in now.records
    assert now.rows["classes"] == 0
    verdict = judged(HAD, new, expected_changes=WINDOW)
    assert verdict.texts == ["classes: all 2 would be removed"]
    assert verdict.changes == {"classes": guard.Change(2, 0, 0, 2, 0)}


def test_a_first_delta_is_all_that_there_is() -> None:
    new = baseline({KIND: [Record(1)]}, {"orgs": 2}, modes={"users": "delta"})
    now = guard.accepted(None, new)
    assert now.records[KIND].ids.tolist() == [1]
    assert now.rows == {"users": 1, "orgs": 2}
    verdict = judged(None, new)
    assert verdict.changes == {
        KIND: guard.Change(0, 1, 1, 0, 0),
        "orgs": guard.Change(0, 2, 2, 0, 0),
    }
    assert verdict.reasons == ()


def test_a_file_of_no_kind_that_a_delta_leaves_out_stays() -> None:
    old = Baseline(rows={"orgs": 100, "courses": 100})
    new = baseline({}, {"courses": 0}, modes={"courses": "delta"})
    assert judged(old, new).changes.keys() == {"courses"}
    assert guard.accepted(old, new).rows == {"orgs": 100, "courses": 0}


def test_a_delta_relaxes_nothing_for_the_whole_files_beside_it() -> None:
    """Of the four, only a missing file says nothing, since it is optional."""
    old = baseline(
        {KIND: records(range(100), schools="a"), "demographics": records(range(100))},
        {"orgs": 5},
        filled={"users": {"email": 100}, "demographics": {"sex": 100}},
    )
    new = baseline(
        {KIND: records(range(50), schools="a"), "demographics": records([1])},
        modes={"demographics": "delta"},
        filled={"users": {"email": 0}, "demographics": {"sex": 0}},
    )
    assert rules(old, new, guard_minimum={KIND: 51}) == [
        ("column_emptied", "users"),
        ("removed", KIND),
        ("school", KIND),
        ("minimum", KIND),
    ]


@pytest.mark.parametrize(
    ("modes", "now", "sessions"),
    [
        # A session that goes away, one that classes begin to point to, and a new one.
        ({"academicSessions": "bulk", "classes": "bulk"},
         [NEXT, YEAR._replace(is_used=True)], [NEXT, YEAR._replace(is_used=True)]),
        ({"academicSessions": "bulk", "classes": "bulk"},
         [PAST._replace(is_used=False), NEXT], [PAST._replace(is_used=False), NEXT]),
        # Classes that are not replaced refer to the same ones.
        ({"academicSessions": "bulk", "classes": "delta"},
         [PAST._replace(is_used=False), NEXT], [PAST, NEXT]),
        ({"academicSessions": "bulk"}, [PAST._replace(is_used=False)], [PAST]),
        ({"academicSessions": "delta", "classes": "bulk"}, [NEXT], [PAST, YEAR, NEXT]),
        ({"academicSessions": "delta"}, [YEAR._replace(is_used=True)],
         [PAST, YEAR._replace(is_used=True)]),
        ({"classes": "bulk"}, [], [PAST, YEAR]),
    ],
)  # fmt: skip
def test_sessions_are_merged(
    modes: dict[str, str], now: list[Session], sessions: list[Session]
) -> None:
    new = baseline({}, {**dict.fromkeys(modes, 1), "users": 0}, sessions=now,
                   modes={**modes, "users": "delta"})  # fmt: skip
    assert guard.accepted(HAD, new).sessions == sessions


# ---- baselines of the first version -------------------------------------------------------------


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


# ---- properties ---------------------------------------------------------------------------------

TONIGHT = (Calendar(), RUNNING)
CALENDARS = st.sampled_from([Calendar(), RUNNING, ENDED, LATER])
ANY = st.builds(
    Record,
    st.integers(0, 30),
    st.integers(0, 3),
    st.sampled_from(["", "a", "a,b", "b"]),
    CALENDARS,
    st.booleans(),
    st.just(False),
    st.just(()),
)
KINDS = st.sampled_from([KIND, "users.teacher", "enrollments.student", "enrollments.teacher"])
EXPORTS = st.dictionaries(KINDS, st.lists(ANY, max_size=20, unique_by=lambda one: one.id))
many = settings(max_examples=share.of(150))  # fewer miss absent users with another role


def unique(kinds: Mapping[str, list[Record]]) -> Baseline:
    """Return an export in which an id is in one kind of a file only."""
    seen: set[tuple[str, int]] = set()
    found: dict[str, list[Record]] = {}
    for kind, listed in kinds.items():
        file = kind.partition(".")[0]
        found[kind] = [one for one in listed if (file, one.id) not in seen]
        seen |= {(file, one.id) for one in listed}
    return baseline(found)


@many
@given(EXPORTS, st.booleans())
def test_an_export_that_follows_itself_is_not_held(
    kinds: dict[str, list[Record]], are_ids_ignored: bool
) -> None:
    same = unique(kinds)
    verdict = judged(same, same, **(IGNORED if are_ids_ignored else {}))
    assert verdict.reasons == ()
    assert all(one.added == one.removed == one.changed == 0 for one in verdict.changes.values())


@many
@given(EXPORTS, EXPORTS, st.booleans(), st.booleans())
def test_what_was_and_came_less_what_went_is_there_now(
    was: dict[str, list[Record]],
    now: dict[str, list[Record]],
    are_ids_ignored: bool,
    has_tags: bool,
) -> None:
    old = replace(unique(was), has_tags=has_tags)
    verdict = judged(old, unique(now), **(IGNORED if are_ids_ignored else {}))
    for change in verdict.changes.values():
        assert change.before + change.added - change.removed == change.now
        assert 0 <= change.changed <= change.before - change.removed


@many
@given(EXPORTS, EXPORTS)
def test_contents_are_compared_by_their_number(
    was: dict[str, list[Record]], now: dict[str, list[Record]]
) -> None:
    """Of each content, as many stay as are present in both."""
    kind = "enrollments.student"
    before, after = (unique({kind: kinds.get(kind, [])}) for kinds in (was, now))
    old, new = (
        Counter(one.tag for one in told(found, kind) if one.present and one.when in TONIGHT)
        if kind in found.records
        else Counter[int]()
        for found in (before, after)
    )
    change = judged(before, after, **IGNORED).changes.get("enrollments")
    if change:
        assert change == guard.Change(
            old.total(), new.total(), (new - old).total(), (old - new).total(), 0
        )


@many
@given(EXPORTS, EXPORTS)
def test_the_enrollments_are_compared_as_one_kind_would_be(
    was: dict[str, list[Record]], now: dict[str, list[Record]]
) -> None:
    """The roles apart, with the changed ones, have the same total as all in one."""
    old, new = unique(was), unique(now)
    whole = [
        baseline(
            {
                "enrollments": [
                    replaced(one, tag=one.tag * 2 + kind.endswith("teacher"))
                    for kind, found in kinds.items()
                    for one in found
                    if kind.startswith("enrollments") and one in found
                ]
            }
        )
        for kinds in (
            {k: told(old, k) for k in old.records},
            {k: told(new, k) for k in new.records},
        )
    ]
    one, other = judged(old, new).changes, judged(*whole).changes
    if "enrollments" in one:
        assert one["enrollments"] == other["enrollments"]


def told(found: Baseline, kind: str) -> list[Record]:
    """Return the records of a baseline."""
    one = found.records[kind]
    return [
        Record(int(number), int(tag), found.schools[school], found.calendars[when], bool(present))
        for number, tag, school, when, present in zip(
            one.ids, one.tags, one.schools, one.when, one.present, strict=True
        )
    ]


@many
@given(EXPORTS, st.sets(st.integers(0, 30)))
def test_a_delta_is_judged_as_the_whole_export_that_it_makes(
    kinds: dict[str, list[Record]], gone: set[int]
) -> None:
    old = unique(kinds)
    modes = dict.fromkeys(old.rows, "delta")
    taken = {kind: records(gone & set(found.ids.tolist()), gone=True)
             for kind, found in old.records.items()}  # fmt: skip
    delta = baseline(taken, dict.fromkeys(old.rows, 0), modes=modes)
    if not old.rows:
        return
    left = {kind: [one for one in told(old, kind) if one.id not in gone] for kind in old.records}
    whole = baseline(left, old.rows)
    assert judged(old, delta).changes == judged(old, whole).changes
    assert rules(old, delta) == rules(old, whole)
