"""Judge the age of an export: for a delivery now, and for tonight's."""

from __future__ import annotations

import datetime as dt

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.records.night import Night, blackout, time_text

AHEAD_MINUTES = 60  # by which an export's time stamp may lie ahead of the clock
# Before the window opens, a younger export shows that the SIS has written one for the last night.
# Tonight's is still to come then, however small the feed's own limit is.
DAILY_HOURS = 36
LONGEST_BREAK_NIGHTS = 400


def require_fresh(feed: Feed, path: str, written: dt.datetime, now: dt.datetime) -> None:
    """Raise Failure for an export that is too old to be sent now, or from the future."""
    _require(feed, path, written, now, dt.timedelta(hours=feed.maximum_age_hours))


def require_tonights(feed: Feed, path: str, written: dt.datetime, now: dt.datetime) -> str:
    """Return that tonight's export is still to come, or "" if this one can be sent tonight.

    Raise Failure for an export that is too old already, or from the future.
    """
    night, hours = Night.containing(feed, now), feed.maximum_age_hours
    limit = dt.timedelta(hours=hours)
    if not night.in_window:
        limit = max(limit, dt.timedelta(hours=DAILY_HOURS))
        limit += dt.timedelta(days=_nights_off(feed, night))
    _require(feed, path, written, now, limit)
    # A start may come as late as the deadline.
    if night.deadline - written <= dt.timedelta(hours=hours):
        return ""
    zone, end = feed.time_zone, written + dt.timedelta(hours=hours)
    return (
        f"tonight's export is still to come. {path} was written {time_text(written, zone)}, and "
        f"the limit is {hours} h. So it is too old from {time_text(end, zone)} on"
    )


def _require(
    feed: Feed, path: str, written: dt.datetime, now: dt.datetime, limit: dt.timedelta
) -> None:
    age, zone = now - written, feed.time_zone
    if -age > dt.timedelta(minutes=AHEAD_MINUTES):
        raise Failure(
            Exit.STALE,
            f"{path} was written {time_text(written, zone)}, which is ahead of this host's "
            f"clock ({time_text(now, zone)}). So its age is unknown. Compare the clock "
            "(timedatectl) with the SIS's. Then let the SIS write the export again",
        )
    if age > limit:
        raise Failure(
            Exit.STALE,
            f"{path} was written {time_text(written, zone)}, {age // dt.timedelta(hours=1)} h ago. "
            f"The limit is {feed.maximum_age_hours} h. Check the SIS's own schedule",
        )


def _nights_off(feed: Feed, night: Night) -> int:
    """Return the number of blackout nights just before a night. No export was due for them."""
    count = 0
    while count < LONGEST_BREAK_NIGHTS and blackout(feed, night.day - dt.timedelta(days=count + 1)):
        count += 1
    return count
