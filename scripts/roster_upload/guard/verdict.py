"""The guard's answer: what has changed by kind of record, and why an export is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Rule(StrEnum):
    """What an export can be held for."""

    FILE_GONE = "file_gone"
    COLUMN_EMPTIED = "column_emptied"
    EMPTIED = "emptied"
    RENUMBERED = "renumbered"
    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED_COUNT = "removed_count"
    UPCOMING = "upcoming"
    SCHOOL = "school"
    IDENTITY = "identity"
    SOMEBODY_ELSE = "somebody_else"
    CONCENTRATION = "concentration"
    DUPLICATES = "duplicates"
    SESSION = "session"
    MINIMUM = "minimum"


# An emptied kind is not among them: it is held whatever is done about removals.
REMOVALS = frozenset({Rule.REMOVED, Rule.REMOVED_COUNT, Rule.UPCOMING, Rule.SCHOOL})


@dataclass(frozen=True)
class Reason:
    """Why an export is held: the rule, the kind of record or the file, and a text for people."""

    rule: Rule
    kind: str
    text: str


@dataclass(frozen=True)
class Change:
    """How many records of a kind are present tonight, by the last export and by the new one."""

    before: int
    now: int
    added: int
    removed: int
    changed: int

    def __add__(self, other: Change) -> Change:
        """Return the change of two kinds together."""
        return Change(
            self.before + other.before,
            self.now + other.now,
            self.added + other.added,
            self.removed + other.removed,
            self.changed + other.changed,
        )


@dataclass(frozen=True)
class Verdict:
    """What has changed by kind, and each reason to hold the export."""

    changes: Mapping[str, Change]
    reasons: tuple[Reason, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Return the reasons for people."""
        return [reason.text for reason in self.reasons]

    @property
    def is_removals_only(self) -> bool:
        """Return whether it is held, and for nothing but removals over a limit."""
        return bool(self.reasons) and all(reason.rule in REMOVALS for reason in self.reasons)

    def record(self) -> dict[str, Any]:
        """Return the changes as JSON values."""
        return {kind: asdict(change) for kind, change in self.changes.items()}


def called(kind: str) -> str:
    """Return what people read of a kind of record; a file of no known format has bytes only."""
    return "the file's size in bytes" if kind == "bytes" else kind


def joined(first: Verdict, others: Iterable[Verdict]) -> Verdict:
    """Return a verdict with its own changes, and with the reasons of others beside its own."""
    reasons = {(reason.rule, reason.kind): reason for one in others for reason in one.reasons}
    for reason in first.reasons:
        reasons.pop((reason.rule, reason.kind), None)
    return replace(first, reasons=(*first.reasons, *reasons.values()))


def percentage(count: int, base: int, limit: int) -> str:
    """Return a share above a limit, with as many digits as show that it is above."""
    share, digits = 100 * count / base, 1
    while round(share, digits) <= limit and digits < 12:
        digits += 1
    return f"{share:.{digits}f} %, the limit is {limit} %"
