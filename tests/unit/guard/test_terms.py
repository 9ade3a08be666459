"""The guard holds an export without a session for tonight, or with one class for everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from support.baselines import baseline
from support.judgements import (
    ENDED,
    LATER,
    NEXT,
    NIGHT,
    NOW,
    PAST,
    RUNNING,
    WINDOW,
    YEAR,
    above,
    held,
    records,
    rules,
)

EVEN = [(n, RUNNING, 25) for n in range(16)]


def crowded(crowds: Iterable[tuple[int, Calendar, int]], **facts: Any) -> Baseline:
    return baseline({}, {"enrollments": 400}, crowds=crowds, **facts)


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
            "enrollments: one class would hold 390 of 416, 365 of them new",
            "87.7",
        )
        + ". Before, the largest class held 25"
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


QUARTER = Session("gradingPeriod", "2026-10-20", "2026-11-20", False)
UNUSED = f"academicSessions: no class belongs to a session that contains {NIGHT}"


def none_contains(edge: str) -> str:
    return f"academicSessions: no session contains {NIGHT}. {edge}"


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
        ([PAST], [none_contains("The last one ended on 2026-10-30")]),
        ([PAST, YEAR], [none_contains("The last one ended on 2026-10-30")]),
        ([NEXT], [none_contains("The first one begins on 2026-11-03")]),
        ([NEXT, NEXT._replace(first="2026-11-02")],
         [none_contains("The first one begins on 2026-11-02")]),
        (
            [PAST, PAST._replace(last="2026-10-31")],
            [none_contains("The last one ended on 2026-10-31")],
        ),
        # Classes point to other terms than tonight's.
        ([PAST, NOW._replace(is_used=False)], [UNUSED]),
        ([PAST, NOW._replace(is_used=False), NEXT], [UNUSED]),
        ([PAST, NOW._replace(is_used=False), YEAR._replace(is_used=True)], []),
        # Without a session that classes refer to, all of them count.
        ([YEAR], [UNUSED]),
        ([PAST._replace(is_used=False), NEXT._replace(is_used=False)], []),
        ([PAST._replace(is_used=False)], [none_contains("The last one ended on 2026-10-30")]),
        # Sessions without days are none.
        ([Session("semester", "", "2026-10-01", True), NEXT],
         [none_contains("The first one begins on 2026-11-03")]),
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
