"""`watch`: alert if tonight's delivery has not arrived shortly before the deadline.

Its unit has none of the feed's secrets, so that it works on a host that cannot open them. The unit
`roster-notify@FEED.service` sends the alert.
"""

from __future__ import annotations

import argparse
import datetime as dt

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.delivery import readiness
from roster_upload.exits import Exit, Failure
from roster_upload.host.locks import feed_lock
from roster_upload.notify import events, outbox
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night, stamp, time_text
from roster_upload.records.night_result import NightResult
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.terminal.output import say, show, warn


def watch(given: argparse.Namespace) -> int:
    """Notify people if tonight's delivery has not arrived. Return the exit code."""
    feed, ledger = config.load(config_file(given)), Ledger(state_as_owner(given))
    record_killed(feed, ledger)
    return look(feed, ledger)


def look(feed: config.Feed, ledger: Ledger) -> Exit:
    """Record and post a notice if tonight's delivery has not arrived. Return the exit code."""
    now = dt.datetime.now(dt.UTC)
    night = Night.containing(feed, now)
    tonight = NightResult(night.date)
    try:
        tonight = ledger.history().night(night.date)
    except OSError as error:
        say(f"{ledger.path} cannot be read ({error.strerror})")
    if tonight.is_in_order:
        show(f"{feed.district}: tonight's delivery is in order")
        return Exit.OK
    if text := readiness.pause(feed, now):
        show(f"{feed.district}: {text}")
        return Exit.OK
    message = _message(feed, night, ledger, tonight)
    receipt = Receipt(
        feed=feed.feed,
        district=feed.district,
        command="watch",
        outcome=Outcome.FAILED,
        exit_code=int(Exit.MISSED),
        message=message,
        started=stamp(now),
        finished=stamp(dt.datetime.now(dt.UTC)),
        night=night.date,
        deadline=stamp(night.deadline),
        minutes_to_deadline=night.minutes_to_deadline,
    )
    try:
        ledger.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        ledger.append(receipt)
    except OSError as error:  # a full disk must not silence the alert
        say(f"the receipt cannot be written to {ledger.path} ({error.strerror})")
    outbox.post(feed, "deadline", receipt)
    warn(message)
    return Exit.MISSED


def _message(feed: config.Feed, night: Night, ledger: Ledger, tonight: NightResult) -> str:
    """Return the alert's text: the missing delivery, and the reason as far as it is known."""
    reason = "No try was made tonight"
    if tonight.last:
        reason = f"The last try: {tonight.last.message}"
    if begun := _under_way(ledger):
        reason = f"A run is under way since {time_text(begun.started, feed.time_zone)}. {reason}"
    return (
        f"{feed.district}: tonight's roster is not delivered, {night.minutes_to_deadline} min "
        f"before the deadline. {reason}"
    )


def record_killed(feed: config.Feed, ledger: Ledger) -> None:
    """Record runs that were killed, and post notices of them."""
    try:
        with feed_lock(ledger.path.parent):  # so none of them is under way
            before, found = ledger.history(), ledger.close_killed()
    except (OSError, Failure):  # a run is under way, or the watcher reports the problem itself
        return
    for receipt in found:
        warn(receipt.message)
        if kind := events.event(before.without(receipt.run), receipt):
            outbox.post(feed, kind, receipt)


def _under_way(ledger: Ledger) -> Receipt | None:
    try:
        return ledger.under_way()
    except OSError:
        return None
