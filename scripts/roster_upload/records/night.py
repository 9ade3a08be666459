"""The night of a delivery: its window, its deadline and its date."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.spec.values import Span, window_minutes

# The last attempt starts this long before the deadline. All waits end then.
MARGIN_SECONDS = 120
OUTSIDE_THE_WINDOW_SECONDS = 3600


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


def blackout(feed: Feed, day: dt.date) -> Span | None:
    """Return the blackout of a night, by the day of its deadline, or None without one."""
    return next((span for span in feed.blackouts if day in span), None)


def stamp(moment: dt.datetime) -> str:
    """Return a moment in UTC as ISO 8601, to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
