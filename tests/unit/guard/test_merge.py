"""A delta is added to what the vendor holds. A whole file replaces it."""

from __future__ import annotations

import pytest
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from support.baselines import Record, baseline, feed
from support.judgements import (
    ENDED,
    KIND,
    LATER,
    NEXT,
    NIGHT,
    PAST,
    RUNNING,
    WINDOW,
    YEAR,
    judged,
    records,
    rules,
)


def test_sessions_that_a_delta_leaves_out_are_those_of_before() -> None:
    old = baseline({}, {"academicSessions": 1, "orgs": 1}, sessions=[PAST])
    new = baseline({}, {"orgs": 0}, modes={"orgs": "delta"})
    assert ("session", "academicSessions") in rules(old, new)


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
