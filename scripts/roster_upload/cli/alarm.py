"""`alarm`: record and report the runs of a feed's units that could not do so themselves.

systemd starts it by `OnFailure=` when another unit of the feed fails. Its unit has none of the
feed's secrets. So it works on a host that cannot open them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from roster_upload import __version__, config
from roster_upload.cli import through_unit
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.cli.watch import look, record_killed
from roster_upload.exits import Exit, Failure
from roster_upload.host import sealing, unit
from roster_upload.host.credentials import secrets_folder
from roster_upload.notify import events, metrics, outbox
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night, stamp
from roster_upload.records.parts import File
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.terminal.output import say, warn

# The units whose runs leave a receipt, with the receipt's command.
RUNS = {"roster-upload": "send", "roster-rehearse": "rehearse"}
WATCHER, NOTIFIER = "roster-watch", "roster-notify"
# An older failure is history. Its night is over, and the watcher has reported it.
RECENT = dt.timedelta(days=1)
Properties = Mapping[str, str]


def alarm(given: argparse.Namespace) -> int:
    """Record and report the failed runs that are not recorded yet. Return the exit code."""
    units = _units(through_unit.RUN_DIR / f"{given.feed}.units")
    feed, ledger = config.load(config_file(given)), Ledger(state_as_owner(given))
    record_killed(feed, ledger)
    for name, command in RUNS.items():
        if failure := _silent(name, units.get(name, {})):
            _record(feed, ledger, command, unit.start_of(units[name]), failure)
    watcher = units.get(WATCHER, {})
    if (failure := _silent(WATCHER, watcher)) and not _is_recorded(
        ledger, "watch", unit.start_of(watcher)
    ):
        warn(f"{WATCHER}@{feed.feed}.service failed: {failure.message}")
        look(feed, ledger)
    _send_unsealed(feed, units.get(NOTIFIER, {}))
    _write_metrics(feed, ledger)
    return Exit.OK


def _units(path: Path) -> dict[str, dict[str, str]]:
    """Return the properties of the feed's units, which the alarm's unit has asked systemd for."""
    try:
        return unit.of_several(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        say(f"{path} cannot be read ({error})")
        return {}


def _silent(name: str, now: Properties) -> Failure | None:
    """Return the failure of a recent run that did not end by itself, and so could not report."""
    if not now or now["Result"] == "success" or unit.is_busy(now):
        return None
    if unit.start_of(now) < dt.datetime.now(dt.UTC) - RECENT:
        return None
    try:
        code = unit.ended(name, now, "", started=False)
    except Failure as failure:
        if failure.code is Exit.CREDENTIAL:
            return Failure(Exit.CREDENTIAL, _locked())
        return failure
    # The watcher reports nothing but a missed deadline. A delivery may fail before it begins, as
    # where a library is broken. Otherwise it has a receipt.
    is_mute = code is Exit.INTERNAL or (name == WATCHER and code is not Exit.MISSED)
    return Failure(code, code.meaning) if is_mute else None


def _locked() -> str:
    """Return that the host cannot open its secrets, and why. The unit passes them sealed."""
    folder = secrets_folder()
    try:
        why = sealing.why_locked(sealing.seals(folder) if folder else [])
    except OSError as error:
        why = f"they cannot be read ({error.strerror})"
    return (
        f"this host cannot open its secrets: {why}. Nothing was sent. Run site.yml for this host, "
        "which seals them anew"
    )


def _is_recorded(ledger: Ledger, command: str, start: dt.datetime) -> bool:
    """Return whether a run since `start` has a receipt. An unreadable ledger has none."""
    try:
        receipts = ledger.receipts()
    except OSError as error:
        say(f"{ledger.path} cannot be read ({error.strerror})")
        return False
    return any(r.command == command and r.started >= stamp(start) for r in receipts)


def _record(
    feed: config.Feed, ledger: Ledger, command: str, start: dt.datetime, failure: Failure
) -> None:
    """Write the receipt of a run that could not, and post a notice, unless it has one."""
    if _is_recorded(ledger, command, start):
        return
    night = Night.containing(feed, start)
    receipt = Receipt(
        run=secrets.token_hex(8),
        feed=feed.feed,
        district=feed.district,
        command=command,
        outcome=Outcome.FAILED,
        exit_code=int(failure.code),
        message=failure.message,
        started=stamp(start),
        finished=stamp(dt.datetime.now(dt.UTC)),
        night=night.date,
        deadline=stamp(night.deadline),
        in_window=night.in_window,
        minutes_to_deadline=night.minutes_to_deadline,
        source=File(path=feed.origin),
        program=__version__,
    )
    warn(f"{feed.district}: {failure.message}")
    kind: str | None = "failure"
    try:
        kind = events.event(ledger.history(), receipt)
        ledger.append(receipt)
    except OSError as error:  # a full disk must not silence the alert
        say(f"the receipt cannot be written to {ledger.path} ({error.strerror})")
    if kind:
        outbox.post(feed, kind, receipt)


def _send_unsealed(feed: config.Feed, notifier: Properties) -> None:
    """Send the notices without any secret, if the unit with the secrets has failed on them."""
    waiting = outbox.waiting()
    if not waiting or notifier.get("Result", "success") == "success":
        return
    oldest = min(notice.path.stat().st_mtime for notice in waiting)
    if unit.start_of(notifier).timestamp() >= int(oldest):
        outbox.send_all(feed, None)


def _write_metrics(feed: config.Feed, ledger: Ledger) -> None:
    cache = os.environ.get("CACHE_DIRECTORY")
    try:
        if cache:
            metrics.write(Path(cache) / f"{feed.feed}.prom", feed.feed, ledger.history())
    except OSError as error:
        say(f"the metrics could not be written ({error.strerror})")
