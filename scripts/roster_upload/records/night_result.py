"""What a night came to. Program, watcher, alerts, metrics and status page decide it here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from roster_upload.records.receipt import Receipt


class Verdict(StrEnum):
    """What a night came to, for people and for the status page."""

    SENT = "sent"
    SKIPPED = "skipped"
    LATE = "late"
    HELD = "held"
    REFUSED = "refused"
    STALE = "stale"
    FAILED = "failed"
    MISSED = "missed"


def verdict(outcome: str, minutes_left: float | None) -> Verdict:
    """Return what a night came to, by the outcome of its delivery and the minutes that were left.

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
    """The deliveries of one night, the oldest first, and what they came to."""

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
        """Return whether the night asks for nothing: one delivery was sent, or skipped by plan."""
        return self.receipt is not None and self.receipt.is_in_order

    @property
    def minutes_left(self) -> int | None:
        """Return the minutes between end and deadline, below zero for a late delivery."""
        left = self.receipt.seconds_to_deadline if self.receipt else None
        return None if left is None else int(left // 60)

    @property
    def verdict(self) -> Verdict:
        """Return what the night came to."""
        if not self.receipt:
            return Verdict.MISSED
        return verdict(self.receipt.outcome, self.minutes_left)
