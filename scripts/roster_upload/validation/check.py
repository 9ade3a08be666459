"""Checks a package by the rules of its format. Everything that is sent has gone through here."""

from __future__ import annotations

import datetime as dt
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from roster_upload.guard.baseline import Baseline
from roster_upload.guard.hashing import KeyedHasher
from roster_upload.host.memory import give_back
from roster_upload.spec import spec
from roster_upload.spec.formats import OPAQUE
from roster_upload.validation import archive, oneroster, traditional
from roster_upload.validation.findings import Budget, Findings, Report
from roster_upload.validation.options import ValidationOptions
from roster_upload.validation.zip_layout import Ambiguous, TooLarge
from roster_upload.validation.zip_package import ZipPackage

Checker = Callable[[zipfile.ZipFile, Report, KeyedHasher, ValidationOptions, dt.date], None]
# Format: what looks into its zip. None where the file is not looked into.
CHECKERS: Mapping[str, Checker | None] = {
    "oneroster-1.1": lambda package, report, hasher, _, night: oneroster.check(
        package, report, hasher, night
    ),
    "traditional-literacy": traditional.check,
    "traditional-math": traditional.check,
    OPAQUE: None,
}


def check(
    path: Path,
    options: ValidationOptions | None = None,
    *,
    name: str = "",
    key: bytes = b"",
    night: dt.date | None = None,
) -> Report:
    """Check a package, a zip or for `other` any file. Raise OSError where it cannot be read.

    `name` is what it is called where it came from. `key` is the key of the hashes that the guard
    compares, a fresh one where there is nothing to compare with. `night` is the day for which it is
    judged, today (UTC) by default.
    """
    options = options or ValidationOptions()
    name = name or path.name
    night = night or dt.datetime.now(dt.UTC).date()
    budget = Budget(options.faulty_rows_percent, options.faulty_rows_count)
    is_known = options.format == "oneroster-1.1"
    unused = spec("imagine-learning")["unused"] if is_known else {}
    report = Report(Findings(options.rules, unused, budget), Baseline())
    size = path.stat().st_size
    if size < options.minimum_bytes:
        detail = f"{size:,} bytes, {options.minimum_bytes:,} is the least"
        report.findings.add("file.too-small", name, detail=detail)
    if size > options.maximum_bytes:
        detail = f"{size:,} bytes, {options.maximum_bytes:,} is the most"
        report.findings.add("file.too-large", name, detail=detail)
    checker = CHECKERS[options.format]
    if checker is None:
        if Path(name).suffix.lower() != Path(options.remote_name or name).suffix.lower():
            report.findings.add("file.name", name)
        report.baseline.rows["bytes"] = size
        return report
    if not report.accepted:
        return report
    try:
        package = ZipPackage(path)
    except TooLarge:
        detail = "too many files in it"
        report.findings.add("package.too-large", "the package", detail=detail)
        return report
    except Ambiguous as error:
        report.findings.add("package.ambiguous", "the package", detail=str(error))
        return report
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        report.findings.add("package.not-zip", name)
        return report
    with package:
        report.content = archive.digest_of(package)
        hasher = KeyedHasher(key or secrets.token_bytes(32))
        checker(package, report, hasher, options, night)
        if report.accepted:
            archive.read_rest(package, report.findings)
    give_back(sum(report.rows.values()))
    return report
