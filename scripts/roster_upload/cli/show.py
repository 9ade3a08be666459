"""`status`, `history` and `explain`: show the ledger to people and machines."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from roster_upload import config
from roster_upload.cli import explain as explaining
from roster_upload.cli import host_feeds, render
from roster_upload.exits import Exit, Failure
from roster_upload.records import evidence
from roster_upload.records.receipt import Receipt
from roster_upload.report.head import head
from roster_upload.terminal.output import show, show_json
from roster_upload.terminal.width import columns


def status(given: argparse.Namespace) -> int:
    """Print the last delivery of each feed. An unreadable feed does not hide the others."""
    found, failures = [], []
    for name in host_feeds.names(given):
        try:
            found.append(_status(given, name))
        except Failure as failure:
            failures.append(failure)
    if given.json:
        show_json({"feeds": found})
    elif found:
        show(render.status_text(found))
    elif not failures:
        show(f"no feed is configured in {given.config_dir}")
    if failures:
        raise failures[0]
    return Exit.OK


def _status(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return a feed's last delivery, and the gaps in its receipts."""
    ledger = host_feeds.read_ledger(given, name)
    try:
        lost = evidence.gaps(ledger.path.parent)
    except OSError as error:
        raise host_feeds.unusable(error) from None
    under_way, history = ledger.under_way(), ledger.history()
    return {
        **render.status(name, history, ledger.first_break(), host_feeds.time_zone(given, name)),
        "chain": head(ledger.chain(), history, 0),
        "under_way": under_way.to_json() if under_way else None,
        "lost": lost,
        "ledger_damaged_lines": ledger.damaged(),
    }


def history(given: argparse.Namespace) -> int:
    """Print a feed's nights."""
    [name] = host_feeds.names(given)
    receipts = host_feeds.read_ledger(given, name).history()
    if given.json:
        show_json({"feed": name, "receipts": render.history(receipts, given.nights)})
    else:
        zone = host_feeds.time_zone(given, name)
        print(render.history_text(receipts, given.nights, zone=zone))
    return Exit.OK


def explain(given: argparse.Namespace) -> int:
    """Print the meaning of an exit code, or of a feed's last receipt, and what to do."""
    receipt, feed = None, None
    if given.what.isdigit():
        codes = [code for code in Exit if code == int(given.what)]
        if not codes:
            raise Failure(Exit.USAGE, f"this program has no exit code {given.what}")
        code = codes[0]
    else:
        given.feed = given.what
        receipt, code = _last(given)
        try:
            feed = config.load(host_feeds.config_file(given))
        except config.ConfigError:
            feed = None  # it can be the cause
    explained = explaining.explain(code, receipt, feed)
    if given.json:
        show_json(explained)
    else:
        show(explaining.explain_text(explained, columns(sys.stdout)))
    return Exit.OK


def _last(given: argparse.Namespace) -> tuple[Receipt, Exit]:
    """Return a feed's last receipt that has an exit code, and the code. Raise Failure."""
    [name] = host_feeds.names(given)
    receipts = [
        r for r in host_feeds.read_ledger(given, name).receipts() if r.exit_code is not None
    ]
    if not receipts:
        raise Failure(Exit.USAGE, f"{name} has no receipt yet")
    receipt = receipts[-1]
    if receipt.exit_code not in set(Exit):
        raise Failure(
            Exit.USAGE,
            f"the last receipt of {name} has exit code {receipt.exit_code}. This "
            f"program does not know it: {receipt.message}",
        )
    return receipt, Exit(receipt.exit_code)
