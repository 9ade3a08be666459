"""Build baselines by hand, and a feed with the guard's keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from roster_upload.config import Feed
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import ALWAYS, Calendar, Session
from roster_upload.guard.limits import file_of
from roster_upload.guard.record_sets import IDENTITY, RecordSet, ValueIndex

GUARD: Mapping[str, Any] = {
    "format": "oneroster-1.1",
    "guard_removed_percent": 10,
    "guard_removed_count": 0,
    "guard_added_percent": 50,
    "guard_changed_percent": 75,
    "guard_identity_percent": 10,
    "guard_concentration_percent": 10,
    "guard_floor": 20,
    "guard_limits": {},
    "guard_minimum": {
        "users.student": 10,
        "users.teacher": 1,
        "classes": 1,
        "enrollments.student": 10,
    },
    "expected_changes": (),
    "expected_percent": 100,
}


def feed(**changes: Any) -> Feed:
    """Return a feed with the keys that the guard reads."""
    unknown = changes.keys() - GUARD.keys()
    assert not unknown, unknown
    made: Any = SimpleNamespace(**{**GUARD, **changes})
    return made  # type: ignore[no-any-return]


class Record(NamedTuple):
    """Return a record, with its hashes as numbers."""

    id: int
    tag: int = 0
    schools: str = ""
    when: Calendar = ALWAYS
    present: bool = True
    gone: bool = False
    identity: tuple[int, ...] = ()


def person(id: int, **known: int) -> Record:  # noqa: A002
    """Return a user with the given identity and no other values."""
    assert known.keys() <= set(IDENTITY), known
    return Record(id, identity=tuple(known.get(column, 0) for column in IDENTITY))


def baseline(
    kinds: Mapping[str, Iterable[Record]],
    rows: Mapping[str, int] | None = None,
    *,
    crowds: Iterable[tuple[int, Calendar, int]] = (),
    sessions: Iterable[Session] = (),
    modes: Mapping[str, str] | None = None,
    **facts: Any,
) -> Baseline:
    """Return the baseline of records by kind. Each file is whole unless `modes` says otherwise."""
    schools, calendars = ValueIndex(), {ALWAYS: 0}
    records = {kind: _record_set(found, schools, calendars) for kind, found in kinds.items()}
    made = _crowds(crowds, calendars)
    counts = Counter[str]()
    for kind, found in records.items():
        counts[file_of(kind)] += len(found)
    told = {**counts, **(rows or {})}
    return Baseline(
        {kind: found for kind, found in records.items() if len(found)},
        list(schools),
        list(calendars),
        told,
        crowds=made,
        sessions=list(sessions),
        modes={**dict.fromkeys(told, "bulk"), **(modes or {})},
        **facts,
    )


def _record_set(
    found: Iterable[Record], schools: ValueIndex, calendars: dict[Calendar, int]
) -> RecordSet:
    ordered = sorted(found, key=lambda one: one.id)
    if not ordered:
        return RecordSet.none()
    ids, tags, texts, days, present, gone, identity = zip(*ordered, strict=True)
    return RecordSet(
        np.array(ids, np.uint64),
        np.array(tags, np.uint64),
        np.array([schools[text] for text in texts], np.uint32),
        np.array([calendars.setdefault(one, len(calendars)) for one in days], np.uint32),
        np.array(present, np.bool_),
        np.array(gone, np.bool_),
        np.array(identity, np.uint32).reshape(len(ids), -1),
    )


def _crowds(found: Iterable[tuple[int, Calendar, int]], calendars: dict[Calendar, int]) -> Any:
    rows = [(one, calendars.setdefault(when, len(calendars)), count) for one, when, count in found]
    ids, when, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(ids, np.uint64), np.array(when, np.uint32), np.array(counts, np.uint32)
