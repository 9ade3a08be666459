"""Find out that the vendor already has the file."""

from __future__ import annotations

from roster_upload.delivery.job import Job
from roster_upload.records.night import stamp
from roster_upload.records.receipt import Outcome, Receipt


class AtVendor(Exception):
    """The vendor already has the file. With `leaves_receipt` the run writes a receipt."""

    def __init__(self, message: str, *, leaves_receipt: bool) -> None:
        super().__init__(message)
        self.message = message
        self.leaves_receipt = leaves_receipt


def sent_tonight(job: Job) -> Receipt | None:
    """Return tonight's delivery that the vendor has, None without one or outside the window."""
    last = job.history.last_sent_to(job.target)
    window = stamp(job.night.opened), stamp(job.night.deadline)
    is_tonights = job.night.in_window and last and window[0] <= last.started <= window[1]
    is_news = job.command == "send" and not job.history.unsure()
    return last if is_tonights and is_news else None


def require_news(job: Job) -> None:
    """Raise AtVendor if the vendor has tonight's delivery, or the same content.

    A second start in a window does not send a file again that somebody has replaced by hand.
    """
    if job.command != "send":
        return
    if job.history.unsure():
        return  # the vendor's file is unknown
    feed, file = job.feed, job.receipt.sent_file
    last = sent_tonight(job)
    if last and last.sent_file.is_same(file):
        raise AtVendor(
            f"{feed.district}: the vendor already has tonight's delivery of this export",
            leaves_receipt=False,
        )
    if job.reset:
        return  # the reset may have removed it
    if feed.unchanged == "skip" and any(
        r.sent_file.is_same(file) and r.remote.target == job.target for r in job.history.sent()[-1:]
    ):
        job.draft.update(outcome=Outcome.SKIPPED)
        raise AtVendor(f"{feed.district}: the vendor already has this export", leaves_receipt=True)
