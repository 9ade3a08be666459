"""Check a OneRoster 1.1 package directly in its zip, by the rules of `spec/`.

Rows are read in batches and checked by column. The same pass builds the guard's baseline
(`guard.baseline`).
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.hashing import KeyedHasher
from roster_upload.host.memory import give_back
from roster_upload.spec import spec
from roster_upload.validation import archive, text
from roster_upload.validation.batch import Batch
from roster_upload.validation.column_rules import ColumnRules, ReferenceTarget
from roster_upload.validation.columns import IdIndex, Numbered, Values
from roster_upload.validation.csv_reader import CsvReader
from roster_upload.validation.file_records import FileRecords, SharedRecords
from roster_upload.validation.findings import Report
from roster_upload.validation.lines import Unreadable
from roster_upload.validation.manifest import MANIFEST, Manifest
from roster_upload.validation.row_rules import RowRules

# The column with the type of a row that references may point to, by file.
REFERRED_TYPES = {"orgs": "type", "academicSessions": "type", "users": "role"}
# The most rows of spreadsheets, including the header.
SHEET_ROWS = (65_536, 1_048_576)
Flags = npt.NDArray[np.bool_]


def check(package: zipfile.ZipFile, report: Report, hasher: KeyedHasher, night: dt.date) -> None:
    """Check a package and fill its report and baseline. `night` is the day of the delivery."""
    OneRosterPackage(package, report, hasher, night).check()


class OneRosterPackage:
    """The check of one package."""

    def __init__(
        self, package: zipfile.ZipFile, report: Report, hasher: KeyedHasher, night: dt.date
    ) -> None:
        self.archive = package
        self.report = report
        self.findings = report.findings
        self.baseline = report.baseline
        self.shared = SharedRecords(hasher)
        self.night = night
        self.spec = spec("oneroster-1.1")
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.manifest = Manifest(self.findings)
        columns = chain.from_iterable(f["columns"] for f in self.spec["files"].values())
        self.referred = {column["ref"] for column in columns if "ref" in column}

    def check(self) -> None:
        """Check the layout, the manifest, then each file in the order of its references."""
        known = [MANIFEST, *(f"{name}.csv" for name in self.spec["data_files"])]
        names = archive.FileNames(known)
        members = archive.members(self.archive, self.findings, names, names.like)
        if any(finding.rule.startswith("package.") for finding in self.findings.errors):
            return  # misplaced and unreadable files would be reported as missing, too
        self.members = members
        if MANIFEST in members:
            self.manifest.read(self.archive, members)
        else:
            self.findings.add("manifest.missing", MANIFEST)
        modes = self.manifest.modes
        is_empty = members.keys() == {MANIFEST} and set(modes.values()) == {"absent"}
        if is_empty:
            self.findings.add("manifest.only", MANIFEST)
        else:
            self._required_files()
        for name in self.spec["data_files"]:
            if f"{name}.csv" in members:
                self._needs(name)
                OneRosterFile(self, name, members[f"{name}.csv"]).check()
        self._finish()
        self.baseline.is_unchanged = is_empty

    def _required_files(self) -> None:
        for name in spec("imagine-learning")["required_files"]:
            # An announced file that is missing has been reported already.
            if f"{name}.csv" not in self.members and self.manifest.modes.get(name) not in (
                "bulk",
                "delta",
            ):
                self.findings.add("imagine.required-file", f"{name}.csv")

    def _needs(self, name: str) -> None:
        for needed in self.spec["files"][name].get("needs", ()):
            is_reported = self.findings.count("manifest.not-delivered", f"{needed}.csv")
            if (
                f"{needed}.csv" not in self.members
                and self.mode(name) != "delta"
                and not is_reported
            ):
                self.findings.add("package.needs", f"{name}.csv", detail=f"{needed}.csv")

    def mode(self, name: str) -> str:
        """Return the mode of a file that is in the package."""
        return "delta" if self.manifest.modes.get(name) == "delta" else "bulk"

    def is_broken(self, name: str) -> bool:
        """Return whether a file is missing or not wholly readable."""
        if f"{name}.csv" not in self.members:
            return True
        return any(
            finding.file == f"{name}.csv"
            and finding.rule.startswith(("package.", "csv.", "value.delta", "value.bulk"))
            and not finding.rule.startswith("csv.line-ends")
            for finding in self.findings.errors
        )

    def _finish(self) -> None:
        """Check what needs all files, and fill the baseline."""
        baseline = self.baseline
        self._look_for_teachers()
        baseline.schools = self.shared.schools.texts
        baseline.sessions = self.shared.sessions.all()
        if "courses" in baseline.records and len(self.shared.classes.hash_of):
            courses = baseline.records["courses"]
            whens = self.shared.classes.whens_of_courses(len(self.shared.hashes["courses"]))
            courses.when = courses.when.copy()
            courses.when[np.searchsorted(courses.ids, self.shared.hashes["courses"])] = whens
        baseline.calendars = list(self.shared.calendars)
        baseline.modes = {
            name: self.mode(name) for name in self.spec["data_files"] if name in baseline.rows
        }
        days = [(s.first, s.last) for s in baseline.sessions if "" < s.first <= s.last]
        tonight = self.night.isoformat()
        if days and not min(d[0] for d in days) <= tonight <= max(d[1] for d in days):
            self.findings.add("session.today", "academicSessions.csv")

    def _look_for_teachers(self) -> None:
        """Report classes without a teacher, unless errors in enrollments are the cause."""
        is_reported = any(finding.file == "enrollments.csv" for finding in self.findings.errors)
        names = ("classes", "enrollments")
        is_known = all(self.mode(one) == "bulk" and not self.is_broken(one) for one in names)
        if self.baseline.rows.get("enrollments") and is_known and not is_reported:
            without = np.flatnonzero(~self.shared.classes.has_teacher[:-1])
            self.findings.add_rows("class.no-teacher", "classes.csv", "", without + 2)


class OneRosterFile:
    """The check of one data file."""

    def __init__(self, package: OneRosterPackage, name: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.name = name
        self.file = f"{name}.csv"
        self.info = info
        self.mode = package.mode(name)
        self.spec: Mapping[str, Any] = package.spec["files"][name]
        self.columns: list[Mapping[str, Any]] = self.spec["columns"]
        self.at = {column["name"]: i for i, column in enumerate(self.columns)}
        self.is_referred = name in package.referred
        self.ids = IdIndex()
        kinds = Numbered()
        self.records = FileRecords(
            self.findings, name, self.mode, self.columns, package.shared, kinds
        )
        self.row_rules = RowRules(self.findings, name, self.spec, package.shared, kinds)

    def check(self) -> None:
        """Check all rows. The file's sourcedIds are known to the package afterwards."""
        self.package.shared.ids[self.name] = self.ids
        rows = None
        try:
            rows = CsvReader(self.package.archive, self.info, self.file, self.findings)
            if self._header(rows.header) or not rows.header:
                self._read(rows)
                if rows.count <= 1:
                    self.findings.add("csv.no-rows", self.file)
                if rows.count in SHEET_ROWS:
                    self.findings.add("csv.spreadsheet-rows", self.file, detail=f"{rows.count:,}")
        except Unreadable:
            pass
        count = max(rows.count - 1, 0) if rows else 0
        self.package.report.rows[self.name] = count
        if faulty := self.findings.close(self.file, count):
            self.package.report.faulty_rows[self.name] = faulty
        give_back(count)

    def _header(self, header: list[str]) -> bool:
        """Return whether the header is the standard's, with `metadata.` columns at its end only."""
        if not header:
            return False
        wanted = [column["name"] for column in self.columns]
        # Extra columns are allowed after the standard's, with names like this.
        wanted += [name for name in header[len(wanted) :] if re.fullmatch(r"metadata\.\S.*", name)]
        pairs = enumerate(zip_longest(header, wanted))
        others = ((n, a or "", b or "") for n, (a, b) in pairs if a != b)
        index, found, expected = next(others, (-1, "", ""))
        if index < 0:
            twice = next((i for i, name in enumerate(header) if name in header[:i]), 0)
            if not twice:
                return True
            detail = f"column {twice + 1} has the name of another"
        elif index >= len(self.columns):
            detail = f"column {index + 1} must be named metadata.… or be removed"
            is_other = not found.lower().startswith("metadata.")
            detail += text.difference(found, "" if is_other else found.lower())
        else:
            detail = f"column {index + 1} must be {expected}"
            is_old = found in self.spec.get("old", {})
            old = f". {found} is its name in OneRoster 1.0"
            detail += old if is_old else text.difference(found, expected)
        self.findings.add("csv.header", self.file, detail=detail, row=1)
        return False

    def _read(self, rows: CsvReader) -> None:
        """Check all rows."""
        columns = [
            ColumnRules(
                self.findings,
                self.name,
                column,
                mode="" if self.name in self.package.manifest.misread else self.mode,
                target=self._target(column),
                night=self.package.night,
            )
            for column in self.columns
        ]
        for batch in rows:
            values = [Values(batch, column) for column in range(len(self.columns))]
            odd = text.odd_fields(batch)
            vacant = self._vacant(batch, values[0])
            if self.is_referred:
                kind = REFERRED_TYPES.get(self.name)
                self.ids.add(values[0], values[self.at[kind]] if kind else None)
            for index, rules in enumerate(columns):
                rules.look(batch, values[index], odd.get(index), vacant)
            self.row_rules.look(batch, values)
            self.records.add(batch, values, columns, odd)
        self._finish(rows, columns)

    def _vacant(self, batch: Batch, ids: Values) -> Flags | None:
        """Return a flag for each row: whether it holds only commas. Report these rows."""
        if ids.filled.all():
            return None
        vacant: Flags = (batch.starts == batch.ends).all(axis=1)
        rows = batch.first + np.flatnonzero(vacant)
        detail = "the whole row is empty"
        self.findings.add_rows("value.required", self.file, "sourcedId", rows, detail=detail)
        return vacant

    def _target(self, column: Mapping[str, Any]) -> ReferenceTarget | None:
        """Return the target of a column's references, None if not all its rows are known.

        A delta's references may point to rows of earlier packages. For a broken file only the cause
        is reported, since its broken references would bury it.
        """
        target = column.get("ref")
        if not target or self.mode == "delta":
            return None
        if target == self.name:
            return ReferenceTarget(target, self.ids, is_own=True)
        if self.package.mode(target) == "delta" or self.package.is_broken(target):
            return None
        return ReferenceTarget(target, self.package.shared.ids[target], is_own=False)

    def _finish(self, rows: CsvReader, columns: Sequence[ColumnRules]) -> None:
        """Check what needs all rows, and fill the baseline."""
        baseline = self.package.baseline
        self.row_rules.finish()
        for column in columns:
            column.finish()
        baseline.rows[self.name] = max(rows.count - 1, 0)
        self.records.finish(baseline, columns)
        self.records.finish_enrollments(baseline, is_broken=self.package.is_broken(self.name))
