"""Compute the limits of a feed for a night and a kind of record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.spec import schema
from roster_upload.spec.formats import ONEROSTER, OPAQUE
from roster_upload.spec.values import Span

# Files whose rows an SIS may renumber every night. Their tags do not depend on the sourcedId.
RENUMBERED_FILES = ("enrollments",)
PEOPLE = ("users", "students", "demographics")
# An emptied school is held from this many records on.
SCHOOL_RECORDS = 5
# In a break none of these is present.
IN_SESSION = ("classes", "enrollments")

# Kinds of record that measure the first delivery. One of each group needs a minimum of its own.
MEASURED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    ONEROSTER: (("users.student", "users"), ("enrollments.student", "enrollments")),
    OPAQUE: (("bytes",),),
}
TRADITIONAL = (("students",),)


def file_of(kind: str) -> str:
    """Return the file of a kind of record."""
    return kind.partition(".")[0]


def expected(feed: Feed, day: dt.date) -> Span | None:
    """Return the expected change that includes a day, None if there is none."""
    return next((span for span in feed.expected_changes if day in span), None)


def widening(feed: Feed, night: dt.date) -> int:
    """Return the percentage up to which limits are widened, 0 outside of expected changes."""
    return feed.expected_percent if expected(feed, night) else 0


def are_ids_ignored(feed: Feed, kind: str) -> bool:
    """Return whether the feed lets all ids of a kind go, so that only contents are compared."""
    file = file_of(kind)
    of_file = feed.guard_limits.get(file, {})
    return file in RENUMBERED_FILES and of_file.get("removed", 0) >= 100


def unmeasured(form: str, minimum: Mapping[str, int]) -> list[str]:
    """Return the kinds of record without a minimum of their own, by a feed's format.

    The default's minimum is only for an export without content.
    """
    default = schema.default("guard_minimum")
    return [
        kinds[0]
        for kinds in MEASURED.get(form, TRADITIONAL)
        if not any(minimum.get(kind, 0) > default.get(kind, 0) for kind in kinds)
    ]


@dataclass(frozen=True)
class Limits:
    """The largest removals, additions and changes of a kind of record, in percent.

    At most `floor` records never exceed a percentage. A `removed_count` of 0 means no limit.
    """

    removed: int
    added: int
    changed: int
    removed_count: int
    floor: int

    @classmethod
    def from_feed(cls, feed: Feed, kind: str, night: dt.date) -> Limits:
        """Return the limits of a kind on a night. An expected change can only raise them."""
        wide = widening(feed, night)
        own = dict(feed.guard_limits.get(file_of(kind), {}))
        if are_ids_ignored(feed, kind):
            del own["removed"]  # a limit of ids, although contents are compared
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
