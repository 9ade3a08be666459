"""The notes on the vendor's yearly reset of a feed's product."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from roster_upload.records.night import MONTHS
from roster_upload.records.season import Reset
from roster_upload.spec import spec

RULES: Mapping[str, Any] = spec("imagine-learning")["reset"]
GREEN, AMBER = "green", "amber"
WORDS = re.compile(rf"\b({'|'.join(RULES['words'])})\b", re.IGNORECASE)
_MONTH = rf"(?P<name>{'|'.join((*MONTHS, 'Sept', *(name[:3] for name in MONTHS)))})\b\.?"
_ORDINAL = r"(?:st|nd|rd|th)?\b"
# The dates of a banner: 2027-07-16, 7/16/2027, July 16, 2027 and 16 July 2027.
DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b",
        r"\b(?P<month>\d\d?)/(?P<day>\d\d?)(?:/(?P<year>\d{4}))?\b",
        rf"\b{_MONTH} (?P<day>\d\d?){_ORDINAL}(?:,? (?P<year>\d{{4}})\b)?",
        rf"\b(?P<day>\d\d?){_ORDINAL} {_MONTH}(?:,? (?P<year>\d{{4}})\b)?",
    )
)


def notes(feed: Mapping[str, Any], night: dt.date, now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield the notes on a feed's reset, each with its state.

    `night` is the day of the next deadline.
    """
    if not (told := feed["season"]):
        return  # a report of an older release
    reset = Reset(_day(told["reset"]), _day(told["resume"]), told["unmeasured"])
    if text := reset.pause(night):
        yield (AMBER if _is_forgotten(reset, night) else GREEN), text
    today = _today(feed["time_zone"], now)
    if RULES["remind_from"] <= today.isoformat()[5:] < RULES["remind_until"]:
        yield from ((GREEN, text) for text in _reminders(reset, feed["banner"], night, today))


def _is_forgotten(reset: Reset, night: dt.date) -> bool:
    """Return whether a pause without an end lasts longer than a reset takes."""
    longest = dt.timedelta(days=RULES["longest_days"])
    return reset.day is not None and not reset.end and night - reset.day > longest


def _reminders(reset: Reset, banner: str, night: dt.date, today: dt.date) -> Iterator[str]:
    """Yield the reminders of the season."""
    if reset.unmeasured and (text := reset.announcement(night)):
        yield text
    if not reset.day or reset.day.year != today.year:
        was = f", and {reset.day} is of another year" if reset.day else ""
        yield (
            f"the day of this year's reset is not set{was}. Ask the vendor for it, set "
            "roster_upload_reset_date and run site.yml"
        )
    if is_announced(banner, reset.day, today):
        yield (
            "the vendor may have announced a new date of its reset. If it has, set "
            f"roster_upload_reset_date. The server's banner: {banner}"
        )


def is_announced(banner: str, reset: dt.date | None, today: dt.date) -> bool:
    """Return whether a banner may announce a day of the reset that is not the known one."""
    found = {day for day in dates(banner, today.year) if day >= today}
    if reset and reset.year >= today.year:
        return bool(found) and reset not in found
    return bool(found) or bool(WORDS.search(banner))


def dates(text: str, year: int) -> set[dt.date]:
    """Return the dates in a text. One without a year is of the given `year`."""
    found = set()
    for match in (match for pattern in DATES for match in pattern.finditer(text)):
        parts = match.groupdict()
        name = str(parts.get("name") or "").capitalize()[:3]
        names = [month[:3] for month in MONTHS]
        month = names.index(name) + 1 if name else int(parts["month"])
        try:
            found.add(dt.date(int(parts["year"] or year), month, int(parts["day"])))
        except ValueError:  # such as 24/7
            continue
    return found


def _day(text: str) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def _today(zone: str, now: dt.datetime) -> dt.date:
    """Return the date in the district's time zone, that of UTC without a usable one."""
    try:
        return now.astimezone(ZoneInfo(zone or "UTC")).date()
    except (KeyError, ValueError, OSError):
        return now.date()
