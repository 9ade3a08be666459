"""The notes of the status on the vendor's yearly reset."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from roster_fleet.report import parsed, stamp
from roster_fleet.status import rows, season
from roster_fleet.status.table import table
from support import fleets

NOT_SET = "the day of this year's reset is not set"
NEW_DATE = "the vendor may have announced a new date of its reset"
PAUSED = "the vendor's yearly reset"
UTC = "2027-06-15T17:00:00"


def notes(
    now: str, reset: str = "", resume: str = "", *, zone: str = "", banner: str = "", **told: Any
) -> str:
    """Return the notes on a feed at a moment (UTC)."""
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    feed = {
        "season": {"reset": reset, "resume": resume, "unmeasured": [], **told},
        "time_zone": zone,
        "banner": banner,
    }
    night = moment.date() + dt.timedelta(days=moment.hour >= 9)
    return "; ".join(text for _, text in season.notes(feed, night, moment))


@pytest.mark.parametrize(
    ("now", "reset", "zone", "is_told"),
    [
        ("2027-04-30T12:00:00", "", "", False),
        ("2027-05-01T00:00:00", "", "", True),
        ("2027-05-01T05:59:00", "", "America/Denver", False),
        ("2027-05-01T06:00:00", "", "America/Denver", True),
        ("2027-05-01T06:00:00", "", "No/Zone", True),
        ("2027-09-30T23:59:00", "", "", True),
        ("2027-10-01T00:00:00", "", "", False),
        (UTC, "2026-07-16", "", True),
        (UTC, "2027-07-16", "", False),
        (UTC, "2028-07-14", "", True),
    ],
)
def test_a_reminder_from_may_until_the_date_is_set(
    now: str, reset: str, zone: str, is_told: bool
) -> None:
    resume = "2026-07-26" if reset.startswith("2026") else ""
    assert (NOT_SET in notes(now, reset, resume, zone=zone)) is is_told


def test_the_reminder_names_the_date_of_another_year() -> None:
    told = notes(UTC, "2026-07-16", "2026-07-26")
    end = ". Ask the vendor for it, set roster_upload_reset_date and run site.yml"
    assert told == f"{NOT_SET}, and 2026-07-16 is of another year{end}"
    assert notes(UTC) == NOT_SET + end


@pytest.mark.parametrize(
    ("now", "resume", "is_told"),
    [
        ("2027-07-15T08:59:00", "", False),
        ("2027-07-15T09:00:00", "", True),
        ("2027-12-01T12:00:00", "", True),
        ("2027-07-25T08:59:00", "2027-07-26", True),
        ("2027-07-25T09:00:00", "2027-07-26", False),
    ],
)
def test_the_pause_is_told_all_year(now: str, resume: str, is_told: bool) -> None:
    assert (PAUSED in notes(now, "2027-07-16", resume)) is is_told


def test_lacking_minima_are_told_before_the_reset() -> None:
    told = notes(UTC, "2027-07-16", unmeasured=["users.student"])
    assert "resets the product on 2027-07-16. Set roster_upload_guard_minimum for users" in told
    assert notes(UTC, "2027-07-16") == ""


@pytest.mark.parametrize(
    ("banner", "reset", "is_told"),
    [
        ("", "", False),
        ("Authorized use only. Reset your password on the web page. (c) 2027", "", False),
        ("Password reset on the portal, or by your administrator", "", False),
        ("The reset date was moved", "", True),
        ("The yearly reset is near", "", True),
        ("The yearly reset is near", "2027-07-16", False),
        ("The yearly reset is near", "2026-07-16", True),
        ("Rollover: July 16, 2027", "2027-07-16", False),
        ("Rollover: July 23rd", "2027-07-16", True),
        ("Closed on 7/23/2027", "2027-07-16", True),
        ("Closed on 2027-07-23", "", True),
        ("Was closed on 3 March 2027", "2027-07-16", False),
        ("Was closed on 3 March 2027", "", False),
        ("Open 24/7", "2027-07-16", False),
        ("Maybe 30 sessions, decided 12 at a time, marked 31", "2027-07-16", False),
        ("Reset on 2027-07-23, not on 2027-07-16", "2027-07-16", False),
    ],
)
def test_a_banner_may_announce_another_date(banner: str, reset: str, is_told: bool) -> None:
    assert (NEW_DATE in notes(UTC, reset, "2026-08-01", banner=banner)) is is_told
    assert NEW_DATE not in notes("2027-11-01T12:00:00", reset, "2027-08-01", banner=banner)


@pytest.mark.parametrize(
    "text",
    ["2027-07-16", "7/16/2027", "07/16", "July 16, 2027", "Jul. 16th", "16 july 2027", "16 Jul"],
)
def test_a_date_is_read_as_people_write_it(text: str) -> None:
    assert season.dates(f"on {text} at noon", 2027) == {dt.date(2027, 7, 16)}


@pytest.mark.parametrize(
    ("days", "resume", "state"), [(60, 0, "green"), (61, 0, "amber"), (90, 1, "green")]
)
def test_a_pause_that_nobody_ends_becomes_amber(days: int, resume: int, state: str) -> None:
    night = fleets.NOW.date() + dt.timedelta(days=1)
    end = (night + dt.timedelta(days=resume)).isoformat() if resume else ""
    paused = {"reset": (night - dt.timedelta(days=days)).isoformat(), "resume": end}
    assert row(stamp(fleets.NOW), season=paused).state == state


def row(now: str, **told: Any) -> rows.Row:
    """Return the row of a feed whose nights were all green."""
    feed = {**fleets.feed(20, 9), **told}
    report = parsed(fleets.report([feed], time=now))
    host = rows.Host("roster-1", report, now, planned=[feed["feed"]])
    return rows.build_rows([host], "inventories/my district")[0]


def test_a_note_leaves_the_feed_green() -> None:
    now = stamp(fleets.NOW)
    paused = {"reset": fleets.NOW.date().isoformat(), "resume": ""}
    made = row(now, season=paused)
    assert made.state == "green"
    assert PAUSED in table([made], 100, colours=False)
    assert row(now).problems == [], "a report of an older release"
