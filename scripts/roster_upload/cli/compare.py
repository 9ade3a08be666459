"""What the guard would say if one package followed another, without a feed and without a host."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.guard import guard
from roster_upload.package.built import require_scope
from roster_upload.spec.formats import OPAQUE
from roster_upload.terminal.tables import table
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from roster_upload.validation.options import ValidationOptions

ACTIONS = ("removed", "added", "changed")
WIDTH = 80


@dataclass(frozen=True)
class Answer:
    """What was found in two packages, and what the guard says of the second."""

    night: dt.date
    before: Report
    after: Report
    verdict: guard.Verdict

    @property
    def code(self) -> Exit:
        """Held, refused, or good."""
        if self.verdict.reasons:
            return Exit.HELD
        return Exit.OK if self.after.accepted and self.before.rows else Exit.REFUSED

    def record(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "held": bool(self.verdict.reasons),
            "accepted": self.after.accepted,
            "exit_code": int(self.code),
            "night": self.night.isoformat(),
            "reasons": [
                {"rule": reason.rule, "kind": reason.kind, "text": reason.text}
                for reason in self.verdict.reasons
            ],
            "changes": self.verdict.record(),
            "before": self.before.record(),
            "after": self.after.record(),
        }

    def text(self) -> str:
        """Return the answer for people."""
        lines = [*_findings("BEFORE", self.before), *_findings("AFTER", self.after)]
        lines += _table(self.verdict.record())
        lines += [f"held: {reason.text}" for reason in self.verdict.reasons]
        verdict = {
            Exit.OK: "the guard would let AFTER through",
            Exit.HELD: "the guard would hold AFTER",
            Exit.REFUSED: "the guard would let AFTER through, but validation refuses it"
            if self.before.rows
            else "BEFORE cannot be read, so there is nothing to compare with",
        }
        return "\n".join([*lines, f"night of {self.night}: {verdict[self.code]}"])


def compare(before: Path, after: Path, feed: Feed, night: dt.date) -> Answer:
    """Return what the guard of a feed would say. Raise Failure where a package cannot be read."""
    key = secrets.token_bytes(32)
    options = ValidationOptions.from_feed(feed)
    eve = night - dt.timedelta(days=1)
    old = check_path(before, options, eve, key)
    old.baseline.night = eve.isoformat()
    new = check_path(after, options, night, key)
    return Answer(night, old, new, guard.judge(feed, old.baseline, new.baseline, night))


def check_path(path: Path, options: ValidationOptions, night: dt.date, key: bytes = b"") -> Report:
    """Check a zip, or a folder of CSV files as it would be packed. Raise Failure."""
    export = exports.find(path, is_opaque=options.format == OPAQUE)
    if export.is_folder:
        with exports.snapshot(export, options.maximum_bytes) as copy:
            return check(copy.path, options, name=export.path.name, key=key, night=night)
    try:
        return check(export.path, options, key=key, night=night)
    except OSError as error:
        raise Failure(Exit.SOURCE, f"{export.path} cannot be read: {error.strerror}") from None


def check_export(feed: Feed, night: dt.date) -> Report:
    """Check what a feed would send of its export. Raise Failure."""
    options = ValidationOptions.from_feed(feed)
    if not feed.has_steps:
        return check_path(feed.source, options, night)
    from roster_upload.package.outgoing import build_package  # noqa: PLC0415 - only steps need it

    export = exports.find(feed.source, is_opaque=feed.is_opaque)
    with exports.snapshot(export, feed.maximum_bytes) as copy:
        built = build_package(feed, copy.path, copy.path.with_name("package.zip"), night)
        report = check(built.path if built else copy.path, options, night=night)
        if built and report.accepted:
            require_scope(built)
        return report


def _findings(name: str, report: Report) -> list[str]:
    return [f"{name}: {finding.text()}" for finding in report.findings.told]


def _table(changes: dict[str, Any]) -> list[str]:
    """Return the changes by kind as a table."""
    titles = ("before", "now", *ACTIONS)
    rows = [[kind, *(f"{change[title]:,}" for title in titles)] for kind, change in changes.items()]
    return list(chain.from_iterable(table([["", *titles], *rows], WIDTH, numbers=True)))
