"""Hold an export that would wipe a district, by comparing it with the last accepted one.

The vendor applies every roster as it is. A truncated export removes people, and so does one that
disables them. Both exports are compared as of tonight, so records that end on schedule are not
removals. Limits are by share and by number, for each kind of record and for each school. Some
changes are always held. A held export changes nothing at the vendor. An operator who has checked it
can approve exactly that file.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add

from roster_upload.config import Feed
from roster_upload.guard import season
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import State
from roster_upload.guard.comparison import Comparison, Difference, Roster, come_back
from roster_upload.guard.limits import (
    IN_SESSION,
    PEOPLE,
    RENUMBERED_FILES,
    SCHOOL_RECORDS,
    Limits,
    are_ids_ignored,
    expected,
    file_of,
    is_share_above,
)
from roster_upload.guard.merge import accepted, is_bulk
from roster_upload.guard.people import duplicate_reasons, identity_reasons
from roster_upload.guard.terms import ENROLLMENTS, Term, crowd_reasons, session_reasons, term
from roster_upload.guard.verdict import Change, Reason, Rule, Verdict, called, joined, percentage
from roster_upload.spec import spec

__all__ = [
    "Change",
    "Limits",
    "Reason",
    "Rule",
    "Verdict",
    "accepted",
    "expected",
    "joined",
    "judge",
]

SCHOOLS_NAMED = 5
# An emptied column is held from this share of rows on.
FILLED_PERCENT = 10
# A column counts as emptied if less than a tenth of its share of rows is left.
EMPTIED_PART = 10
# With this share of ids gone and as many new, the SIS has renumbered its records.
RENUMBERED_PERCENT = 50
# Files that are compared as a whole and by kind of record.
SUMMED = (ENROLLMENTS,)

Unused = Mapping[str, Sequence[str]]


def unused_columns() -> Unused:
    """Return the columns by file that the vendor does not use for rostering."""
    found: Unused = spec("imagine-learning").get("unused", {})
    return found


def judge(
    feed: Feed,
    old: Baseline | None,
    new: Baseline,
    night: dt.date,
    *,
    unused: Unused | None = None,
    reset: dt.date | None = None,
) -> Verdict:
    """Return the changes since the last accepted export, and the reasons to hold the new one.

    A first delivery is checked for minima and sessions only. A package that announces no change is
    never held, except as the first one after the vendor's yearly `reset`.
    """
    if new.is_unchanged and not reset:
        return Verdict({})
    judgement = _Judgement(feed, old, new, night, is_reset=bool(reset))
    verdict = judgement.verdict(unused_columns() if unused is None else unused)
    if reset:
        both = judgement.before, judgement.after
        return season.measured(feed, verdict, both, new, reset)
    return verdict


class _Judgement:
    """The comparison of an export with the last accepted one, on one night."""

    def __init__(
        self, feed: Feed, old: Baseline | None, new: Baseline, night: dt.date, *, is_reset: bool
    ) -> None:
        self.feed, self.old, self.new, self.night = feed, old, new, night
        self.is_reset = is_reset  # it is the first one after the vendor's reset
        before, after = old or Baseline(), accepted(old, new)
        self.has_tags = before.has_tags and after.has_tags
        last = dt.date.fromisoformat(before.night) if before.night else None
        self.before = Roster(before, night, last, has_tags=self.has_tags)
        self.after = Roster(after, night, last, has_tags=self.has_tags)

    def verdict(self, unused: Unused) -> Verdict:
        """Return the changes, and each reason to hold the export."""
        changes: dict[str, Change] = {}
        of_kinds: list[Reason] = []
        for file in self._files():
            for kind, change, reasons in self._file_changes(file):
                of_kinds += reasons
                if kind == file or file not in SUMMED:
                    changes[kind] = change
        before, after = self.before.baseline, self.after.baseline
        reasons = [
            *_file_reasons(before, self.new),
            *_column_reasons(before, self.new, unused),
            *of_kinds,
            *identity_reasons(self.feed, self.before, self.after, self.night),
        ]
        if is_bulk(self.new, ENROLLMENTS):
            reasons += crowd_reasons(self.feed, self.before, self.after, self.night)
        reasons += duplicate_reasons(self.feed, self.old, after)
        if not expected(self.feed, self.night):
            reasons += session_reasons(after.sessions, self.night)
        reasons += self._minimum_reasons()
        return Verdict(changes, tuple(reasons))

    def _files(self) -> list[str]:
        """Return the files that are compared. Of a package with deltas, only its own files are."""
        both = (self.before.baseline, self.after.baseline)
        names = [*(name for one in both for name in one.rows)]
        names += [file_of(kind) for one in both for kind in one.records]
        is_whole = not self.new.is_incremental
        return [name for name in dict.fromkeys(names) if is_whole or name in self.new.rows]

    def _file_changes(self, file: str) -> Iterator[tuple[str, Change, list[Reason]]]:
        """Yield the change and the reasons of each kind of a file, the whole file first."""
        both = [*self.before.baseline.records, *self.after.baseline.records]
        kinds = [kind for kind in dict.fromkeys(both) if file_of(kind) == file]
        if not kinds or (are_ids_ignored(self.feed, file) and not self.has_tags):
            difference = self._by_count(file)
            yield file, difference.change, self._kind_reasons(file, difference, [])
            return
        if file in SUMMED and not self.has_tags:
            kinds = [file]  # version 1 does not divide them into kinds
        parts = {kind: self._comparison(kind) for kind in kinds}
        own = {kind: part.difference() for kind, part in parts.items()}
        rules: set[Rule] = set()
        if file in SUMMED and kinds != [file]:
            for one, other in itertools.permutations(parts.values(), 2):
                one.reunite(other)
            whole = reduce(add, [part.difference() for part in parts.values()])
            reasons = self._kind_reasons(file, whole, list(parts.values()))
            rules = {reason.rule for reason in reasons}
            yield file, whole.change, reasons
        for kind, difference in own.items():
            reasons = self._kind_reasons(kind, difference, [parts[kind]])
            if Rule.RENUMBERED in rules:
                reasons = [one for one in reasons if one.rule is Rule.EMPTIED]
            # A reason of the whole file is not repeated for its kinds.
            yield kind, difference.change, [one for one in reasons if one.rule not in rules]

    def _comparison(self, kind: str) -> Comparison:
        if kind in SUMMED and not self.has_tags:
            pair = self.before.joined(kind), self.after.joined(kind)
        else:
            pair = self.before.records(kind), self.after.records(kind)
        if are_ids_ignored(self.feed, kind):
            pair = pair[0].by_content(), pair[1].by_content()
        return Comparison(*pair, has_tags=self.has_tags)

    def _by_count(self, file: str) -> Difference:
        """Return the difference in numbers, for files without comparable records."""
        before, now = (one.rows.get(file, 0) for one in (self.before.baseline, self.after.baseline))
        change = Change(before, now, max(now - before, 0), max(before - now, 0), 0)
        return Difference(change, 0, 0, 0, 0, {})

    def _kind_reasons(
        self, kind: str, difference: Difference, parts: Sequence[Comparison]
    ) -> list[Reason]:
        """Return the reasons of a kind of record, or of a whole file."""
        limits = Limits.from_feed(self.feed, kind, self.night)
        change = difference.change
        if change.before and not change.now:
            return [
                Reason(Rule.EMPTIED, kind, f"{called(kind)}: {_all(change)}{_listed(difference)}")
            ]
        if _is_renumbered(difference, limits) and not are_ids_ignored(self.feed, kind):
            back = None
            if file_of(kind) in RENUMBERED_FILES and self.has_tags:
                back = come_back(parts)
            return [Reason(Rule.RENUMBERED, kind, _renumbered(kind, difference, back))]
        return [
            *_limit_reasons(kind, difference, limits),
            *_school_reasons(kind, difference, limits),
        ]

    def _minimum_reasons(self) -> Iterator[Reason]:
        """Yield a reason for each kind with too few records after the delivery.

        In a break classes and enrollments have no minimum, which would hold every night. After the
        vendor's reset those that begin later are counted instead.
        """
        is_break = term(self.after.baseline.sessions, self.night) is Term.BREAK
        known = {*self.before.baseline.rows, *self.after.baseline.rows}
        known |= {*self.before.baseline.records, *self.after.baseline.records}
        for name, least in self.feed.guard_minimum.items():
            begins_later = is_break and file_of(name) in IN_SESSION
            if begins_later and not self.is_reset:
                continue
            if self.feed.format == "oneroster-1.1" or name in known:
                now = self._count(name, State.UPCOMING if begins_later else State.PRESENT)
                if now < least:
                    text = f"{called(name)}: {now:,} present, guard_minimum requires {least:,}"
                    yield Reason(Rule.MINIMUM, name, text)

    def _count(self, name: str, least: State) -> int:
        """Return the number of records of a kind or a file in a state or above, or its rows."""
        after = self.after.baseline
        if any(name in (kind, file_of(kind)) for kind in after.records):
            return self.after.count(name, least)
        return after.rows.get(name, 0)


def _all(change: Change) -> str:
    if change.before == 1:
        return "the only one would be removed"
    return f"all {change.before:,} would be removed"


def _listed(difference: Difference) -> str:
    """Return the part of a reason on removed records that the export still has."""
    count = difference.listed
    if not count:
        return ""
    return f", {count:,} of them in the export but disabled, ended or faulty"


def _is_renumbered(difference: Difference, limits: Limits) -> bool:
    change, new = difference.change, difference.unforeseen
    return (
        min(change.removed, new) > limits.floor
        and 100 * min(change.removed, new) >= RENUMBERED_PERCENT * change.before
        and 100 * change.removed > limits.removed * change.before
    )


def _renumbered(kind: str, difference: Difference, back: int | None) -> str:
    """Return the reason for a file whose ids are nearly all new. Only people have accounts."""
    file, change = file_of(kind), difference.change
    text = (
        f"{kind}: {change.removed:,} of {change.before:,} sourcedIds are gone and "
        f"{difference.unforeseen:,} are new"
    )
    if file in PEOPLE:
        return (
            f"{text}. The SIS seems to have given everyone a new sourcedId, which would "
            "create new accounts and lose the history of the old ones"
        )
    if back is not None:
        text += f", {back:,} with the same class, user and role as before"
    text += f". The SIS seems to have renumbered its {file}"
    if file in RENUMBERED_FILES:
        text += (
            f". If it does so every night, set guard_limits: {{{file}: {{removed: 100}}}}. "
            "The guard then compares contents instead of ids"
        )
    return text


def _limit_reasons(kind: str, difference: Difference, limits: Limits) -> Iterator[Reason]:
    """Yield a reason for each share or number above its limit."""
    change = difference.change
    later, listed = "that begin later would be removed", _listed(difference)
    for rule, count, base, limit, words in (
        (Rule.REMOVED, change.removed, change.before, limits.removed, f"would be removed{listed}"),
        (Rule.UPCOMING, difference.cancelled, difference.upcoming, limits.removed, later),
        (Rule.ADDED, difference.unforeseen, change.before, limits.added, "would be added"),
        (Rule.CHANGED, change.changed, change.before, limits.changed, "would be changed"),
    ):
        if is_share_above(count, base, limit, limits.floor):
            share = percentage(count, base, limit)
            yield Reason(rule, kind, f"{called(kind)}: {count:,} of {base:,} {words} ({share})")
    if 0 < limits.removed_count < change.removed:
        most = f"the limit is {limits.removed_count:,}"
        text = f"{called(kind)}: {change.removed:,} would be removed, {most}"
        yield Reason(Rule.REMOVED_COUNT, kind, text)


def _school_reasons(kind: str, difference: Difference, limits: Limits) -> Iterator[Reason]:
    """Yield reasons for schools that lose too many records, even if the district does not."""
    over = [
        (lost, total, school)
        for school, (lost, total) in difference.schools.items()
        if (lost == total >= SCHOOL_RECORDS and limits.removed < 100)
        or is_share_above(lost, total, limits.removed, limits.floor)
    ]
    over.sort(key=lambda one: (-one[0], one[2]))
    for lost, total, school in over[:SCHOOLS_NAMED]:
        text = f"{kind}: the school {school} would lose {lost:,} of {total:,}"
        yield Reason(Rule.SCHOOL, kind, text)
    if more := len(over[SCHOOLS_NAMED:]):
        schools = "school" if more == 1 else "schools"
        yield Reason(Rule.SCHOOL, kind, f"{kind}: {more:,} more {schools} would lose too many")


def _file_reasons(old: Baseline, new: Baseline) -> Iterator[Reason]:
    """Yield a reason for each file that is missing from a package of whole files."""
    for name, rows in old.rows.items():
        if rows and name not in new.rows and not new.is_incremental:
            number = "1 row" if rows == 1 else f"{rows:,} rows"
            text = f"{name}.csv was in the last accepted export ({number}) and is missing now"
            yield Reason(Rule.FILE_GONE, name, text)


def _column_reasons(old: Baseline, new: Baseline, unused: Unused) -> Iterator[Reason]:
    """Yield a reason for each column that is now empty or nearly empty."""
    for file, columns in old.filled.items():
        was, rows = old.rows.get(file, 0), new.rows.get(file, 0)
        if not rows or not is_bulk(new, file):
            continue
        for column, count in columns.items():
            now = new.filled.get(file, {}).get(column)
            if now is None or column in unused.get(file, ()):
                continue
            if 100 * count >= FILLED_PERCENT * was and EMPTIED_PART * now * was < count * rows:
                yield Reason(
                    Rule.COLUMN_EMPTIED,
                    file,
                    f"{file}.csv: the column {column} has a value in {now:,} of {rows:,} rows. "
                    f"It had one in {count:,} of {was:,}",
                )
