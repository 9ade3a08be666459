"""The messages of the watch: title and plain text, and values for programs.

A blank line ends each statement, since Teams joins lines that follow each other. A message holds
no student's data: causes come from receipts, which have none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from roster_upload.notify.message import Message
from roster_upload.records.summary import several
from roster_upload.terminal.printable import printable, printable_lines

from roster_fleet.watch.news import Entry, News

LISTED = 20
VALUED = 1000  # entries for programs, since servers refuse what is longer than some MB
SILENT_ALL = (
    "No host answered. If the hosts are on, look at the network of this control node first."
)


@dataclass(frozen=True)
class Scene:
    """Hold what all messages of a run name."""

    inventory: str
    page: str
    is_anyone_there: bool = True  # whether a host of the run answered


def of_news(news: News, scene: Scene) -> Message:
    """Return the message of a run's news."""
    parts = [*_entries(news.new), *_resolved(tuple(news.resolved.values()))]
    if not scene.is_anyone_there:
        parts.insert(0, SILENT_ALL)
    return _message(
        f"{scene.inventory}: {_summary(news)}",
        [*parts, _origin(scene)],
        "failure" if news.new else "success",
        {
            "kind": "watch",
            "inventory": scene.inventory,
            "red": [_values(entry) for entry in news.new[:VALUED] if not entry.is_silent],
            "silent": [_values(entry) for entry in news.new[:VALUED] if entry.is_silent],
            "resolved": list(news.resolved.values())[:VALUED],
            "omitted": max(len(news.new) - VALUED, 0) + max(len(news.resolved) - VALUED, 0),
        },
    )


def of_failure(scene: Scene, troubles: Sequence[str]) -> Message:
    """Return the message of a run of the watch that failed."""
    parts = [
        "The watch could not do its work, so a red district may go unnoticed.",
        *_causes(troubles),
        "Next step: run status.yml on the control node and correct what it reports.",
        _origin(scene),
    ]
    values = {"kind": "watch-failure", "inventory": scene.inventory, "troubles": [*troubles]}
    return _message(f"{scene.inventory}: the watch failed", parts, "failure", values)


def _causes(troubles: Sequence[str]) -> Iterator[str]:
    for text in troubles[:LISTED]:
        yield f"Cause: {text}"
    if len(troubles) > LISTED:
        yield f"And {len(troubles) - LISTED:,} more. The watch's output lists all."


def _message(title: str, parts: Sequence[str], kind: str, values: dict[str, Any]) -> Message:
    values["host"] = socket.gethostname()
    return Message(printable(title), printable_lines("\n\n".join(parts)), kind, values)


def _summary(news: News) -> str:
    """Return the counts of the news: `2 districts red, 1 host silent`."""
    silent = sum(entry.is_silent for entry in news.new)
    red = len(news.new) - silent
    counts = [f"{several(red, 'district')} red"] if red else []
    counts += [f"{several(silent, 'host')} silent"] if silent else []
    return ", ".join(counts) or f"{len(news.resolved):,} in order again"


def _entries(found: Sequence[Entry]) -> Iterator[str]:
    for entry in found[:LISTED]:
        is_what = "is silent" if entry.is_silent else "is red"
        yield f"{entry.title} {is_what}: {'; '.join(entry.causes)}"
        yield f"Next step: {entry.step}"
    if len(found) > LISTED:
        yield f"And {len(found) - LISTED:,} more. The page lists all."


def _resolved(titles: Sequence[str]) -> Iterator[str]:
    if titles:
        more = f" and {len(titles) - LISTED:,} more" if len(titles) > LISTED else ""
        yield f"In order again: {', '.join(titles[:LISTED])}{more}"


def _origin(scene: Scene) -> str:
    return f"The page: {scene.page} on {socket.gethostname()}"


def _values(entry: Entry) -> dict[str, Any]:
    return {
        "host": entry.host,
        "feed": entry.feed,
        "name": entry.name,
        "night": entry.night,
        "causes": [*entry.causes],
        "action": entry.step,
    }
