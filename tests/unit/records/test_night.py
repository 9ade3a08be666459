"""The night of a moment: its window, and how long may be waited."""

from __future__ import annotations

import datetime as dt
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.records.night import Night, clock_text, night_name, time_text
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


@pytest.mark.parametrize(
    ("night", "beside", "name"),
    [
        ("2026-11-27", "", "the night of 26 to 27 November"),
        ("2026-11-27", "2026-01-03", "the night of 26 to 27 November"),
        ("2026-12-01", "", "the night of 30 November to 1 December"),
        ("2025-11-27", "2026-11-27", "the night of 26 to 27 November 2025"),
        ("2027-01-01", "", "the night of 31 December to 1 January"),
        ("2027-01-01", "2026-12-20", "the night of 31 December 2026 to 1 January 2027"),
        ("2028-03-01", "", "the night of 29 February to 1 March"),
    ],
)
def test_a_night_has_the_name_of_both_its_days(night: str, beside: str, name: str) -> None:
    assert night_name(night, beside) == name


@pytest.mark.parametrize(
    ("moment", "zone", "time", "clock"),
    [
        ("2026-11-20T08:12:00Z", "", "2026-11-20 08:12 UTC", "08:12 UTC"),
        ("2026-11-20T08:12:00+00:00", "UTC", "2026-11-20 08:12 UTC", "08:12 UTC"),
        (
            "2026-11-20T08:12:00Z",
            "America/Denver",
            "2026-11-20 08:12 UTC (01:12 MST)",
            "08:12 UTC (01:12 MST)",
        ),
        (
            "2026-07-20T05:12:00Z",
            "America/Denver",
            "2026-07-20 05:12 UTC (2026-07-19 23:12 MDT)",
            "05:12 UTC (23:12 MDT)",
        ),
        ("2026-11-20T01:12:00-07:00", "", "2026-11-20 08:12 UTC", "08:12 UTC"),
        ("2026-11-20T08:12:00Z", "Nowhere/Known", "2026-11-20 08:12 UTC", "08:12 UTC"),
    ],
)
def test_each_time_names_its_zone(moment: str, zone: str, time: str, clock: str) -> None:
    assert (time_text(moment, zone), clock_text(moment, zone)) == (time, clock)
    assert time_text(dt.datetime.fromisoformat(moment), zone) == time


@pytest.fixture
def no_zones(tmp_path: Path) -> Iterator[None]:
    """A machine without the table of time zones."""
    zoneinfo.reset_tzpath(to=[tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tzdata", None)
        yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("no_zones")
def test_a_machine_without_zones_shows_utc() -> None:
    assert time_text("2026-11-20T08:12:00Z", "America/Denver") == "2026-11-20 08:12 UTC"
    assert config.parse({**GOOD, "time_zone": "America/Denver"}).time_zone == "America/Denver"


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Amercia/Denver", "Did you mean America/Denver?"),
        ("../etc/passwd", "Use a name such as America/Denver"),
        ("America", ""),
    ],
)
def test_a_time_zone_has_an_iana_name(zone: str, hint: str) -> None:
    [problem] = config.problems({**GOOD, "time_zone": zone})
    assert problem.key == "time_zone"
    assert f"unknown time zone '{zone}'" in problem.message
    assert hint in problem.message
