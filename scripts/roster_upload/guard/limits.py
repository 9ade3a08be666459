"""The limits of a feed on a night, and the kinds of record that they are for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.spec.values import Span

# Files whose rows an SIS may number anew each night. Their tags are made without the sourcedId.
RENUMBERED_FILES = ("enrollments",)


def file_of(kind: str) -> str:
    """Return the file that a kind of record is in."""
    return kind.partition(".")[0]


def expected(feed: Feed, day: dt.date) -> Span | None:
    """Return the expected change that a day lies in."""
    return next((span for span in feed.expected_changes if day in span), None)


def widening(feed: Feed, night: dt.date) -> int:
    """Return the percentage up to which limits are widened, 0 outside of expected changes."""
    return feed.expected_percent if expected(feed, night) else 0


def are_ids_ignored(feed: Feed, kind: str) -> bool:
    """Return whether the ids of a kind mean nothing, since the feed lets all of them go."""
    file = file_of(kind)
    of_file = feed.guard_limits.get(file, {})
    return file in RENUMBERED_FILES and of_file.get("removed", 0) >= 100


@dataclass(frozen=True)
class Limits:
    """The limits of a kind of record: the most that may go, come and change, in percent.

    No more records than `floor` are never a share. A `removed_count` of 0 is no limit.
    """

    removed: int
    added: int
    changed: int
    removed_count: int
    floor: int

    @classmethod
    def from_feed(cls, feed: Feed, kind: str, night: dt.date) -> Limits:
        """Return those of a kind on a night. An expected change widens them, and never narrows."""
        wide = widening(feed, night)
        own = dict(feed.guard_limits.get(file_of(kind), {}))
        if are_ids_ignored(feed, kind):
            del own["removed"]  # it is a limit of ids, and contents are compared
        if kind != file_of(kind):
            own |= feed.guard_limits.get(kind, {})
        return cls(
            max(own.get("removed", feed.guard_removed_percent), wide),
            max(own.get("added", feed.guard_added_percent), wide),
            max(own.get("changed", feed.guard_changed_percent), wide),
            0 if wide else feed.guard_removed_count,
            feed.guard_floor,
        )


def is_share_above(count: int, base: int, percent: int, floor: int) -> bool:
    """Return whether `count` is above the floor and above a percentage of `base`."""
    return count > floor and base > 0 and 100 * count > percent * base
