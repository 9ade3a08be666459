"""A receipt: the record of one delivery, as a type.

`Receipt.parse` takes the JSON of any release and of a damaged disk. Values that do not fit are
dropped, and missing ones get their defaults. `Receipt.to_json` is the one way to write a receipt.
Its keys and their texts are the table in the README.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from roster_upload.exits import Exit
from roster_upload.records.finding import Finding
from roster_upload.records.parts import Approval, Change, File, Notified, Remote, Waiting
from roster_upload.records.plain_json import plain
from roster_upload.records.schema import (
    day,
    digest,
    each,
    flag,
    key,
    keys_of,
    maybe,
    moment,
    number,
    parse_keys,
    table,
    text,
    whole,
    written_keys,
)

VERSION = 2
EPOCH = "1970-01-01T00:00:00Z"


class Outcome(StrEnum):
    """How a run ended. The last ones are of lines that are no receipts."""

    SENT = "sent"
    SKIPPED = "skipped"
    HELD = "held"
    REFUSED = "refused"
    STALE = "stale"
    FAILED = "failed"
    REHEARSED = "rehearsed"
    APPROVED = "approved"
    UNKNOWN = "unknown"  # of a newer release, or of a damaged disk
    BEGUN = "begun"
    ENDED = "ended"
    PRUNED = "pruned"

    @classmethod
    def of_failure(cls, code: Exit) -> Outcome:
        """Return the outcome of a delivery that an exit code has stopped."""
        return OF_FAILURES.get(code, cls.FAILED)


OF_FAILURES = {
    Exit.STALE: Outcome.STALE,
    Exit.HELD: Outcome.HELD,
    Exit.REFUSED: Outcome.REFUSED,
    Exit.PAUSED: Outcome.SKIPPED,
}
OF_DELIVERIES = (Outcome.SENT, Outcome.SKIPPED, Outcome.HELD, Outcome.REFUSED, Outcome.STALE,
                 Outcome.FAILED)  # fmt: skip
IN_ORDER = (Outcome.SENT, Outcome.SKIPPED)  # outcomes of a night that asks for nothing
WELL = (*IN_ORDER, Outcome.REHEARSED)  # outcomes of exit code 0
MARKS = (Outcome.BEGUN, Outcome.ENDED, Outcome.PRUNED)  # lines that are no receipts
# A rehearsal is no delivery. Neither is an approval or the watcher's alarm.
DELIVERIES = ("send", "resend")
RUNS = (*DELIVERIES, "rehearse")  # commands whose receipts have all keys
# What the vendor may hold after a transfer that did not end well: names of `transfer.info.Holds`.
UNSURE = ("new", "unknown", "part")
KILLED = (
    "the run of {started} was killed before its end: by the system (out of memory), a signal, or a "
    "power cut; {holds}"
)
NOTHING_SENT = "nothing was sent"
MAY_HOLD = "the vendor may hold its file"


def outcome(value: Any) -> Outcome:
    """Return the outcome of a name. A newer release may know others. Raise Misfit."""
    try:
        return Outcome(text(value))
    except ValueError:
        return Outcome.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One line of a ledger: the receipt of a run, or a mark that a run has begun or ended."""

    v: int = key(whole, "version of this table", VERSION, always=True)
    run: str = key(text, "name of the run, in all its lines")
    feed: str = key(text, "feed")
    district: str = key(text, "district")
    command: str = key(
        text, "`send`, `resend`, `rehearse`, `watch` or `approve`", "send", always=True
    )
    outcome: Outcome = key(
        outcome,
        "`sent`, `skipped` (calendar, unchanged), `held` (guard), `refused` (rules), `stale`, "
        "`failed`, `rehearsed`, `approved`",
        Outcome.UNKNOWN,
        always=True,
    )
    exit_code: int | None = key(maybe(whole), "exit code of the run", None)
    message: str = key(text, "message to the operator", always=True)
    started: str = key(moment, "start of the run (UTC)")
    finished: str = key(moment, "end of the run (UTC)", EPOCH, always=True)
    night: str = key(day, "day of the deadline that the run belongs to")
    deadline: str = key(moment, "deadline (UTC)")
    in_window: bool = key(flag, "whether the run started inside the window", True)
    minutes_to_deadline: float | None = key(
        maybe(number), "minutes from the start to the deadline", None
    )
    source: File = key(
        File.parse, "the export: `path`, `bytes`, `sha256`, `modified`, `content`", File()
    )
    package: File = key(
        File.parse,
        "the package that was made of the export: `bytes`, `sha256`, `content`, `steps`. Empty "
        "where the export itself is sent",
        File(),
    )
    rows: Mapping[str, int] = key(table(whole), "rows of each file that is sent", {})
    faulty_rows: Mapping[str, int] = key(
        table(whole), "rows with a fault by file, also of rows that were removed by a step", {}
    )
    findings: tuple[Finding, ...] = key(
        each(Finding.parse),
        "all findings: `rule`, `severity` (`error`, `fault`, `warning`, `ignored`), `file`, "
        "`column`, `detail`, `count`, the first `rows`",
        (),
    )
    notified: tuple[Notified, ...] | None = key(
        each(Notified.parse),
        "findings in the notification of this delivery: `rule`, `file`, `column`, `count`",
        None,
        name="told",
    )
    unchanged_nights: int | None = key(
        maybe(whole), "nights in a row before this one with the same export", None
    )
    unchanged_limit: int | None = key(
        maybe(whole), "number of such nights from which the feed is amber (0: never)", None
    )
    waiting: Waiting | None = key(
        Waiting.parse,
        "removals that wait: `since`, `nights` with this one, `counts` by kind. Also set where "
        "the export is held because the removals have waited too long",
        None,
    )
    changes: Mapping[str, Change] = key(
        table(Change.parse),
        "changes of the effective roster by kind of record: `before`, `now`, `added`, `removed`, "
        "`changed`",
        {},
    )
    reasons: tuple[str, ...] = key(
        each(text), "reasons of the guard to hold the export", (), name="held"
    )
    approved: Approval | None = key(
        Approval.parse, "approval that let the export through: `who`, `why`, `finished`", None
    )
    expected_change: str = key(text, "expected change that widened the limits")
    remote: Remote = key(
        Remote.parse,
        "`host`, `port`, `address`, `dir`, `name`, `login`, `server`, `host_key`. `bytes` (absent "
        "where the server hides sizes), `method` of renaming, `verified` by `hash`, `size`, "
        "`answers` or `taken`. `server_changed`",
        Remote(),
    )
    at_vendor: str = key(
        text,
        "what the vendor holds under the remote name, once a transfer has begun: `old`, `new`, "
        "`unknown`, `nothing`, `part`",
    )
    lost: tuple[str, ...] = key(each(text), "receipts that were missing at the start", ())
    attempts: int = key(whole, "attempts of the transfer", 0)
    seconds: Mapping[str, float] = key(
        table(number),
        "seconds by phase: `settle`, `snapshot`, `package`, `validate`, `guard`, `dns`, `tcp`, "
        "`kex`, `auth`, `open`, `list`, `write`, `close`, `rename`, `verify`",
        {},
    )
    program: str = key(text, "version of the program")
    digest: str = key(digest, "digest of the export that an approval lets through")
    who: str = key(text, "account that approved")
    why: str = key(text, "reason of the approval")
    lines: int | None = key(maybe(whole), "number of removed lines, in a `pruned` line", None)
    continues: str = key(text, "digest of the last pruned line")
    previous: str = key(text, "digest of the line before")
    others: Mapping[str, Any] = field(default_factory=dict)  # keys of newer releases

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Receipt:
        """Return a receipt from JSON of any release. It never fails."""
        values = plain(stored)
        found = parse_keys(cls, values)
        known = {name for name, _ in keys_of(cls)}
        others = {name: value for name, value in values.items() if name not in known}
        ending = found.get("outcome", Outcome.UNKNOWN)
        if ending is Outcome.UNKNOWN and isinstance(values.get("outcome"), str):
            others["outcome"] = values["outcome"]
        finished = found.setdefault("finished", found.get("started", EPOCH))
        if ending is Outcome.APPROVED:
            found["command"] = "approve"
        else:
            found.setdefault("started", finished)
            found.setdefault("night", finished[:10])
            if found.get("exit_code") is None:
                found["exit_code"] = int(Exit.OK if ending in WELL else Exit.INTERNAL)
        return cls(**found, others=others)

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as JSON values. A run's own receipt has its empty keys, too."""
        is_full = self.command in RUNS and self.outcome not in (*MARKS, Outcome.APPROVED)
        written = written_keys(self, is_full=is_full)
        return {**written, **self.others}

    # ---- what a receipt says ---------------------------------------------------------------------

    @property
    def outcome_text(self) -> str:
        """Return the outcome for people, also that of a newer release."""
        return str(self.others.get("outcome", self.outcome.value))

    @property
    def is_delivery(self) -> bool:
        """Return whether it is of a delivery."""
        return self.command in DELIVERIES

    @property
    def is_sent(self) -> bool:
        """Return whether the vendor has the file."""
        return self.outcome is Outcome.SENT

    @property
    def is_in_order(self) -> bool:
        """Return whether the night asks for nothing: sent, or skipped by plan."""
        return self.outcome in IN_ORDER

    @property
    def is_mark(self) -> bool:
        """Return whether the line is no receipt."""
        return self.outcome in MARKS

    @property
    def can_be_approved(self) -> bool:
        """Return whether an approval lets its export through: it is held, or removals wait."""
        return self.outcome is Outcome.HELD or self.waiting is not None

    @property
    def is_unsure(self) -> bool:
        """Return whether the vendor may hold its file, though it was not sent."""
        return self.at_vendor in UNSURE and not self.is_sent

    @property
    def is_busy(self) -> bool:
        """Return whether the start found the feed busy.

        A start that waited in vain for a transfer slot has read its export, and failed.
        """
        return self.exit_code == Exit.BUSY and not self.source.sha256

    @property
    def sent_file(self) -> File:
        """Return the file that goes to the vendor: the package, or the export."""
        return self.package if self.package != File() else self.source

    @property
    def export_sha256(self) -> str:
        """Return the SHA-256 of the export, or "" for anything else.

        The feed's account can write anything there, and operators type it into commands.
        """
        return self.source.sha256 if re.fullmatch(r"[0-9a-f]{64}", self.source.sha256) else ""

    @property
    def feed_name(self) -> str:
        """Return the name of the feed, or "" for anything else, as in export_sha256."""
        return self.feed if re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.feed) else ""

    @property
    def seconds_to_deadline(self) -> float | None:
        """Return the seconds between end and deadline, below zero for a late one."""
        if self.deadline:
            return epoch(self.deadline) - epoch(self.finished)
        minutes = self.minutes_to_deadline  # of version 1, at its start
        return None if minutes is None else minutes * 60.0

    @property
    def notified_findings(self) -> list[Finding]:
        """Return the findings of which people were notified."""
        keys = {one.key for one in self.notified or ()}
        return [finding for finding in self.findings if finding.key in keys]

    # ---- lines that are made of a receipt --------------------------------------------------------

    def begun(self, now: str) -> Receipt:
        """Return the line that says what the run is about to do."""
        kept = {name: getattr(self, name) for name in OF_THE_BEGINNING}
        return Receipt(**kept, outcome=Outcome.BEGUN, finished=now)

    def ended(self, now: str) -> Receipt:
        """Return the line that says that the run is over and has no receipt."""
        return Receipt(
            run=self.run,
            feed=self.feed,
            command=self.command,
            started=self.started,
            outcome=Outcome.ENDED,
            finished=now,
        )

    def brief(self) -> Receipt:
        """Return what is written where the whole receipt cannot be."""
        kept = {name: getattr(self, name) for name in OF_THE_LEAST}
        return Receipt(**kept)

    def continued(self, later: Receipt) -> Receipt:
        """Return this `begun` line with what a later one of the same run adds."""
        return Receipt.parse({**self.to_json(), **later.to_json()})

    def killed(self) -> Receipt:
        """Return the receipt of a run that was killed after this line."""
        holds = MAY_HOLD if self.at_vendor else NOTHING_SENT
        return replace(
            self,
            v=VERSION,
            previous="",
            others={name: value for name, value in self.others.items() if name != "torn"},
            outcome=Outcome.FAILED,
            exit_code=int(Exit.KILLED),
            message=KILLED.format(started=self.started, holds=holds),
        )


# What is known of a run before it ends, in case it is killed.
OF_THE_BEGINNING = ("run", "feed", "district", "command", "started", "night", "deadline",
                    "in_window", "minutes_to_deadline", "source", "package", "remote", "at_vendor",
                    "lost", "program")  # fmt: skip
OF_THE_LEAST = (*OF_THE_BEGINNING, "outcome", "exit_code", "message", "finished")


def epoch(text: str) -> float:
    """Return a moment (ISO 8601, UTC) in seconds since 1970."""
    return dt.datetime.fromisoformat(text).timestamp()


def table_of_keys() -> Iterator[tuple[str, str]]:
    """Yield the keys of a receipt and their texts, for the documents."""
    for name, one in keys_of(Receipt):
        yield name, one.metadata["words"]
