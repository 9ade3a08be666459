"""The webhook: an event as JSON."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.notify.channels.channel import Channel, address_of, host_of, request
from roster_upload.notify.events import action
from roster_upload.records.receipt import Receipt
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable

VERSION = 1


def channel(feed: Feed, kind: str, receipt: Receipt, secrets: Path | None) -> Channel | None:
    """Return the webhook of an event, or None if the feed has none."""
    if not feed.webhook_url:
        return None
    return Channel(
        "webhook",
        host_of(feed.webhook_url),
        lambda: request(address_of(feed, "webhook", secrets), content(feed, kind, receipt)),
    )


def content(feed: Feed, kind: str, receipt: Receipt) -> bytes:
    """Return the JSON of an event."""
    values = {
        "version": VERSION,
        "kind": kind,
        "feed": feed.feed,
        "district": feed.district,
        "host": socket.gethostname(),
        "command": _shown(receipt.command),
        "outcome": _shown(receipt.outcome_text),
        "exit_code": receipt.exit_code,
        "message": _shown(receipt.message),
        "night": receipt.night or None,
        "deadline": receipt.deadline or None,
        "time": receipt.finished,
        "action": action(kind, receipt),
        "findings": [finding.to_json() for finding in receipt.notified_findings],
    }
    return json.dumps(values).encode()


def _shown(text: str) -> str:
    return printable(text, LONGEST_MESSAGE)
