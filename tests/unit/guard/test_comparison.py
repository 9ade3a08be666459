"""Two exports are compared by the records that are present tonight, by ids or by contents."""

from __future__ import annotations

from typing import Any

import pytest
from roster_upload.guard import guard
from roster_upload.guard.calendar import Calendar
from roster_upload.guard.guard import Verdict
from support.baselines import Record, baseline
from support.judgements import (
    ENDED,
    IGNORED,
    KIND,
    LATER,
    RUNNING,
    WINDOW,
    above,
    district,
    enrolled,
    held,
    judged,
    records,
    rules,
)


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
    listed = ", 20 of them in the export but disabled, ended or faulty"
    assert held(old, baseline({KIND: now})) == [
        above(f"{KIND}: 30 of 100 would be removed{listed}", "30.0")
    ]
    nobody = baseline({KIND: records(range(99), when=ENDED)})
    assert held(old, nobody) == [
        f"{KIND}: all 100 would be removed, 99 of them in the export but disabled, ended or faulty"
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


def test_ids_that_mean_nothing_are_not_compared() -> None:
    old = enrolled([Record(n, 1000 + n // 2, "a") for n in range(100)])
    new = enrolled([Record(500 - n, 1000 + n // 2, "a") for n in range(100)])
    verdict = judged(old, new, **IGNORED)
    assert verdict.changes == {"enrollments": guard.Change(100, 100, 0, 0, 0)}
    assert verdict.reasons == ()


def test_other_contents_have_no_other_ids() -> None:
    old = enrolled([Record(n, n) for n in range(100)])
    new = enrolled([Record(n, 500 + n) for n in range(100)])
    assert held(old, new, **IGNORED) == [
        above("enrollments: 100 of 100 would be removed", "100.0"),
        above("enrollments: 100 of 100 would be added", "100.0", 50),
    ]


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
