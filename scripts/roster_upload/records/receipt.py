"""A receipt: the typed record of one delivery.

`Receipt.parse` accepts the JSON of any release, and of a damaged disk. It drops values of the
wrong type and adds defaults for missing ones. Only `Receipt.to_json` writes a receipt. The table in
the README describes the keys.
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
from roster_upload.records.parts import Approval, Change, File, KeyCheck, Notified, Remote, Waiting
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

VERSION = 3
EPOCH = "1970-01-01T00:00:00Z"


class Outcome(StrEnum):
    """The outcome of a run. The last three mark lines that are no receipts."""

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
        """Return the outcome of a delivery that failed with an exit code."""
        return OF_FAILURES.get(code, cls.FAILED)


OF_FAILURES = {
    Exit.STALE: Outcome.STALE,
    Exit.HELD: Outcome.HELD,
    Exit.REFUSED: Outcome.REFUSED,
    Exit.PAUSED: Outcome.SKIPPED,
}
OF_DELIVERIES = (Outcome.SENT, Outcome.SKIPPED, Outcome.HELD, Outcome.REFUSED, Outcome.STALE,
                 Outcome.FAILED)  # fmt: skip
IN_ORDER = (Outcome.SENT, Outcome.SKIPPED)  # nobody has to act
WELL = (*IN_ORDER, Outcome.REHEARSED)  # outcomes of exit code 0
MARKS = (Outcome.BEGUN, Outcome.ENDED, Outcome.PRUNED)  # lines that are no receipts
# A rehearsal is no delivery. Neither is an approval or the watcher's alarm.
DELIVERIES = ("send", "resend")
RUNS = (*DELIVERIES, "rehearse")  # commands whose receipts have all keys
# States of the vendor's file after a failed transfer: names of `transfer.info.Holds`.
UNSURE = ("new", "unknown", "part")
OF_SOURCE = (
    "the export: `path`, `bytes`, `sha256`, `modified`, `content`. One from a server also has "
    "`origin`, `name`, `after` (`removed`, `left`) and `note`. `cause` says why there is none"
)
OF_KEYS = (
    "check of the ledger with its key, at the start: `lines`, `breaks` with their `code`, "
    "`position` and `night`"
)
KILLED = (
    "the run of {started} was killed before its end by the system (out of memory), a signal or a "
    "power cut. {holds}"
)
NOTHING_SENT = "Nothing was sent"
MAY_HOLD = "The vendor may hold its file"


def outcome(value: Any) -> Outcome:
    """Return the outcome of a name, UNKNOWN for that of a newer release. Raise Misfit."""
    try:
        return Outcome(text(value))
    except ValueError:
        return Outcome.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One line of a ledger: the receipt of a run, or the mark of its start or end."""

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
    source: File = key(File.parse, OF_SOURCE, File())
    package: File = key(
        File.parse,
        "the package made of the export: `bytes`, `sha256`, `content`, `steps`. Empty "
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
        "the file at the vendor under the remote name, once a transfer has begun: `old`, `new`, "
        "`unknown`, `nothing`, `part`",
    )
    lost: tuple[str, ...] = key(each(text), "receipts that were missing at the start", ())
    attempts: int = key(whole, "attempts of the transfer", 0)
    seconds: Mapping[str, float] = key(
        table(number),
        "seconds by phase: `fetch`, `settle`, `snapshot`, `package`, `validate`, `guard`, `dns`, "
        "`tcp`, `kex`, `auth`, `open`, `list`, `write`, `close`, `rename`, `verify`",
        {},
    )
    program: str = key(text, "version of the program")
    digest: str = key(digest, "digest of the export that an approval lets through")
    who: str = key(text, "account that approved")
    why: str = key(text, "reason of the approval")
    lines: int | None = key(maybe(whole), "number of removed lines, in a `pruned` line", None)
    continues: str = key(text, "digest of the last pruned line")
    checked: KeyCheck | None = key(KeyCheck.parse, OF_KEYS, None)
    previous: str = key(text, "digest of the line before")
    others: Mapping[str, Any] = field(default_factory=dict)  # keys of newer releases

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Receipt:
        """Return a receipt from the JSON of any release. Never fail."""
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
        """Return the receipt as JSON values. The receipt of a run has its empty keys, too."""
        is_full = self.command in RUNS and self.outcome not in (*MARKS, Outcome.APPROVED)
        written = written_keys(self, is_full=is_full)
        return {**written, **self.others}

    # ---- facts of a receipt ----------------------------------------------------------------------

    @property
    def outcome_text(self) -> str:
        """Return the outcome as text, even that of a newer release."""
        return str(self.others.get("outcome", self.outcome.value))

    @property
    def is_delivery(self) -> bool:
        """Return whether the receipt is that of a delivery."""
        return self.command in DELIVERIES

    @property
    def is_sent(self) -> bool:
        """Return whether the vendor has the file."""
        return self.outcome is Outcome.SENT

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to act: sent, or skipped by plan."""
        return self.outcome in IN_ORDER

    @property
    def is_mark(self) -> bool:
        """Return whether the line is no receipt."""
        return self.outcome in MARKS

    @property
    def can_be_approved(self) -> bool:
        """Return whether an approval can let its export through: it is held, or removals wait."""
        return self.outcome is Outcome.HELD or self.waiting is not None

    @property
    def is_unsure(self) -> bool:
        """Return whether the vendor may hold its file, though it was not sent."""
        return self.at_vendor in UNSURE and not self.is_sent

    @property
    def is_busy(self) -> bool:
        """Return whether the start found the feed busy.

        A start that got no transfer slot has the same exit code, but it has read its export.
        """
        return self.exit_code == Exit.BUSY and not self.source.sha256

    @property
    def sent_file(self) -> File:
        """Return the file for the vendor: the package, or the export without one."""
        return self.package if self.package != File() else self.source

    @property
    def export_sha256(self) -> str:
        """Return the SHA-256 of the export, or "" if it is unusable.

        The feed's account can write any text there, and operators type it into commands.
        """
        return self.source.sha256 if re.fullmatch(r"[0-9a-f]{64}", self.source.sha256) else ""

    @property
    def feed_name(self) -> str:
        """Return the name of the feed, or "" if it is unusable, as in export_sha256."""
        return self.feed if re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.feed) else ""

    @property
    def seconds_to_deadline(self) -> float | None:
        """Return the seconds from the end to the deadline, below zero for a late delivery."""
        if self.deadline:
            return epoch(self.deadline) - epoch(self.finished)
        minutes = self.minutes_to_deadline  # version 1 has only this, from its start
        return None if minutes is None else minutes * 60.0

    @property
    def notified_findings(self) -> list[Finding]:
        """Return the findings that were part of a notification."""
        keys = {one.key for one in self.notified or ()}
        return [finding for finding in self.findings if finding.key in keys]

    # ---- lines made of a receipt -----------------------------------------------------------------

    def begun(self, now: str) -> Receipt:
        """Return the line for the start of the run, or of its transfer."""
        kept = {name: getattr(self, name) for name in OF_THE_BEGINNING}
        return Receipt(**kept, outcome=Outcome.BEGUN, finished=now)

    def ended(self, now: str) -> Receipt:
        """Return the line for the end of a run without a receipt."""
        return Receipt(
            run=self.run,
            feed=self.feed,
            command=self.command,
            started=self.started,
            outcome=Outcome.ENDED,
            finished=now,
        )

    def brief(self) -> Receipt:
        """Return a small receipt, for a disk or a value that refuses the complete one."""
        kept = {name: getattr(self, name) for name in OF_THE_LEAST}
        return Receipt(**kept)

    def continued(self, later: Receipt) -> Receipt:
        """Return this `begun` line with the keys of a later one of the same run."""
        return Receipt.parse({**self.to_json(), **later.to_json()})

    def killed(self) -> Receipt:
        """Return the receipt of a run that was killed after this line."""
        holds = MAY_HOLD if self.at_vendor else NOTHING_SENT
        return replace(
            self,
            v=VERSION,
            previous="",
            others={name: value for name, value in self.others.items() if name not in OF_A_LINE},
            outcome=Outcome.FAILED,
            exit_code=int(Exit.KILLED),
            message=KILLED.format(started=self.started, holds=holds),
        )


# Keys of a line, beside those of its receipt: see `records.chain`.
OF_A_LINE = ("torn", "previous", "key", "new_key", "mac")
# Fields that are known before a run ends. A killed run has only these.
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
