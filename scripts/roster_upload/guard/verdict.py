"""The guard's answer: the changes by kind of record, and the reasons to hold an export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Rule(StrEnum):
    """The rules that can hold an export."""

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
    RESET = "reset"


# An emptied kind is not among them. It is held even if removals may wait.
REMOVALS = frozenset({Rule.REMOVED, Rule.REMOVED_COUNT, Rule.UPCOMING, Rule.SCHOOL})


@dataclass(frozen=True)
class Reason:
    """A reason to hold an export: the rule, the kind of record or the file, and a sentence."""

    rule: Rule
    kind: str
    text: str


@dataclass(frozen=True)
class Change:
    """The numbers of records of a kind that are present tonight, in the last and new export."""

    before: int
    now: int
    added: int
    removed: int
    changed: int

    def __add__(self, other: Change) -> Change:
        """Return the sum of two kinds' changes."""
        return Change(
            self.before + other.before,
            self.now + other.now,
            self.added + other.added,
            self.removed + other.removed,
            self.changed + other.changed,
        )


@dataclass(frozen=True)
class Verdict:
    """The changes by kind, and each reason to hold the export."""

    changes: Mapping[str, Change]
    reasons: tuple[Reason, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Return the sentences of the reasons."""
        return [reason.text for reason in self.reasons]

    @property
    def is_removals_only(self) -> bool:
        """Return whether it is held only for removals over a limit."""
        return bool(self.reasons) and all(reason.rule in REMOVALS for reason in self.reasons)

    def record(self) -> dict[str, Any]:
        """Return the changes as JSON values."""
        return {kind: asdict(change) for kind, change in self.changes.items()}


def called(kind: str) -> str:
    """Return a kind of record for operators. A file of format `other` has only its bytes."""
    return "the file's size in bytes" if kind == "bytes" else kind


def joined(first: Verdict, others: Iterable[Verdict]) -> Verdict:
    """Return the first verdict with the reasons of the others added."""
    reasons = {(reason.rule, reason.kind): reason for one in others for reason in one.reasons}
    for reason in first.reasons:
        reasons.pop((reason.rule, reason.kind), None)
    return replace(first, reasons=(*first.reasons, *reasons.values()))


def percentage(count: int, base: int, limit: int) -> str:
    """Return a share and its limit, with enough digits to show that the share is above."""
    share, digits = 100 * count / base, 1
    while round(share, digits) <= limit and digits < 12:
        digits += 1
    return f"{share:.{digits}f} %, the limit is {limit} %"
