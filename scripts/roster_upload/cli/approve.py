"""`approve`: approve one export that the guard holds, once."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import os
from collections.abc import Sequence

from roster_upload.cli.host_feeds import config_file, state_as_owner, unusable
from roster_upload.exits import Exit, Failure
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import stamp
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.terminal.output import show, show_json

SHORTEST_DIGEST = 12
# Results of the command, as its JSON has them.
APPROVED, APPROVED_BEFORE, WOULD_APPROVE = "approved", "approved_before", "would_approve"


def approve(given: argparse.Namespace) -> int:
    """Write the approval of one held export into the ledger, unless it has one already."""
    config_file(given)
    who = (
        os.environ.get("SUDO_USER") or getpass.getuser()
    )  # before the switch to the feed's account
    ledger = Ledger(state_as_owner(given))
    try:
        receipt = _matching(given.feed, given.digest, ledger.history().held())
        known = ledger.approval(receipt.export_sha256, receipt.reset)
        result = APPROVED_BEFORE if known else WOULD_APPROVE if given.check else APPROVED
        entry = known or _entry(given, who, receipt.export_sha256)
        if result == APPROVED:
            ledger.append(entry)
    except OSError as error:
        raise unusable(error) from None
    if given.json:
        _show_json(given.feed, result, entry, receipt)
    else:
        show(_text(given.feed, result, entry))
    return Exit.OK


def _matching(feed: str, digest: str, held: Sequence[Receipt]) -> Receipt:
    """Return the last receipt of the held export with this digest. Raise Failure."""
    by_digest = {receipt.export_sha256: receipt for receipt in held}
    by_digest.pop("", None)
    matching = [one for one in by_digest if one.startswith(digest)]
    if len(digest) >= SHORTEST_DIGEST and len(matching) == 1:
        return by_digest[matching[0]]
    last = f"The last held export has {[*by_digest][-1]}" if by_digest else "No export is held"
    raise Failure(
        Exit.USAGE,
        f"{feed}: no held export has the digest {digest} (give at least {SHORTEST_DIGEST} "
        f"characters). {last}",
    )


def _entry(given: argparse.Namespace, who: str, digest: str) -> Receipt:
    """Return the ledger's entry of the approval."""
    return Receipt(
        feed=given.feed,
        outcome=Outcome.APPROVED,
        command="approve",
        digest=digest,
        who=who,
        why=given.reason,
        finished=stamp(dt.datetime.now(dt.UTC)),
        message=f"{who} lets the held export {digest[:16]} through once: {given.reason}",
    )


def _show_json(feed: str, result: str, entry: Receipt, receipt: Receipt) -> None:
    show_json({
        "feed": feed,
        "result": result,
        "digest": entry.digest,
        "who": entry.who,
        "reason": entry.why,
        "held": list(receipt.reasons),
    })  # fmt: skip


def _text(feed: str, result: str, entry: Receipt) -> str:
    if result == WOULD_APPROVE:
        return (
            f"{feed}: would let the held export {entry.digest[:16]} through once. See who is "
            f"affected: roster-upload diff {feed}"
        )
    before = "approved before: " if result == APPROVED_BEFORE else ""
    send = f"systemctl start roster-upload@{feed}.service"
    return f"{before}{entry.message}. Send it: {send}"
