"""The message of an event: title and plain text, and values for programs.

A blank line ends each statement, since Teams joins lines that follow each other.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.notify.events import KINDS, SUBJECTS, action
from roster_upload.records.night import night_name, time_text
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import finding_texts, next_step
from roster_upload.spec import spec
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable, printable_lines


@dataclass(frozen=True)
class Message:
    """Hold the texts of a channel. `kind` is Apprise's: info, success, warning or failure."""

    title: str
    body: str
    kind: str
    values: Mapping[str, Any]


def of_event(feed: Feed, kind: str, receipt: Receipt) -> Message:
    """Return the message of an event."""
    name = "rehearsal" if receipt.command == "rehearse" else kind
    parts = [
        receipt.message,
        *_advice(kind, receipt),
        _listed(finding_texts(receipt)),
        f"Feed: {feed.feed} on {socket.gethostname()}",
        *_times(feed, receipt),
    ]
    return Message(
        printable(SUBJECTS[name].format(district=feed.district)),
        printable_lines("\n\n".join(part for part in parts if part)),
        KINDS[name],
        _values(feed, kind, receipt),
    )


def of_test(feed: Feed) -> Message:
    """Return a message that tests the channels."""
    host = socket.gethostname()
    return Message(
        f"{feed.district}: test of the alerts",
        f"This is a test. No action is needed.\n\nFeed: {feed.feed} on {host}",
        "info",
        {"kind": "test", "feed": feed.feed, "district": feed.district, "host": host},
    )


def _advice(kind: str, receipt: Receipt) -> list[str]:
    """Return the paragraphs on cause, person and next step. A recovery has none."""
    texts = spec("exits").get(str(receipt.exit_code), {})
    if kind == "recovery":
        return []
    if kind == "findings":
        who = spec("exits")[str(int(Exit.REFUSED))]["who"]
        return [f"Who must act: {who}", f"Next step: {action(kind, receipt)}"]
    return [
        f"Cause: {texts.get('cause', 'unknown')}",
        f"Who must act: {texts.get('who', 'unknown')}",
        f"Next step: {next_step(receipt)}",
        _listed(receipt.reasons),
    ]


def _listed(texts: Any) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _times(feed: Feed, receipt: Receipt) -> list[str]:
    """Return the lines of a receipt's night and time."""
    lines = [f"Time: {time_text(receipt.finished, feed.time_zone)}"]
    if receipt.night and receipt.deadline:
        name = night_name(receipt.night).removeprefix("the night of ")
        lines.insert(0, f"Night: {name}, deadline {time_text(receipt.deadline, feed.time_zone)}")
    return lines


def _values(feed: Feed, kind: str, receipt: Receipt) -> dict[str, Any]:
    """Return the values of an event for programs."""
    return {
        "kind": kind,
        "feed": feed.feed,
        "district": feed.district,
        "host": socket.gethostname(),
        "command": _shown(receipt.command),
        "outcome": _shown(receipt.outcome_text),
        "exit_code": receipt.exit_code,
        "reason": _shown(receipt.message),
        "night": receipt.night or None,
        "deadline": receipt.deadline or None,
        "time": receipt.finished,
        "action": action(kind, receipt),
        "findings": [finding.to_json() for finding in receipt.notified_findings],
    }


def _shown(text: str) -> str:
    return printable(text, LONGEST_MESSAGE)
