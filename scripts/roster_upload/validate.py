"""Checks an export by the rules of its format; everything that is sent has gone through here."""

from __future__ import annotations

import gc
import secrets
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster_upload import archive, oneroster, traditional
from roster_upload.census import Census, Prints
from roster_upload.config import DEFAULTS, OPAQUE, Feed
from roster_upload.findings import Findings, Report


@dataclass(frozen=True)
class Terms:
    """What an export is checked by."""

    format: str = "oneroster-1.1"
    rules: Mapping[str, str] = field(default_factory=dict)  # rule to severity
    traditional_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_delete_unlisted: bool = False
    minimum_bytes: int = int(str(DEFAULTS["minimum_bytes"]))
    maximum_bytes: int = int(str(DEFAULTS["maximum_bytes"]))
    remote_name: str = ""

    @classmethod
    def of(cls, feed: Feed) -> Terms:
        """Those of a feed."""
        return cls(**{name: getattr(feed, name) for name in cls.__dataclass_fields__})


Checker = Callable[[zipfile.ZipFile, Report, Prints, Terms], None]
# Format: what looks into its zip; None where the file is not looked into.
CHECKERS: Mapping[str, Checker | None] = {
    "oneroster-1.1": lambda package, report, prints, _: oneroster.check(package, report, prints),
    "traditional-literacy": traditional.check,
    "traditional-math": traditional.check,
    OPAQUE: None,
}


def check(path: Path, terms: Terms | None = None, *, name: str = "", key: bytes = b"") -> Report:
    """Checks an export, a zip or for `other` any file; raises OSError where it cannot be read.

    `name` is what the export is called where it came from; `key` is the key of the hashes that the
    guard compares, a fresh one where there is nothing to compare with.
    """
    terms = terms or Terms()
    name = name or path.name
    report = Report(Findings(terms.rules), Census())
    size = path.stat().st_size
    if size < terms.minimum_bytes:
        detail = f"{size:,} bytes, {terms.minimum_bytes:,} is the least"
        report.findings.add("file.too-small", name, detail=detail)
    if size > terms.maximum_bytes:
        detail = f"{size:,} bytes, {terms.maximum_bytes:,} is the most"
        report.findings.add("file.too-large", name, detail=detail)
    checker = CHECKERS[terms.format]
    if checker is None:
        if Path(name).suffix.lower() != Path(terms.remote_name or name).suffix.lower():
            report.findings.add("file.name", name)
        report.census.rows["bytes"] = size
        return report
    if not report.accepted:
        return report
    # Millions of small lists come and go; none of them is ever part of a circle.
    was_on = gc.isenabled()
    gc.disable()
    try:
        with archive.Reader(path.open("rb", buffering=0)) as handle:
            try:
                package = zipfile.ZipFile(handle)
            except archive.TooLarge:
                detail = "too many files in it"
                report.findings.add("package.too-large", "the package", detail=detail)
                return report
            except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
                report.findings.add("package.not-zip", name)
                return report
            with package:
                checker(package, report, Prints(key or secrets.token_bytes(32)), terms)
    finally:
        if was_on:
            gc.enable()
    return report
