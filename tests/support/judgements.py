"""Judge pairs of baselines as the guard does, in few words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar, Session
from roster_upload.guard.guard import Verdict
from roster_upload.spec.values import Span

from support.baselines import Record, baseline, feed

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


def above(words: str, share: str, limit: int = 10) -> str:
    return f"{words} ({share} %, the limit is {limit} %)"


def replaced(record: Record, **facts: Any) -> Record:
    return record._replace(**facts)


def enrolled(students: Iterable[Record], teachers: Iterable[Record] = (), **facts: Any) -> Baseline:
    kinds = {"enrollments.student": list(students), "enrollments.teacher": list(teachers)}
    return baseline(kinds, **facts)


IGNORED = {"guard_limits": {"enrollments": {"removed": 100}}}
YEAR = Session("schoolYear", "2026-08-17", "2027-06-05", False)
PAST = Session("semester", "2026-08-17", "2026-10-30", True)
NEXT = Session("semester", "2026-11-03", "2027-06-05", True)
NOW = Session("semester", "2026-10-31", "2026-11-02", True)


def records_of(found: Baseline, kind: str) -> list[Record]:
    """Return a baseline's records of one kind."""
    one = found.records[kind]
    return [
        Record(int(number), int(tag), found.schools[school], found.calendars[when], bool(present))
        for number, tag, school, when, present in zip(
            one.ids, one.tags, one.schools, one.when, one.present, strict=True
        )
    ]
