"""Which receipts people are notified of, and the words of each kind of event."""

from __future__ import annotations

import itertools

from roster_upload.records.history import History
from roster_upload.records.receipt import DELIVERIES, IN_ORDER, Outcome, Receipt
from roster_upload.records.summary import next_step

NO_NEWS = (*IN_ORDER, Outcome.REHEARSED)
SUBJECTS = {
    "failure": "{district}: tonight's roster was not delivered",
    "rehearsal": "{district}: tonight's roster would not be delivered",
    "recovery": "{district}: the roster is delivered again",
    "unrecorded": "{district}: the roster is delivered, and its receipt could not be written",
    "deadline": "{district}: the deadline is near and tonight's roster is not delivered",
    "findings": "{district}: the roster is delivered, with findings to correct in the SIS",
}
FINDINGS_STEP = "roster-upload check {feed} shows all findings. Correct the rows in the SIS."


def event(before: History, receipt: Receipt) -> str | None:
    """Return the kind of event that a receipt is, a key of `SUBJECTS`. None: it is no news.

    A failure is news once a night for each exit code, and again after a delivery. A rehearsal's
    failure counts by itself. A delivery is a recovery after a failure or the watcher's alarm,
    whatever was skipped since. A start that found the feed busy counts for neither. New findings
    come with the recovery, or by themselves. A delivery whose receipt could not be written is news.
    """
    if receipt.is_sent:
        if receipt.exit_code:
            return "unrecorded"
        tries = [r for r in before if r.is_delivery or r.command == "watch"]
        last = [r for r in tries if r.outcome is not Outcome.SKIPPED and not r.is_busy][-1:]
        if any(not r.is_sent for r in last):
            return "recovery"
        return "findings" if receipt.notified else None
    commands = DELIVERIES if receipt.is_delivery else ("rehearse",)
    if receipt.command not in commands or receipt.outcome in NO_NEWS:
        return None
    if receipt.is_busy:  # the delivery that is under way notifies by itself
        return None
    latest = (r for r in reversed(before.receipts) if r.command in commands)
    failures = itertools.takewhile(
        lambda r: r.outcome not in (Outcome.SENT, Outcome.REHEARSED), latest
    )
    is_known = any((r.night, r.exit_code) == (receipt.night, receipt.exit_code) for r in failures)
    return None if is_known else "failure"


def action(kind: str, receipt: Receipt) -> str:
    """Return what to do about an event."""
    if kind == "findings":
        return FINDINGS_STEP.format(feed=receipt.feed)
    return next_step(receipt)
