"""The vendor's yearly reset: the nights without a delivery, and the first delivery after them.

No state is kept for it. The receipts show whether a delivery was accepted since the reset.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from roster_upload.config import Feed
from roster_upload.records.receipt import Receipt
from roster_upload.spec import schema
from roster_upload.spec.formats import ONEROSTER, OPAQUE

# Kinds of record that measure the first delivery. One of each group needs a minimum of its own.
MEASURED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    ONEROSTER: (("users.student", "users"), ("enrollments.student", "enrollments")),
    OPAQUE: (("bytes",),),
}
TRADITIONAL = (("students",),)
SET_RESUME = "Set roster_upload_reset_resume_date to the first night that is to be delivered again"


def _resumes(feed: Feed) -> dt.date | None:
    """Return the first night after the reset, None while nobody has named it.

    A date before the reset is that of an earlier year.
    """
    reset, resume = feed.reset_date, feed.reset_resume_date
    return resume if reset and resume and resume >= reset else None


def pause(feed: Feed, day: dt.date) -> str:
    """Return in words that a night is in the reset's pause, "" for any other night."""
    reset, resume = feed.reset_date, _resumes(feed)
    if not reset or day < reset or (resume and day >= resume):
        return ""
    text = f"the vendor's yearly reset since {reset}. {SET_RESUME}, and run site.yml"
    if resume:
        text = f"the vendor's yearly reset of {reset}, a pause until the delivery of {resume}"
    return ". ".join(filter(None, (text, lacking(feed.format, feed.guard_minimum))))


def announced(feed: Feed, day: dt.date) -> str:
    """Return a sentence on a reset that is still to come, "" without one."""
    if not feed.reset_date or feed.reset_date <= day:
        return ""
    text = f"the vendor resets the product on {feed.reset_date}"
    return ". ".join(filter(None, (text, lacking(feed.format, feed.guard_minimum))))


def reset_before(feed: Feed, day: dt.date, sent: Iterable[Receipt]) -> dt.date | None:
    """Return the reset that no accepted delivery has followed by a night, None without one.

    `sent` has the receipts of the files that the vendor received. A repetition of an earlier one
    does not count, since it shows last year's roster.
    """
    reset = feed.reset_date
    if not reset or day < reset:
        return None
    first, last = (_resumes(feed) or reset).isoformat(), day.isoformat()
    is_passed = any(one.command == "send" and first <= one.night <= last for one in sent)
    return None if is_passed else reset


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


def lacking(form: str, minimum: Mapping[str, int]) -> str:
    """Return what to set before the first delivery after a reset, "" if nothing is missing."""
    if not (kinds := unmeasured(form, minimum)):
        return ""
    return (
        "roster_upload_guard_minimum has no number of your own for "
        f"{' and '.join(kinds)}. Without it the guard holds the first delivery after the reset"
    )
