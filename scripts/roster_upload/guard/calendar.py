"""Decide whether a record is in force on a day, by its terms and its own days."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    """The state of a record on a day."""

    OVER = 0
    UPCOMING = 1
    PRESENT = 2


class Calendar(NamedTuple):
    """The days of a record: its own first day, the day after its last, and its sessions.

    Days are ISO 8601, "" if not given. `sessions` are the first day and the day after the
    last of each session, and None if no session bounds the record.
    """

    begin: str = ""
    end: str = ""
    sessions: tuple[tuple[str, str], ...] | None = None

    def state(self, day: dt.date) -> State:
        """Return the state of a record with these days on `day`."""
        now = day.isoformat()
        sessions = self.sessions if self.sessions is not None else (("", ""),)
        parts = [(max(self.begin, first), _earlier(self.end, last)) for first, last in sessions]
        parts = [(first, last) for first, last in parts if not last or first < last]
        if any(first <= now and (not last or now < last) for first, last in parts):
            return State.PRESENT
        return State.UPCOMING if any(first > now for first, _ in parts) else State.OVER


ALWAYS = Calendar()


def _earlier(one: str, other: str) -> str:
    """Return the earlier of two days. Each may be missing."""
    return min(one, other) if one and other else one or other


class Session(NamedTuple):
    """An academic session: its type, its first and last day, and whether a class refers to it."""

    type: str
    first: str
    last: str
    is_used: bool
