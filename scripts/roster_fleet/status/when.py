"""Nights and times in the short form of a table's cells."""

from __future__ import annotations

import datetime as dt

from roster_upload.records.night import MONTHS


def short_day(date: dt.date) -> str:
    """Return a day: `27 Nov`."""
    return f"{date.day} {MONTHS[date.month - 1][:3]}"


def short_night(night: str) -> str:
    """Return a night by both of its days: `26–27 Nov`. `night` is the day of its deadline."""
    last = dt.date.fromisoformat(night)
    first = last - dt.timedelta(days=1)
    start = str(first.day) if first.month == last.month else short_day(first)
    return f"{start}–{short_day(last)}"


def short_moment(moment: str) -> str:
    """Return a moment of a report, in UTC: `27 Nov 07:10`."""
    found = dt.datetime.fromisoformat(moment)
    return f"{short_day(found)} {found:%H:%M}"
