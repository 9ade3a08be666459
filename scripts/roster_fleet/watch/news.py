"""Decide what the watch notifies of: red feeds and silent hosts, once a night."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import next_step

from roster_fleet.status.rows import Row, last_deadline, moment

RED = "red"
SILENT = "silent"
UNKNOWN_FEED = "?"  # of a report that names none
SILENT_STEP = (
    "Check that {host} is on and in the network. Then log in to it from the control node as "
    "Ansible does, and run status.yml again."
)
ASK_HOST = "Log in to {host} and run sudo roster-upload explain {feed}."
SEE_ROW = "See the row of {host} on the page."
APPROVE = "Look at the export in the SIS. If it is right, run: {command}"


@dataclass(frozen=True)
class Entry:
    """A red feed, or a silent host, whose `feed` is empty."""

    host: str
    feed: str
    name: str  # of the district, or of the host
    night: str  # the day of its last deadline
    causes: tuple[str, ...]
    step: str

    @property
    def key(self) -> str:
        """Return the key in the watch's memory."""
        return f"{self.host}/{self.feed}"

    @property
    def is_silent(self) -> bool:
        """Return whether it is a host that gave no report."""
        return not self.feed

    @property
    def title(self) -> str:
        """Return the name with the feed and the host."""
        return self.name if self.is_silent else f"{self.name} ({self.feed} on {self.host})"

    @property
    def memory(self) -> dict[str, Any]:
        """Return what is kept to know the same state again.

        The numbers in a cause change from try to try. Its other words do not.
        """
        worded = [re.sub(r"\d+", "0", text) for text in self.causes]
        causes = [SILENT] if self.is_silent else worded
        return {"night": self.night, "causes": causes, "title": self.title}


@dataclass(frozen=True)
class News:
    """Hold what a run found: new entries, and the titles of those in order again, by key."""

    new: Sequence[Entry]
    resolved: Mapping[str, str]


def entries(rows: Sequence[Row], now: str) -> list[Entry]:
    """Return the red feeds and the silent hosts of the asked hosts' rows, the silent ones first."""
    silent = {row.host.name: _silent(row, why, now) for row in rows if (why := _trouble(row))}
    red = [_red(row, now) for row in rows if row.state == RED and not _trouble(row)]
    return [*silent.values(), *red]


def _trouble(row: Row) -> str:
    """Return why a host gave no report, or ""."""
    trouble = row.host.trouble
    return trouble.text if trouble and trouble.state == RED else ""


def _night(row: Row, now: str) -> str:
    return last_deadline(row.feed or {"deadline": None}, moment(now)).date().isoformat()


def _silent(row: Row, why: str, now: str) -> Entry:
    host = row.host.name
    return Entry(host, "", host, _night(row, now), (why,), SILENT_STEP.format(host=host))


def _red(row: Row, now: str) -> Entry:
    causes = tuple(problem.text for problem in row.problems if problem.state == RED)
    feed = str(row.feed.get("feed") or UNKNOWN_FEED)
    return Entry(row.host.name, feed, row.name, _night(row, now), causes, _step(row, feed))


def _step(row: Row, feed: str) -> str:
    """Return the next step for a red feed."""
    if row.command:
        return APPROVE.format(command=row.command)
    if feed not in (row.host.planned or ()):
        return SEE_ROW.format(host=row.host.name)
    last = row.feed.get("last") or {}
    if last.get("exit_code") and row.nights and last.get("night") == row.nights[-1].night:
        return next_step(Receipt.parse({**last, "feed": feed}))
    return ASK_HOST.format(host=row.host.name, feed=feed)


def compare(found: Sequence[Entry], told: Mapping[str, Any], asked: Collection[str]) -> News:
    """Return the news since the remembered entries. `asked` are the hosts of this run.

    A state is reported once a night. A host that the run did not ask is neither new nor in order.
    """
    keys = {entry.key for entry in found}
    silent = {entry.host for entry in found if entry.is_silent}
    resolved = {
        key: str(known["title"])
        for key, known in told.items()
        if key not in keys and (host := key.rpartition("/")[0]) in asked and host not in silent
    }
    new = [entry for entry in found if told.get(entry.key) != entry.memory]
    return News(new, resolved)


def remembered(
    found: Sequence[Entry], told: Mapping[str, Any], news: News, sent: Collection[str]
) -> dict[str, Any]:
    """Return the memory after a run. `sent` are the keys that at least one channel accepted.

    What no channel accepted is tried again by the next run.
    """
    kept = {key: known for key, known in told.items() if not _is_settled(key, news, sent)}
    return kept | {entry.key: entry.memory for entry in found if entry.key in sent}


def _is_settled(key: str, news: News, sent: Collection[str]) -> bool:
    return key in news.resolved and key in sent
