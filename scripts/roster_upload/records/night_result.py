"""The result of a night, for the program, watcher, alerts, metrics and status page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from roster_upload.records.receipt import Receipt


class Verdict(StrEnum):
    """The result of a night, in one word."""

    SENT = "sent"
    SKIPPED = "skipped"
    LATE = "late"
    HELD = "held"
    REFUSED = "refused"
    STALE = "stale"
    FAILED = "failed"
    MISSED = "missed"


def verdict(outcome: str, minutes_left: float | None) -> Verdict:
    """Return the result of a night from its outcome and the minutes left to the deadline.

    An outcome of another release counts as failed.
    """
    if outcome == Verdict.SENT and (minutes_left or 0) < 0:
        return Verdict.LATE
    try:
        return Verdict(outcome)
    except ValueError:
        return Verdict.FAILED


@dataclass(frozen=True)
class NightResult:
    """The deliveries of one night, oldest first, and their result."""

    night: str
    deliveries: tuple[Receipt, ...] = ()

    @property
    def last(self) -> Receipt | None:
        """Return the last delivery."""
        return self.deliveries[-1] if self.deliveries else None

    @property
    def receipt(self) -> Receipt | None:
        """Return the delivery that counts: the last one in order, else the last one."""
        return next((r for r in reversed(self.deliveries) if r.is_in_order), self.last)

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to act: one delivery was sent, or skipped by plan."""
        return self.receipt is not None and self.receipt.is_in_order

    @property
    def minutes_left(self) -> int | None:
        """Return the minutes from the end to the deadline, below zero for a late delivery."""
        left = self.receipt.seconds_to_deadline if self.receipt else None
        return None if left is None else int(left // 60)

    @property
    def verdict(self) -> Verdict:
        """Return the result of the night."""
        if not self.receipt:
            return Verdict.MISSED
        return verdict(self.receipt.outcome, self.minutes_left)
