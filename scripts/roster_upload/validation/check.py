"""Check a package by the rules of its format. Every package is checked here before it is sent."""

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
# The checker of each format. None means that the file's content is not checked.
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
    """Return the report of a package: a zip, or any file for the format `other`.

    Raise OSError if it cannot be read. `name` is the export's own name. `key` is the key of the
    guard's hashes. Without one, a new key is made, and the hashes can be compared with nothing.
    `night` is the day of the delivery, today (UTC) by default.
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
        detail = f"{size:,} bytes, the minimum is {options.minimum_bytes:,}"
        report.findings.add("file.too-small", name, detail=detail)
    if size > options.maximum_bytes:
        detail = f"{size:,} bytes, the maximum is {options.maximum_bytes:,}"
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
