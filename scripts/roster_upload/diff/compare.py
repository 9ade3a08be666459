"""The guard's verdict on one package after another, without a feed and without a host."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.guard import guard
from roster_upload.package.built import require_scope
from roster_upload.spec.formats import OPAQUE
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from roster_upload.validation.options import ValidationOptions


@dataclass(frozen=True)
class Answer:
    """The findings in two packages, and the guard's verdict on the second."""

    night: dt.date
    before: Report
    after: Report
    verdict: guard.Verdict

    @property
    def code(self) -> Exit:
        """Return the exit code: held, refused, or good."""
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


def compare(before: Path, after: Path, feed: Feed, night: dt.date) -> Answer:
    """Return a feed's verdict on `after`. Raise Failure if a package cannot be read."""
    key = secrets.token_bytes(32)
    options = ValidationOptions.from_feed(feed)
    eve = night - dt.timedelta(days=1)
    old = check_path(before, options, eve, key)
    old.baseline.night = eve.isoformat()
    new = check_path(after, options, night, key)
    return Answer(night, old, new, guard.judge(feed, old.baseline, new.baseline, night))


def check_path(
    path: Path, options: ValidationOptions, night: dt.date, key: bytes = b"", name: str = ""
) -> Report:
    """Check a zip, or a folder of CSV files as it would be packed. Raise Failure."""
    export = exports.find(path, is_opaque=options.format == OPAQUE)
    if export.is_folder:
        with exports.snapshot(export, options.maximum_bytes) as copy:
            return check(copy.path, options, name=name or export.path.name, key=key, night=night)
    try:
        return check(export.path, options, name=name, key=key, night=night)
    except OSError as error:
        raise Failure(Exit.SOURCE, f"{export.path} cannot be read: {error.strerror}") from None


def check_export(feed: Feed, night: dt.date, name: str = "") -> Report:
    """Check the package that a feed would send. Raise Failure.

    `name` is that of an export that was fetched.
    """
    options, path = ValidationOptions.from_feed(feed), exports.path_of(feed)
    if not feed.has_steps:
        return check_path(path, options, night, name=name)
    from roster_upload.package.outgoing import build_package  # noqa: PLC0415 - only steps need it

    export = exports.find(path, is_opaque=feed.is_opaque)
    with exports.snapshot(export, feed.maximum_bytes) as copy:
        built = build_package(feed, copy.path, copy.path.with_name("package.zip"), night)
        report = check(built.path if built else copy.path, options, night=night)
        if built and report.accepted:
            require_scope(built)
        return report
