"""The vendor's yearly reset: the nights without a delivery, and the first delivery after them.

No state is kept for it. The receipts show whether a delivery was accepted since the reset.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.guard.limits import unmeasured
from roster_upload.records.receipt import Receipt

SET_RESUME = "Set roster_upload_reset_resume_date to the first night that is to be delivered again"


@dataclass(frozen=True)
class Reset:
    """The vendor's yearly reset of a feed's product. Nights are known by the day of their deadline.

    day         the day of the reset, None if nobody has set it
    resume      the first night that is delivered again, None if nobody has set it
    unmeasured  kinds of record without a minimum of their own
    """

    day: dt.date | None
    resume: dt.date | None
    unmeasured: Sequence[str] = ()

    @classmethod
    def of(cls, feed: Feed) -> Reset:
        """Return the reset of a feed."""
        return cls(
            feed.reset_date, feed.reset_resume_date, unmeasured(feed.format, feed.guard_minimum)
        )

    @property
    def end(self) -> dt.date | None:
        """Return the first night after the reset. A date before the reset is of an earlier year."""
        is_told = self.day and self.resume and self.resume >= self.day
        return self.resume if is_told else None

    def pause(self, night: dt.date) -> str:
        """Return in words that a night lies in the pause of the reset, "" for any other night."""
        if not self.day or night < self.day or (self.end and night >= self.end):
            return ""
        if self.end:
            return self._with_lack(
                f"the vendor's yearly reset of {self.day}, a pause until the delivery of {self.end}"
            )
        return self._with_lack(
            f"the vendor's yearly reset since {self.day}. {SET_RESUME}, and run site.yml"
        )

    def announcement(self, night: dt.date) -> str:
        """Return in words that the reset comes after a night, "" otherwise."""
        if not self.day or self.day <= night:
            return ""
        return self._with_lack(f"the vendor resets the product on {self.day}")

    def _with_lack(self, text: str) -> str:
        """Return a text with what to set before the first delivery after the reset."""
        if not self.unmeasured:
            return text
        return (
            f"{text}. Set roster_upload_guard_minimum for {' and '.join(self.unmeasured)}. Without "
            "it the guard holds the first delivery after the reset"
        )

    def not_passed(self, night: dt.date, sent: Iterable[Receipt]) -> dt.date | None:
        """Return the day of the reset if no delivery was accepted since, None otherwise.

        `sent` has the receipts of the files that the vendor received. A repetition does not count,
        since it may be last year's roster.
        """
        return None if self.sent_since(night, sent) else self.last_before(night)

    def sent_since(self, night: dt.date, sent: Iterable[Receipt]) -> list[Receipt]:
        """Return the deliveries since the reset, until a night. Before the reset, all count."""
        day, last = self.last_before(night), night.isoformat()
        first = (self.end or day).isoformat() if day else ""
        return [one for one in sent if one.command == "send" and first <= one.night <= last]

    def last_before(self, night: dt.date) -> dt.date | None:
        """Return the day of the reset if it comes before a night ends, None otherwise."""
        return self.day if self.day and night >= self.day else None
