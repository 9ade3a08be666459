"""When a record counts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.guard.calendar import ALWAYS, Calendar, State

AUTUMN, SPRING = ("2026-08-17", "2026-12-19"), ("2027-01-04", "2027-06-05")
DAYS = st.sampled_from(["", "2026-08-17", "2026-10-01", "2026-12-18", "2027-01-04", "2027-06-01"])


@pytest.mark.parametrize(
    ("calendar", "states"),
    [
        # The states on five days: before, in autumn, between, in spring, after.
        (ALWAYS, "PPPPP"),
        (Calendar(sessions=(AUTUMN, SPRING)), "UPUPO"),
        (Calendar(sessions=(SPRING, AUTUMN)), "UPUPO"),
        (Calendar(sessions=(AUTUMN,)), "UPOOO"),
        (Calendar(sessions=()), "OOOOO"),
        (Calendar("2026-10-01"), "UPPPP"),
        (Calendar("", "2026-12-20"), "PPOOO"),
        (Calendar("2026-10-02"), "UUPPP"),
        (Calendar("", "2026-10-01"), "POOOO"),
        # A record ends in its sessions, and begins in them.
        (Calendar("2026-10-02", "", (AUTUMN, SPRING)), "UUUPO"),
        (Calendar("", "2026-10-01", (AUTUMN, SPRING)), "UOOOO"),
        (Calendar("2026-10-01", "2026-10-02", (AUTUMN, SPRING)), "UPOOO"),
        (Calendar("2026-12-24", "2026-12-27", (AUTUMN, SPRING)), "OOOOO"),
        (Calendar("2027-01-04", "", (AUTUMN,)), "OOOOO"),
        # Days that contradict each other are none.
        (Calendar("2026-10-01", "2026-10-01"), "OOOOO"),
        (Calendar("2027-02-01", "2026-10-02"), "OOOOO"),
        # A session without an end.
        (Calendar(sessions=(("2027-01-04", ""),)), "UUUPP"),
    ],
)
def test_what_a_record_is_on_a_day(calendar: Calendar, states: str) -> None:
    days = ("2026-07-01", "2026-10-01", "2026-12-25", "2027-03-01", "2027-07-01")
    found = [calendar.state(dt.date.fromisoformat(day)) for day in days]
    assert "".join(state.name[0] for state in found) == states


def test_the_first_day_is_in_and_the_day_after_the_last_is_out() -> None:
    calendar, ended = Calendar("2026-10-01", "2026-10-03"), Calendar(sessions=(AUTUMN,))
    states = [calendar.state(dt.date(2026, 10, day)).name[0] for day in (1, 2, 3)]
    assert states == ["P", "P", "O"]
    assert ended.state(dt.date(2026, 8, 16)) is State.UPCOMING
    assert ended.state(dt.date(2026, 8, 17)) is State.PRESENT
    assert ended.state(dt.date(2026, 12, 18)) is State.PRESENT
    assert ended.state(dt.date(2026, 12, 19)) is State.OVER


@given(DAYS, DAYS, st.none() | st.lists(st.tuples(DAYS, DAYS), max_size=3).map(tuple))
def test_what_is_over_stays_over(begin: str, end: str, sessions: Any) -> None:
    """Present records become upcoming only in a gap between sessions."""
    calendar = Calendar(begin, end, sessions)
    days = [dt.date(2026, 8, 1) + dt.timedelta(days) for days in range(0, 365, 5)]
    states = [calendar.state(day) for day in days]
    if State.OVER in states:
        assert set(states[states.index(State.OVER) :]) == {State.OVER}
    if len(sessions or ()) <= 1 and State.PRESENT in states:
        assert State.UPCOMING not in states[states.index(State.PRESENT) :]
