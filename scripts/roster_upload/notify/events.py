"""The events that people are notified of, with their subjects and next steps."""

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
# Apprise's kinds, which services show as a color or a symbol.
KINDS = {
    "failure": "failure",
    "rehearsal": "warning",
    "recovery": "success",
    "unrecorded": "warning",
    "deadline": "failure",
    "findings": "warning",
}
FINDINGS_STEP = "Run roster-upload check {feed} to see all findings. Correct the rows in the SIS."


def event(before: History, receipt: Receipt) -> str | None:
    """Return the kind of event of a receipt, a key of `SUBJECTS`, or None without an event.

    A failure is an event once a night for each exit code, and again after a delivery. Failures of
    rehearsals are counted separately. A delivery is a recovery after a failure or the watcher's
    alarm, even with skipped nights between. A start that found the feed busy is neither. New
    findings are part of a recovery, or an event of their own. So is a delivery without a receipt.
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
    if receipt.is_busy:  # the delivery under way notifies
        return None
    latest = (r for r in reversed(before.receipts) if r.command in commands)
    failures = itertools.takewhile(
        lambda r: r.outcome not in (Outcome.SENT, Outcome.REHEARSED), latest
    )
    is_known = any((r.night, r.exit_code) == (receipt.night, receipt.exit_code) for r in failures)
    return None if is_known else "failure"


def action(kind: str, receipt: Receipt) -> str:
    """Return the next step for an event."""
    if kind == "findings":
        return FINDINGS_STEP.format(feed=receipt.feed)
    return next_step(receipt)
