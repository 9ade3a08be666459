"""Judge the first delivery after the vendor's yearly reset.

Everyone has another grade and other classes then, so the numbers of last year are no measure. The
feed's minima replace them. What does not change at a reset is still compared: the form of the
export, who the people are, and which schools have any.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

from roster_upload.config import Feed
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import State
from roster_upload.guard.comparison import Roster, find
from roster_upload.guard.limits import (
    IN_SESSION,
    PEOPLE,
    SCHOOL_RECORDS,
    are_ids_ignored,
    file_of,
    is_share_above,
    unmeasured,
)
from roster_upload.guard.verdict import Reason, Rule, Verdict

# Rules that hold on this night, too. RENUMBERED and EMPTIED depend on the kind of record.
KEPT = frozenset({
    Rule.FILE_GONE, Rule.COLUMN_EMPTIED, Rule.SOMEBODY_ELSE, Rule.DUPLICATES, Rule.SESSION,
    Rule.MINIMUM,
})  # fmt: skip
STUDENTS = ("users.student", "students")
# Kinds of record that a new year replaces, at least in part. A row of `students` has the grade.
YEARLY = ("enrollments.student", "students")
UNRENEWED_PERCENT = 50
NOT_RENEWED = "The SIS may not show the new year yet, which the vendor's reset of {} began"


def measured(
    feed: Feed, verdict: Verdict, both: tuple[Roster, Roster], new: Baseline, reset: dt.date
) -> Verdict:
    """Return a verdict with the reasons that count after a reset.

    `both` are the rosters at the vendor before and after the package `new`.
    """
    kept = [reason for reason in verdict.reasons if _counts(reason)]
    own = (*_own_reasons(feed, new, reset), *_same_reasons(feed, *both, reset))
    reasons = (*own, *kept, *_school_reasons(*both))
    return replace(verdict, reasons=reasons)


def _counts(reason: Reason) -> bool:
    """Return whether a reason does not depend on the numbers of last year."""
    file = file_of(reason.kind)
    if reason.rule is Rule.RENUMBERED:
        return file in PEOPLE
    if reason.rule is Rule.EMPTIED:
        return file not in IN_SESSION
    return reason.rule in KEPT


def _own_reasons(feed: Feed, new: Baseline, reset: dt.date) -> Iterator[Reason]:
    """Yield the reasons that exist only after a reset."""
    first = f"this is the first delivery after the vendor's reset of {reset}"
    if new.is_incremental:
        text = f"{first}, but the export has only changes. Let the SIS export everything"
        yield Reason(Rule.RESET, "manifest", text)
    for kind in unmeasured(feed.format, feed.guard_minimum):
        text = (
            f"{first}, and guard_minimum has no number of your own for {kind}. Set it to the "
            "smallest number that can be right, or compare the new number with the SIS and approve"
        )
        yield Reason(Rule.RESET, kind, text)


def _same_reasons(feed: Feed, before: Roster, after: Roster, reset: dt.date) -> Iterator[Reason]:
    """Yield a reason if most records that a new year replaces are still those of last year."""
    has_tags = before.baseline.has_tags and after.baseline.has_tags
    for kind in YEARLY if has_tags else ():
        old, new = before.records(kind), after.records(kind)
        if are_ids_ignored(feed, kind):
            old, new = old.by_content(), new.by_content()
        at, found = find(new.ids, old.ids)
        counts = new.states != State.OVER
        same = int((new.tags[found & counts] == old.tags[at[found & counts]]).sum())
        total = int(counts.sum())
        if is_share_above(same, total, UNRENEWED_PERCENT, 0):
            text = f"{kind}: {same:,} of {total:,} are the same as in the last delivery"
            yield Reason(Rule.RESET, kind, f"{text}. {NOT_RENEWED.format(reset)}")


def _school_reasons(before: Roster, after: Roster) -> Iterator[Reason]:
    """Yield a reason for each school that had students last year and has none now."""
    for kind in STUDENTS:
        now = after.records(kind).by_school()
        for school, count in sorted(before.records(kind).by_school().items()):
            if count >= SCHOOL_RECORDS and not now[school]:
                text = f"{kind}: the school {school} had {count:,} before the reset and has none"
                yield Reason(Rule.SCHOOL, kind, text)
