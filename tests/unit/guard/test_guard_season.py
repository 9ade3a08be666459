"""The first delivery after the vendor's yearly reset is measured by minima."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from roster_upload.guard.verdict import Rule, Verdict
from support.baselines import Record, baseline, feed, person
from support.judgements import records, records_of

NIGHT, RESET = dt.date(2027, 7, 26), dt.date(2027, 7, 16)
MINIMA = {"users.student": 200, "enrollments.student": 900}


def roster(students: Iterable[int], year: int, schools: int = 2, **facts: Any) -> Baseline:
    """Return the roster of a year. Grades, classes and enrollments are all of that year."""
    people = [
        person(n, username=n + 1, name=n + 1, birthDate=n + 1, grades=year)._replace(
            tag=year, schools=f"school-{n % schools}"
        )
        for n in students
    ]
    enrollments = records(range(10**6 * year, 10**6 * year + 4 * len(people)))
    kinds = {
        "users.student": people,
        "users.teacher": [person(9_000 + n, username=1) for n in range(20)],
        "users.administrator": [person(9_900 + n, username=1) for n in range(30)],
        "classes": records(range(1000 * year, 1000 * year + 40)),
        "enrollments.student": enrollments,
    }
    return baseline(kinds, **facts)


def judged(old: Baseline | None, new: Baseline, **settings: Any) -> Verdict:
    terms = {"guard_minimum": MINIMA, **settings}
    return guard.judge(feed(**terms), old, new, NIGHT, reset=RESET)


def rules(verdict: Verdict) -> list[tuple[str, str]]:
    return [(reason.rule, reason.kind) for reason in verdict.reasons]


OLD = roster(range(300), 1)
NEW = roster(range(75, 375), 2)


def test_a_new_year_passes_by_its_minima() -> None:
    """On any other night nearly every rule would hold it."""
    usual = guard.judge(feed(guard_minimum=MINIMA), OLD, NEW, NIGHT)
    assert {rule for rule, _ in rules(usual)} >= {Rule.REMOVED, Rule.RENUMBERED}
    verdict = judged(OLD, NEW)
    assert verdict.reasons == ()
    assert verdict.changes["users.student"] == guard.Change(300, 300, 75, 75, 225)


@pytest.mark.parametrize("students", [199, 200])
def test_a_truncated_export_is_held_by_its_minima(students: int) -> None:
    new = roster(range(75, 75 + students), 2)
    told = judged(OLD, new, guard_minimum={"users.student": 200, "enrollments.student": 11}).texts
    texts = ["users.student: 199 present, guard_minimum requires 200"]
    assert told == (texts if students == 199 else [])


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [
        ({}, ["users.student", "enrollments.student"]),
        ({"users.student": 10, "enrollments.student": 11}, ["users.student"]),
        ({"users.student": 11}, ["enrollments.student"]),
        ({"users": 1, "enrollments": 1}, []),
        ({"users.teacher": 15, "enrollments.student": 900}, ["users.student"]),
        (MINIMA, []),
    ],
)  # fmt: skip
def test_without_minima_of_its_own_it_is_held(settings: dict[str, int], lacking: list[str]) -> None:
    for old in (OLD, None):
        found = judged(old, NEW, guard_minimum=settings).reasons
        assert [(one.rule, one.kind) for one in found] == [(Rule.RESET, kind) for kind in lacking]
    if lacking:
        assert found[0].text.startswith(
            "this is the first delivery after the vendor's reset of 2027-07-16, and guard_minimum "
            f"has no number of your own for {lacking[0]}"
        )


def test_each_format_has_its_own_measure() -> None:
    old, new = (baseline({"students": records(range(n), tag=n)}) for n in (300, 200))
    minima = {"users.student": 200, "enrollments.student": 900}
    form = "traditional-literacy"
    assert rules(judged(old, new, format=form, guard_minimum=minima)) == [("reset", "students")]
    assert rules(judged(old, new, format=form, guard_minimum={"students": 1})) == []
    old, new = (baseline({}, {"bytes": n}) for n in (3000, 200))
    assert rules(judged(old, new, format="other", guard_minimum={})) == [("reset", "bytes")]
    assert rules(judged(old, new, format="other", guard_minimum={"bytes": 201})) == [
        ("minimum", "bytes")
    ]


def test_a_school_without_any_student_is_held() -> None:
    closed = roster(range(75, 375), 2, schools=1)
    assert judged(OLD, closed).texts == [
        "users.student: the school school-1 had 150 before the reset and has none"
    ]


def changed(found: Baseline, kind: str, records: Iterable[Any], **facts: Any) -> Baseline:
    """Return a roster with other records of a kind."""
    kinds = {one: records_of(found, one) for one in found.records}
    return baseline({**kinds, kind: records}, **facts)


@pytest.mark.parametrize("same", [599, 600, 601, 1200])
def test_last_years_roster_with_small_changes_is_held(same: int) -> None:
    """Until the SIS shows the new year, its export is that of the last day and a little more."""
    kind, count = "enrollments.student", 1200
    old, new = (records_of(one, kind) for one in (OLD, NEW))
    mixed = changed(NEW, kind, [*old[:same], *new[same:]])
    texts = [
        f"{kind}: {same:,} of {count:,} are the same as in the last delivery. The SIS may not show "
        "the new year yet, which the vendor's reset of 2027-07-16 began"
    ]
    assert judged(OLD, mixed).texts == (texts if same > 600 else [])
    other = changed(NEW, kind, [one._replace(tag=1) for one in old])
    assert judged(OLD, other).texts == [], "an SIS may use the ids again"


def test_renumbered_enrollments_of_last_year_are_held() -> None:
    kind, ignored = "enrollments.student", {"enrollments": {"removed": 100}}
    old = changed(OLD, kind, [Record(n, n) for n in range(1200)])
    new = changed(NEW, kind, [Record(n, n - 5000) for n in range(5000, 6200)])
    assert rules(judged(old, new, guard_limits=ignored)) == [("reset", kind)]
    assert rules(judged(old, new)) == [], "other ids are other enrollments"
    assert rules(judged(replace(old, has_tags=False), new, guard_limits=ignored)) == []


def test_students_of_a_format_with_grades_are_those_of_last_year() -> None:
    old = baseline({"students": records(range(300), tag=1)})
    new = baseline({"students": records(range(10, 310), tag=1)})
    terms = {"format": "traditional-math", "guard_minimum": {"students": 100}}
    assert rules(judged(old, new, **terms)) == [("reset", "students")]


@pytest.mark.parametrize("count", [899, 900])
def test_between_two_sessions_the_enrollments_to_come_are_measured(count: int) -> None:
    """On any other night of a break there is no minimum for them."""
    kind, coming = "enrollments.student", Calendar(sessions=(("2027-08-16", "2028-06-01"),))
    days = [("2027-06-10", "2027-07-20"), ("2027-08-16", "2028-06-01")]
    sessions = [Session("term", *both, True) for both in days]
    to_come = [one._replace(when=coming) for one in records_of(NEW, kind)]
    new = changed(NEW, kind, to_come[:count], sessions=sessions)
    text = f"{kind}: 899 present, guard_minimum requires 900"
    assert judged(OLD, new).texts == ([text] if count == 899 else [])
    usual = guard.judge(feed(guard_minimum=MINIMA), new, new, NIGHT)
    assert usual.reasons == ()
    over = changed(NEW, kind, [one._replace(present=False) for one in to_come], sessions=sessions)
    assert ("minimum", kind) in rules(judged(OLD, over))


@pytest.mark.parametrize("count", [4, 5])
def test_a_small_school_may_close(count: int) -> None:
    def school(ids: range, name: str) -> list[Any]:
        return records(ids, schools=name)

    kind, terms = "students", {"format": "traditional-math", "guard_minimum": {"students": 100}}
    old = baseline({kind: [*school(range(300), "a"), *school(range(300, 300 + count), "b")]})
    new = baseline({kind: records(range(300), schools="a", tag=2)})
    assert rules(judged(old, new, **terms)) == [("school", kind)] * (count == 5)


def test_what_no_reset_changes_is_still_compared() -> None:
    others = roster(range(1000, 1300), 2)
    assert ("renumbered", "users.student") in rules(judged(OLD, others))
    admins = {**NEW.records}
    del admins["users.administrator"]
    assert rules(judged(OLD, replace(NEW, records=admins))) == [("emptied", "users.administrator")]
    gone = replace(OLD, rows={**OLD.rows, "demographics": 300})
    assert rules(judged(gone, NEW)) == [("file_gone", "demographics"), ("emptied", "demographics")]
    was, now = (replace(one, filled={"users": {"email": n}}) for one, n in ((OLD, 350), (NEW, 0)))
    assert rules(judged(was, now)) == [("column_emptied", "users")]
    mixed = [
        person(n, username=n + 900, name=n + 900, birthDate=n + 900)._replace(schools="school-0")
        for n in range(300)
    ]
    known = roster(range(300), 1, schools=1)
    swapped = baseline({"users.student": mixed})
    found = rules(judged(known, replace(NEW, records={**NEW.records, **swapped.records})))
    assert ("somebody_else", "users") in found
    assert ("identity", "users") not in found


def test_classes_and_enrollments_may_all_go() -> None:
    kinds = {k: v for k, v in NEW.records.items() if k.startswith("users")}
    summer = replace(NEW, records=kinds, rows={"users": 350, "classes": 0, "enrollments": 0})
    assert rules(judged(OLD, summer, guard_minimum={"users": 100, "enrollments": 1})) == [
        ("minimum", "enrollments")
    ]


@pytest.mark.parametrize("facts", [{"modes": {"users": "delta"}}, {"is_unchanged": True}])
def test_changes_alone_are_no_first_delivery(facts: dict[str, Any]) -> None:
    new = baseline({}, **facts) if "is_unchanged" in facts else roster(range(300), 2, **facts)
    assert rules(judged(OLD, new))[0] == ("reset", "manifest")
    usual = guard.judge(feed(guard_minimum={}), OLD, baseline({}, is_unchanged=True), NIGHT)
    assert usual.reasons == ()
