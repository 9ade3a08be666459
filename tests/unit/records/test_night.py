"""The night of a moment: its window, and how long may be waited."""

from __future__ import annotations

import datetime as dt

import pytest
from roster_upload import config
from roster_upload.records.night import Night
from unit.test_config import GOOD


@pytest.mark.parametrize(
    ("now", "window", "night", "in_window", "left"),
    [
        ("2026-11-01 07:09", ("07:10", "09:00"), "2026-11-01", False, 111),
        ("2026-11-01 07:10", ("07:10", "09:00"), "2026-11-01", True, 110),
        ("2026-11-01 08:59", ("07:10", "09:00"), "2026-11-01", True, 1),
        ("2026-11-01 09:00", ("07:10", "09:00"), "2026-11-02", False, 1440),
        ("2026-12-31 23:30", ("23:00", "03:00"), "2027-01-01", True, 210),
        ("2027-01-01 02:00", ("23:00", "03:00"), "2027-01-01", True, 60),
        ("2027-01-01 12:00", ("23:00", "03:00"), "2027-01-02", False, 900),
    ],
)
def test_the_night_of_a_moment(
    now: str, window: tuple[str, str], night: str, in_window: bool, left: int
) -> None:
    feed = config.parse({**GOOD, "window_start": window[0], "deadline": window[1]})
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    found = Night.containing(feed, moment)
    assert found.deadline.date().isoformat() == night
    assert (found.in_window, found.minutes_to_deadline) == (in_window, left)


@pytest.mark.parametrize(
    ("minutes", "in_window", "left"),
    [(60, False, 3600), (60, True, 3480), (1, True, 0), (-5, True, 0), (-5, False, 3600)],
)
def test_how_long_may_be_waited(minutes: int, in_window: bool, left: float) -> None:
    now = dt.datetime.now(dt.UTC)
    night = Night(now, now + dt.timedelta(minutes=minutes), in_window, minutes)
    assert night.seconds_left() == pytest.approx(left, abs=60)
