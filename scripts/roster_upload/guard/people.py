"""Find changed identities, sourcedIds that now belong to somebody else, and new duplicates."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from roster_upload.config import Feed
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import State
from roster_upload.guard.comparison import Roster, find
from roster_upload.guard.hashing import Numbers
from roster_upload.guard.limits import expected, file_of, is_share_above, widening
from roster_upload.guard.record_sets import IDENTITY, Flags
from roster_upload.guard.verdict import Reason, Rule, percentage

USERS = "users"
# Each of these has its own share. The others only show whether it is the same person.
LIMITED = ("username", "identifier", "email", "role", "orgSourcedIds", "grades")
NAME, BIRTH_DATE = IDENTITY.index("name"), IDENTITY.index("birthDate")
# These distinguish people if no birth date is known.
ACCOUNT = tuple(map(IDENTITY.index, ("username", "identifier", "email")))


def identity_reasons(feed: Feed, before: Roster, after: Roster, night: dt.date) -> Iterator[Reason]:
    """Yield the reasons about the identities of users who are present in both exports."""
    changed: Counter[str] = Counter()
    known: Counter[str] = Counter()
    others = comparable = 0
    has_births = all(any(one[:, BIRTH_DATE].any() for one in _all(r)) for r in (before, after))
    for was, now in _present_in_both(before, after):
        for column in LIMITED:
            at = IDENTITY.index(column)
            is_known = was[:, at] != 0
            changed[column] += int((is_known & (was[:, at] != now[:, at])).sum())
            known[column] += int(is_known.sum())
        is_comparable, is_other = _others(was, now, has_births=has_births)
        comparable += int(is_comparable.sum())
        others += int(is_other.sum())
    for column in LIMITED:
        count, base, limit = changed[column], known[column], _limit(feed, column, night)
        if limit is not None and is_share_above(count, base, limit, feed.guard_floor):
            yield Reason(
                Rule.IDENTITY,
                USERS,
                f"{USERS}: {column} would change for {count:,} of {base:,} "
                f"({percentage(count, base, limit)})",
            )
    limit = feed.guard_identity_percent
    if is_share_above(others, comparable, limit, feed.guard_floor):
        yield Reason(
            Rule.SOMEBODY_ELSE,
            USERS,
            f"{USERS}: {others:,} of {comparable:,} sourcedIds now belong to somebody else "
            f"({percentage(others, comparable, limit)})",
        )


def _all(roster: Roster) -> Iterator[Numbers]:
    """Yield the identities of all users by kind. Baselines of version 1 have none."""
    for kind, records in roster.baseline.records.items():
        if file_of(kind) == USERS and records.identity.shape[1]:
            yield records.identity


def _present_in_both(before: Roster, after: Roster) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the old and new identities of users who are present in both exports.

    They come by pairs of kinds, since a role may change, and all at once need too much memory.
    """
    kinds = [[k for k in r.baseline.records if file_of(k) == USERS] for r in (before, after)]
    for old_kind, new_kind in itertools.product(*kinds):
        old, new = before.records(old_kind), after.records(new_kind)
        if not old.identity.shape[1] or not new.identity.shape[1]:
            continue  # version 1 has no identities
        at, found = find(old.ids, new.ids)
        here = np.flatnonzero(found & (old.states == State.PRESENT))
        here = here[new.states[at[here]] == State.PRESENT]
        if len(here):
            yield old.identity[here], new.identity[at[here]]


def _limit(feed: Feed, column: str, night: dt.date) -> int | None:
    """Return the limit of a column in percent, None if it may change freely."""
    if column == "grades" and expected(feed, night):
        return None
    if column == "orgSourcedIds":
        return max(feed.guard_identity_percent, widening(feed, night))
    return feed.guard_identity_percent


def _others(was: Numbers, now: Numbers, *, has_births: bool) -> tuple[Flags, Flags]:
    """Return which users can be compared, and which of them are somebody else."""
    is_known, differs = (was != 0) & (now != 0), was != now
    if has_births:
        is_comparable = is_known[:, NAME] & is_known[:, BIRTH_DATE]
        return is_comparable, is_comparable & differs[:, NAME] & differs[:, BIRTH_DATE]
    account = is_known[:, ACCOUNT]
    is_comparable = is_known[:, NAME] & account.any(axis=1)
    is_other = differs[:, NAME] & (account & differs[:, ACCOUNT]).any(axis=1)
    return is_comparable, is_comparable & is_other


def duplicate_reasons(feed: Feed, old: Baseline | None, after: Baseline) -> Iterator[Reason]:
    """Yield a reason for each column whose values more users share than before."""
    if not old or not old.has_tags:
        return
    limit = feed.guard_identity_percent
    for name, count in after.duplicates.items():
        file, _, column = name.partition(".")
        more, rows = count - old.duplicates.get(name, 0), after.rows.get(file, 0)
        if is_share_above(more, rows, limit, feed.guard_floor):
            yield Reason(
                Rule.DUPLICATES,
                file,
                f"{file}: {more:,} of {rows:,} would share their {column} with others, but did "
                f"not before ({percentage(more, rows, limit)})",
            )
