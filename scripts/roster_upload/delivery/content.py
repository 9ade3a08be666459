"""Find out whether tonight's delivery would take the content of an export.

The feed's receipts say so of an export that was rehearsed or delivered. Any other one is validated.
Only a rehearsal can compare it with the last delivery, since the key of that is the unit's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import json
from pathlib import Path

from roster_upload import __version__
from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.delivery.readiness import Check
from roster_upload.delivery.source_check import Newest
from roster_upload.exits import Exit, Failure
from roster_upload.fetch import kept
from roster_upload.host.confined import answer_as_owner
from roster_upload.records.history import History
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night, stamp, time_text
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.season import Reset
from roster_upload.spec.sources import SftpSource
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable

NAME = "content"
SECONDS = 200  # for one export
MEMORY = 896 << 20  # bytes, as the feed's unit has by default
COMMANDS = ("send", "rehearse")  # that judge the export
TAKEN = (Outcome.SENT, Outcome.REHEARSED, Outcome.SKIPPED)


def look(
    feed: Feed, config_file: Path, state: Path, now: dt.datetime, newest: Newest | None = None
) -> Check:
    """Return the check of an export's content, made with the rights of the feed's account.

    `newest` is the file on the server that the export will be fetched from.
    """
    if not state.is_dir():  # whose owner the account is
        return _open(feed, f"not checked: {state} is missing")
    work = functools.partial(_as_owner, feed, config_file, state, now, newest)
    try:
        found = json.loads(answer_as_owner(state, work, SECONDS, MEMORY))
        text = printable(str(found["text"]), LONGEST_MESSAGE)
        return Check(NAME, Exit(found["code"]), text, is_open=bool(found["open"]))
    except Failure as failure:
        reason = failure.message
    except (ValueError, KeyError, TypeError):
        reason = "the answer is not JSON"
    return _open(feed, f"not checked: {reason}")


def _as_owner(
    feed: Feed, config_file: Path, state: Path, now: dt.datetime, newest: Newest | None
) -> bytes:
    """Return the check as JSON. Run it with the rights of the feed's account."""
    try:
        found = of_export(feed, config_file, Ledger(state), now, newest)
    except Failure as failure:
        found = Check(NAME, failure.code, failure.message)
    values = {"code": int(found.code), "text": found.text, "open": found.is_open}
    return json.dumps(values).encode()


def of_export(
    feed: Feed,
    config_file: Path,
    ledger: Ledger,
    now: dt.datetime,
    newest: Newest | None = None,
) -> Check:
    """Return the check of an export's content, by its receipts or by validation. Raise Failure."""
    if newest and not _is_fetched(feed, ledger.path.parent, newest):
        return _open(feed, f"not checked: {newest.name} was not fetched yet")
    if last := judged(feed, config_file, ledger, now):
        return from_receipt(last, ledger, feed.time_zone)
    if newest and not kept.is_here(ledger.path.parent):
        return _open(feed, f"not checked: {newest.name} is not on this host any more")
    feed = kept.on_host(feed, ledger.path.parent)
    # Without receipts of this export alone the rules are needed.
    from roster_upload.delivery.judging import refusal  # noqa: PLC0415
    from roster_upload.diff.compare import check_export  # noqa: PLC0415

    report = check_export(feed, Night.containing(feed, now).day, newest.name if newest else "")
    if not report.accepted:
        raise refusal(report, feed.feed)
    return _open(feed, "it breaks no rule, but was not compared with the last delivery")


def judged(feed: Feed, config_file: Path, ledger: Ledger, now: dt.datetime) -> Receipt | None:
    """Return the receipt that judges this very export, None if none does or it is outdated.

    Raise Failure.
    """
    try:
        since = stamp(dt.datetime.fromtimestamp(config_file.stat().st_mtime, dt.UTC))
        history = ledger.history()
    except (FileNotFoundError, PermissionError):  # of another account, which may be no fault
        return None
    except OSError as error:  # a delivery stops there, too
        raise Failure(
            Exit.LOCAL, f"{error.filename} cannot be read ({error.strerror}). Look at this file"
        ) from None
    if any(receipt.source.sha256 for receipt in history):
        digest = _digest(feed, ledger.path.parent)
        night = Night.containing(feed, now).day
        reset = str(Reset.of(feed).not_passed(night, history.sent()) or "")
        return _last_judgement(history, digest, since, reset) if digest else None
    return None


def _last_judgement(history: History, sha256: str, since: str, reset: str) -> Receipt | None:
    """Return the last receipt of an export, unless something has changed since.

    `since` is the time of the configuration. The program, or the file at the vendor, may be other.
    `reset` is the vendor's reset that tonight's delivery is the first one after, or empty.
    """
    for receipt in reversed(history.receipts):
        is_same = receipt.source.sha256 == sha256
        is_judge = receipt.outcome is Outcome.HELD or receipt.outcome in TAKEN
        if is_same and is_judge and receipt.command in COMMANDS:
            is_valid = receipt.program == __version__ and receipt.started >= since
            is_of_year = not reset or (receipt.reset == reset and not receipt.is_sent)
            return receipt if is_valid and is_of_year else None
        if receipt.is_sent:
            return None
    return None


def from_receipt(last: Receipt, ledger: Ledger, zone: str = "") -> Check:
    """Return the check from the receipt that judges the export. `zone` is the district's."""
    if last.outcome is not Outcome.HELD:
        did = "rehearsed" if last.command == "rehearse" else last.outcome.value
        return Check(NAME, Exit.OK, f"this export was {did} {time_text(last.finished, zone)}")
    if approval := ledger.approval(last.source.sha256, last.reset):
        return Check(NAME, Exit.OK, f"held, but {approval.message}")
    return Check(NAME, Exit.HELD, last.message)


def _open(feed: Feed, text: str) -> Check:
    text = f"{text}. Run roster-upload rehearse {feed.feed}"
    return Check(NAME, Exit.OK, text, is_open=True)


def _is_fetched(feed: Feed, state: Path, newest: Newest) -> bool:
    """Return whether the last fetched export is the newest one on its server."""
    last = kept.last(feed, state)
    if not last:
        return False
    modified = stamp(dt.datetime.fromtimestamp(last.modified, dt.UTC))
    return (kept.name_of(feed, state), last.size, modified) == (
        newest.name, newest.bytes, newest.modified,
    )  # fmt: skip


def _digest(feed: Feed, state: Path) -> str:
    """Return the SHA-256 of the export as a delivery computes it. Raise Failure."""
    if isinstance(feed.source, SftpSource):
        last = kept.last(feed, state)
        return last.sha256 if last else ""
    export = exports.find(feed.source, is_opaque=feed.is_opaque)
    if export.is_folder:
        with exports.snapshot(export, feed.maximum_bytes) as copy:
            return copy.sha256
    with contextlib.suppress(OSError), export.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""  # the validation reports it
