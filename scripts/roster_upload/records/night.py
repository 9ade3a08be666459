"""The night of a delivery: its window, its deadline and its date. Nights and times in words."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from roster_upload.config import Feed
from roster_upload.records.season import Reset
from roster_upload.spec.values import window_minutes

# The last attempt starts this long before the deadline. All waits end then.
MARGIN_SECONDS = 120
OUTSIDE_THE_WINDOW_SECONDS = 3600
# Ansible sets the operator's locale, in which strftime would name other months.
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Night:
    """The night of a moment: its window, its deadline, and the time from the moment to it."""

    opened: dt.datetime  # of the window that is open, or opens next
    deadline: dt.datetime
    in_window: bool
    minutes_to_deadline: int

    @classmethod
    def containing(cls, feed: Feed, now: dt.datetime) -> Night:
        """Return the night with the next deadline after `now` (UTC)."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        deadline = midnight + dt.timedelta(minutes=feed.deadline)
        if deadline <= now:
            deadline += dt.timedelta(days=1)
        length = window_minutes(feed.window_start, feed.deadline)
        opened = deadline - dt.timedelta(minutes=length)
        left = int((deadline - now).total_seconds() // 60)
        return cls(opened, deadline, opened <= now, left)

    @property
    def day(self) -> dt.date:
        """Return the day of its deadline."""
        return self.deadline.date()

    @property
    def date(self) -> str:
        """Return the day of its deadline (ISO 8601)."""
        return self.day.isoformat()

    def seconds_left(self) -> float:
        """Return the seconds that are left for waits."""
        if not self.in_window:
            return OUTSIDE_THE_WINDOW_SECONDS
        left = (self.deadline - dt.datetime.now(dt.UTC)).total_seconds()
        return max(left - MARGIN_SECONDS, 0)


def blackout(feed: Feed, day: dt.date) -> str:
    """Return why nothing is sent on a night, by the day of its deadline. "" if there is no why."""
    span = next((span for span in feed.blackouts if day in span), None)
    return Reset.of(feed).pause(day) or (f"blackout {span}" if span else "")


def stamp(moment: dt.datetime) -> str:
    """Return a moment in UTC as ISO 8601, to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- for people ----------------------------------------------------------------------------------


def night_name(night: str, beside: str = "") -> str:
    """Return a night in words: `the night of 26 to 27 November`.

    `night` is the day of its deadline (ISO 8601). The year is named if it is another one than that
    of the date `beside`.
    """
    last = dt.date.fromisoformat(night)
    first = last - dt.timedelta(days=1)
    year = f" {last.year}" if beside and not beside.startswith(f"{last.year:04}-") else ""
    if first.year != last.year and year:
        return f"the night of {_day(first)} {first.year} to {_day(last)}{year}"
    start = _day(first) if first.month != last.month else str(first.day)
    return f"the night of {start} to {_day(last)}{year}"


def _day(date: dt.date) -> str:
    return f"{date.day} {MONTHS[date.month - 1]}"


def time_text(moment: dt.datetime | str, zone: str = "") -> str:
    """Return a time for people: `2026-11-20 08:12 UTC (01:12 MST)`.

    `moment` is a time with its zone, or its text (ISO 8601). `zone` is the district's time zone, or
    empty. Its date is shown if it differs.
    """
    utc, local = _both(moment, zone)
    if not local:
        return f"{utc:%Y-%m-%d %H:%M} UTC"
    date = "" if local.date() == utc.date() else f"{local:%Y-%m-%d} "
    return f"{utc:%Y-%m-%d %H:%M} UTC ({date}{local:%H:%M %Z})"


def clock_text(moment: dt.datetime | str, zone: str = "") -> str:
    """Return a time of day for people: `08:12 UTC (01:12 MST)`."""
    utc, local = _both(moment, zone)
    return f"{utc:%H:%M} UTC" + (f" ({local:%H:%M %Z})" if local else "")


def local_text(moment: dt.datetime | str, zone: str) -> str:
    """Return a time of day in the district's zone, `01:12 MST`. Without a zone it is empty."""
    _, local = _both(moment, zone)
    return f"{local:%H:%M %Z}" if local else ""


def _both(moment: dt.datetime | str, zone: str) -> tuple[dt.datetime, dt.datetime | None]:
    """Return a time in UTC, and in a zone unless it is UTC or this machine does not know it."""
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    utc = moment.astimezone(dt.UTC)
    try:
        local = utc.astimezone(ZoneInfo(zone)) if zone else None
    except (KeyError, ValueError, OSError):
        local = None
    return utc, local if local and local.tzname() != "UTC" else None
