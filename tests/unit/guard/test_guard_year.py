"""A year of nights over a school calendar: the guard holds only the rollover."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from support.baselines import Record, baseline, feed, person

FEED = feed()
GRADES, CLASSES = 12, 12
# The first and the last day of each semester. Between the first two lies the winter break.
SEMESTERS = (
    (dt.date(2026, 8, 17), dt.date(2026, 12, 18)),
    (dt.date(2027, 1, 5), dt.date(2027, 6, 4)),
    (dt.date(2027, 8, 16), dt.date(2027, 12, 17)),
    (dt.date(2028, 1, 4), dt.date(2028, 6, 2)),
)
ROLLOVER = SEMESTERS[2][0]
NEAR_DAYS = 21
LAST_NIGHT = dt.date(2027, 9, 3)


@dataclass(frozen=True)
class Sis:
    """The records that an SIS lists, and their nights."""

    drops_ended: bool = False  # enrollments of a semester go away after its end
    lists_late: bool = False  # and come with its first day
    has_late_classes: bool = False  # classes come and go with their enrollments
    has_year_sessions: bool = False  # there is a session around both semesters
    year_long: str = ""  # half of the classes: of "both" semesters, of the "year", of "" neither

    def lists(self, semester: int, night: dt.date) -> bool:
        """Return whether a semester's enrollments are listed on a night."""
        first, last = SEMESTERS[semester]
        return not (self.drops_ended and last < night) and not (self.lists_late and night < first)

    def export(self, night: dt.date) -> Baseline:
        """Return the export before a night."""
        year = 0 if night < ROLLOVER else 1
        semesters = (2 * year, 2 * year + 1)
        listed = tuple(one for one in semesters if self.lists(one, night))
        return replace(_export(self, year, listed), night=night.isoformat())


def days(first: dt.date, last: dt.date) -> tuple[str, str]:
    """Return a session's days as a calendar has them."""
    return first.isoformat(), (last + dt.timedelta(1)).isoformat()


def year_of(year: int) -> tuple[dt.date, dt.date]:
    return SEMESTERS[2 * year][0], SEMESTERS[2 * year + 1][1]


@functools.cache
def _export(sis: Sis, year: int, listed: tuple[int, ...]) -> Baseline:
    """Return the export of a school year in which some semesters' enrollments are listed."""
    classes: list[Record] = []
    students: list[Record] = []
    teachers: list[Record] = []
    crowds = []
    for number, when, semesters in _classes(sis, year):
        is_listed = len(semesters) > 1 or semesters[0] in listed
        if is_listed or not sis.has_late_classes:
            classes.append(Record(number, number, "school", when))
        if is_listed:
            ids = range(100 * number, 100 * number + 30)
            students += [Record(one, one, "school", when) for one in ids]
            teachers.append(Record(100 * number + 99, 1, "school", when))
            crowds.append((number, when, 31))
    users = [
        person(n, username=n + 1, name=n + 1, birthDate=n + 1, grades=1 + year + n // 30)
        for n in range(30 * year, 30 * (GRADES + year))
    ]
    return baseline(
        {
            "users.student": [one._replace(tag=one.identity[5], schools="school") for one in users],
            "users.teacher": [person(9000 + n, username=1) for n in range(20)],
            "classes": classes,
            "enrollments.student": students,
            "enrollments.teacher": teachers,
        },
        {"classes": len(classes), "enrollments": len(students) + len(teachers)},
        crowds=crowds,
        sessions=_sessions(sis, year),
    )


def _classes(sis: Sis, year: int) -> Iterator[tuple[int, Calendar, tuple[int, ...]]]:
    """Give the number of each class of a year, its days, and its semesters."""
    both = (2 * year, 2 * year + 1)
    for semester in both:
        for n in range(CLASSES):
            number = 1000 * semester + n + 1
            if not sis.year_long or n % 2:
                yield number, Calendar(sessions=(days(*SEMESTERS[semester]),)), (semester,)
            elif semester == both[0]:
                of_year = [days(*SEMESTERS[one]) for one in both]
                if sis.year_long == "year":
                    of_year = [days(*year_of(year))]
                yield number, Calendar(sessions=tuple(of_year)), both


def _sessions(sis: Sis, year: int) -> list[Session]:
    found = [
        Session("semester", first.isoformat(), last.isoformat(), True)
        for first, last in SEMESTERS[2 * year : 2 * year + 2]
    ]
    if sis.has_year_sessions or sis.year_long == "year":
        first, last = year_of(year)
        is_used = sis.year_long == "year"
        found.append(Session("schoolYear", first.isoformat(), last.isoformat(), is_used))
    return found


def nights() -> Iterator[dt.date]:
    """Yield the nights before weekdays, also in the winter break. The summer is a blackout."""
    night = SEMESTERS[0][0]
    while night <= LAST_NIGHT:
        is_summer = SEMESTERS[1][1] < night < ROLLOVER
        if night.weekday() < 5 and not is_summer:
            yield night
        night += dt.timedelta(1)


def telling_nights() -> Iterator[dt.date]:
    """Yield one night a week, and each near the first or last day of a semester.

    Only the date changes on the others.
    """
    edges = [day for semester in SEMESTERS for day in semester]
    for night in nights():
        if night.weekday() == 2 or any(abs((night - edge).days) <= NEAR_DAYS for edge in edges):
            yield night


SYSTEMS = [
    Sis(),
    Sis(drops_ended=True),
    Sis(lists_late=True),
    Sis(drops_ended=True, lists_late=True),
    Sis(year_long="both"),
    Sis(year_long="both", drops_ended=True),
    Sis(year_long="both", lists_late=True),
    Sis(year_long="both", drops_ended=True, lists_late=True),
    Sis(drops_ended=True, has_late_classes=True),
    Sis(lists_late=True, has_late_classes=True),
]
ALL = [replace(one, has_year_sessions=has) for one in SYSTEMS for has in (False, True)] + [
    Sis(year_long="year"),
    Sis(year_long="year", drops_ended=True),
    Sis(year_long="year", lists_late=True),
]


@pytest.mark.parametrize("sis", ALL, ids=str)
def test_nothing_is_held_in_a_year_but_the_rollover(sis: Sis) -> None:
    old: Baseline | None = None
    reasons: dict[dt.date, list[str]] = {}
    for night in telling_nights():
        new = sis.export(night)
        verdict = guard.judge(FEED, old, new, night)
        if verdict.reasons:
            reasons[night] = verdict.texts
        old = guard.accepted(old, new)
    assert reasons.keys() == {ROLLOVER}, reasons
    assert any("grades" in text for text in reasons[ROLLOVER])


@pytest.mark.parametrize("sis", ALL, ids=str)
def test_a_wipe_is_held_on_each_school_night_of_a_year(sis: Sis) -> None:
    """Everyone is disabled, or every enrollment has ended: a night of each month and of a break."""
    for night in [*list(nights())[1::20], SEMESTERS[0][1] + dt.timedelta(9)]:
        if night >= ROLLOVER:
            continue
        before, new = sis.export(night - dt.timedelta(1)), sis.export(night)
        assert ("emptied", "users.student") in held(before, absent(new, "users"), night)
        is_break = SEMESTERS[0][1] < night < SEMESTERS[1][0]
        if is_break and sis.lists_late and not sis.year_long:
            continue  # there is no enrollment that could be lost
        is_between = is_break and sis.year_long != "year"  # no class goes on
        reason = ("upcoming" if is_between else "emptied", "enrollments")
        if night == SEMESTERS[1][0] and sis.lists_late and not sis.year_long:
            reason = ("minimum", "enrollments.student")  # nothing of the semester was there before
        assert reason in held(before, absent(new, "enrollments"), night)


def held(old: Baseline, new: Baseline, night: dt.date) -> set[tuple[str, str]]:
    """Return the rules that hold an export, with the kind of record."""
    return {(one.rule, one.kind) for one in guard.judge(FEED, old, new, night).reasons}


def absent(found: Baseline, file: str) -> Baseline:
    """Return an export in which no record of a file is present, though all are listed."""
    records = {
        kind: replace(one, present=one.present & (not kind.startswith(file)))
        for kind, one in found.records.items()
    }
    return replace(found, records=records)
