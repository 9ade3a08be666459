"""Check that tonight is in a session, and that no class holds too many enrollments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import Enum

import numpy as np

from roster_upload.config import Feed
from roster_upload.guard.calendar import Session, State
from roster_upload.guard.comparison import Roster, find
from roster_upload.guard.hashing import Hashes
from roster_upload.guard.limits import is_share_above, widening
from roster_upload.guard.verdict import Reason, Rule, percentage

SESSIONS, ENROLLMENTS = "academicSessions", "enrollments"
# A class is held only if it is more than this many times as large as the largest one before.
CROWD = 2


class Term(Enum):
    """The position of a night among the sessions of the types that classes refer to."""

    UNKNOWN = "no session has days"
    RUNNING = "a session that classes refer to contains it"
    UNUSED = "only sessions that no class refers to contain it"
    BREAK = "it is between sessions"
    OUTSIDE = "it is before all sessions, or after them"


def term(sessions: Sequence[Session], night: dt.date) -> Term:
    """Return the position of a night."""
    now, relevant = night.isoformat(), _relevant(sessions)
    if not relevant:
        return Term.UNKNOWN
    running = [one for one in relevant if one.first <= now <= one.last]
    if running:
        return Term.RUNNING if any(one.is_used for one in running) else Term.UNUSED
    is_between = min(one.first for one in relevant) < now < max(one.last for one in relevant)
    return Term.BREAK if is_between else Term.OUTSIDE


def _relevant(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions of the types that classes refer to, or all if there are none."""
    dated = [one for one in sessions if one.first and one.last]
    types = {one.type for one in dated if one.is_used}
    return [one for one in dated if one.type in types] or dated


def session_reasons(sessions: Sequence[Session], night: dt.date) -> Iterator[Reason]:
    """Yield a reason if no session of the classes contains the night."""
    where = term(sessions, night)
    if where is Term.UNUSED:
        text = f"no class belongs to a session that contains {night}"
    elif where is Term.OUTSIDE:
        relevant, now = _relevant(sessions), night.isoformat()
        last, first = max(one.last for one in relevant), min(one.first for one in relevant)
        edge = f"The last one ended on {last}" if last < now else f"The first one begins on {first}"
        text = f"no session contains {night}. {edge}"
    else:
        return
    yield Reason(Rule.SESSION, SESSIONS, f"{SESSIONS}: {text}")


def crowd_reasons(feed: Feed, before: Roster, after: Roster, night: dt.date) -> Iterator[Reason]:
    """Yield a reason if one class holds far more of the enrollments than before."""
    _, ever = _crowds(before, is_tonight=False)
    old_classes, was = _crowds(before, is_tonight=True)
    classes, now = _crowds(after, is_tonight=True)
    if not len(ever) or not len(now):
        return
    at, found = find(classes, old_classes)
    growth = now.copy()
    growth[found] -= was[at[found]]
    total, biggest = int(now.sum()), int(ever.max())
    limit = max(feed.guard_concentration_percent, widening(feed, night))
    growth[now <= CROWD * biggest] = 0
    most = int(np.argmax(growth))
    more, count = int(growth[most]), int(now[most])
    if is_share_above(more, total, limit, feed.guard_floor):
        yield Reason(
            Rule.CONCENTRATION,
            ENROLLMENTS,
            f"{ENROLLMENTS}: one class would hold {count:,} of {total:,}, {more:,} of them new "
            f"({percentage(more, total, limit)}). Before, the largest class held {biggest:,}",
        )


def _crowds(
    roster: Roster, *, is_tonight: bool
) -> tuple[Hashes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the classes and their numbers of enrollments, on all days or tonight."""
    ids, when, counts = roster.baseline.crowds
    if is_tonight:
        present = roster.states[when] == State.PRESENT
        ids, counts = ids[present], counts[present]
    classes, at = np.unique(ids, return_inverse=True)
    sums = np.bincount(at, counts, len(classes))
    return classes, sums.astype(np.int64)
