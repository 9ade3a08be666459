"""Checks a set of Traditional files (Literacy or Math): a zip of CSVs, one kind of record each.

The vendor publishes little of this format, so built in is only what is known; the columns of
classes, users and students come from the feed's `traditional_columns`.
https://help.imaginelearning.com/hc/en-us/articles/360057791574-Traditional-Assisted-Rostering-Math-template-specification
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from roster_upload.guard.hashing import KeyedHasher
from roster_upload.guard.record_sets import RecordCollector, ValueIndex
from roster_upload.guard.record_sets import Rows as Records
from roster_upload.spec import spec
from roster_upload.validation import archive, text
from roster_upload.validation.batch import Batch
from roster_upload.validation.columns import sums_of_strings
from roster_upload.validation.csv_reader import Rows
from roster_upload.validation.findings import Findings, Report
from roster_upload.validation.lines import Unreadable
from roster_upload.validation.row_rules import have_lost_zeros

if TYPE_CHECKING:
    from roster_upload.validation.options import ValidationOptions


def check(
    package: zipfile.ZipFile,
    report: Report,
    hasher: KeyedHasher,
    options: ValidationOptions,
    _night: dt.date,
) -> None:
    """Check a set and remember it."""
    Package(package, report, hasher, options).check()


class Package:
    """One set under check."""

    def __init__(
        self,
        package: zipfile.ZipFile,
        report: Report,
        hasher: KeyedHasher,
        options: ValidationOptions,
    ) -> None:
        self.archive = package
        self.report = report
        self.findings = report.findings
        self.hasher = hasher
        self.allow_delete_unlisted = options.allow_delete_unlisted
        self.spec = spec("traditional")
        # Kind: what is known of its columns, the feed's own words added.
        self.kinds: dict[str, Mapping[str, Any]] = {
            kind: {**known, **options.traditional_columns.get(kind, {})}
            for kind, known in self.spec["kinds"].items()
        }
        self.schools = ValueIndex()

    def check(self) -> None:
        """Checks the layout, then each file."""
        members = archive.members(self.archive, self.findings, self._recognise)
        if any(finding.rule.startswith("package.") for finding in self.findings.errors):
            return
        by_kind: dict[str, list[str]] = {kind: [] for kind in self.kinds}
        for name in members:
            kinds = self._kinds(name)
            if not name.lower().endswith(".csv"):
                self.findings.add("traditional.not-csv", self._told(name))
            elif len(kinds) == 1:
                by_kind[kinds[0]].append(name)
            else:
                self.findings.add("traditional.kind", self._told(name))
        for kind, names in by_kind.items():
            if not names:
                self.findings.add("traditional.missing", kind)
            if len(names) > 1:
                self.findings.add("package.duplicate", kind)
            for name in names[:1]:
                File(self, kind, members[name]).check()
        self.report.baseline.schools = list(self.schools)

    def _recognise(self, name: str) -> tuple[str, bool]:
        is_one = name.lower().endswith((".csv", ".xls", ".xlsx", ".txt"))
        return name if is_one else "", is_one

    def _kinds(self, name: str) -> list[str]:
        return [kind for kind in self.kinds if self.kinds[kind]["word"] in name.lower()]

    def _told(self, name: str) -> str:
        """A name of the SIS's is told by the kind in it only."""
        return " and ".join(self._kinds(name)) or "another file"


class File:
    """One kind of record under check."""

    def __init__(self, package: Package, kind: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.kind = kind
        self.known = package.kinds[kind]
        self.info = info
        self.collector = RecordCollector(package.hasher)

    def check(self) -> None:
        """Checks all rows."""
        try:
            rows = Rows(self.package.archive, self.info, self.kind, self.findings)
            rows.on_ragged = lambda number, row: self._directive(number, [",".join(row)])
            header = [text.plain(name).lower() for name in rows.header]
            self._directive(1, [",".join(rows.header)])
            if self._header(header):
                self._rows(rows, header)
            elif rows.header:
                for batch in rows:
                    self._directive(batch.first, batch.lines())
            if rows.count == 1:
                self.findings.add("csv.no-rows", self.kind)
            count = max(rows.count - 1, 0)
            self.package.report.rows[self.kind] = count
            if faulty := self.findings.close(self.kind, count):
                self.package.report.faulty_rows[self.kind] = faulty
        except Unreadable:
            pass

    def _header(self, header: Sequence[str]) -> bool:
        if not header:
            return True  # reading on tells that the file is empty
        required = [name for name in self._named("required") if name.lower() not in header]
        for name in required:
            self.findings.add("traditional.column", self.kind, name, row=1)
        if len(set(header)) != len(header):
            self.findings.add("traditional.twice", self.kind, row=1)
            return False
        known = {
            name.lower() for key in ("columns", "required", "unique") for name in self._named(key)
        }
        known |= {self.known.get(key, "").lower() for key in ("key", "school")}
        if self.known.get("columns"):
            for place, name in enumerate(header, 1):
                if name not in known:
                    detail = f"column {place}"
                    self.findings.add("traditional.unknown-column", self.kind, detail=detail, row=1)
        return not required

    def _named(self, key: str) -> list[str]:
        names: list[str] = self.known.get(key, [])
        return names

    def _rows(self, rows: Rows, header: list[str]) -> None:
        at = {name: place for place, name in enumerate(header)}
        filled = dict.fromkeys(header, 0)
        seen: dict[str, dict[str, int]] = {
            name: {} for name in self._named("unique") if name.lower() in at
        }
        for batch in rows:
            self._directive(batch.first, batch.lines())
            columns = [batch.values(place) for place in range(len(header))]
            for name, values in zip(header, columns, strict=True):
                filled[name] += sum(not text.is_blank(value) for value in values)
            self._values(batch, at)
            for name, numbers in seen.items():
                for row, value in enumerate(batch.values(at[name.lower()]), batch.first):
                    if not text.is_blank(value) and numbers.setdefault(value.lower(), row) != row:
                        self.findings.add("traditional.unique", self.kind, name, row=row)
            self._count(batch, at)
        self._parents(at, seen)
        for name, numbers in seen.items():
            if have_lost_zeros(list(numbers)):
                self.findings.add("traditional.leading-zeros", self.kind, name)
        baseline = self.package.report.baseline
        faulty = self.findings.faulty(self.kind)
        baseline.records |= self.collector.finish({0: self.kind}, faulty)[0]
        baseline.rows[self.kind] = max(rows.count - 1, 0)
        baseline.filled[self.kind] = filled

    def _values(self, batch: Batch, at: Mapping[str, int]) -> None:
        """Required values, and those of a vocabulary."""
        for name in self._named("required"):
            for row, value in enumerate(batch.values(at[name.lower()]), batch.first):
                if text.is_blank(value):
                    self.findings.add("value.required", self.kind, name, row=row)
        for name, allowed in self.known.get("values", {}).items():
            detail = f"allowed: {', '.join(allowed)}"
            values = batch.values(at[name.lower()]) if name.lower() in at else ()
            for row, value in enumerate(values, batch.first):
                if not text.is_blank(value) and value.lower() not in allowed:
                    self.findings.add("value.enum", self.kind, name, detail=detail, row=row)

    def _parents(self, at: Mapping[str, int], seen: Mapping[str, Mapping[str, int]]) -> None:
        """Every parent is a record of the same file."""
        child, parent = self.known.get("child", ""), self.known.get("parent", "")
        if not parent or parent.lower() not in at or child not in seen:
            return
        again = Rows(self.package.archive, self.info, self.kind, Findings())
        for batch in again:
            for number, value in enumerate(batch.values(at[parent.lower()]), batch.first):
                if not text.is_blank(value) and value.lower() not in seen[child]:
                    self.findings.add("reference.missing", self.kind, parent, row=number)

    def _directive(self, first: int, lines: Sequence[str]) -> None:
        """`<DeleteUnlistedRecords>` makes an incremental import into one that deletes."""
        if self.package.allow_delete_unlisted:
            return
        word = self.package.spec["directive"]
        for number, line in enumerate(lines, first):
            if word in line.lower():
                self.findings.add("traditional.directive", self.kind, row=number)

    def _count(self, batch: Batch, at: Mapping[str, int]) -> None:
        """Counts a batch for the guard; without a key column each row is its own."""
        key = at.get(self.known.get("key", "").lower())
        school = at.get(self.known.get("school", "").lower())
        count, lines = len(batch), batch.lines()
        ids = lines if key is None else [value.lower() for value in batch.values(key)]
        places = [0] * count
        if school is not None:
            places = [self.package.schools[value] for value in batch.values(school)]
        self.collector.add(
            Records(
                batch.numbers,
                self.package.hasher.of(ids),
                sums_of_strings(lines),
                np.array(places, np.uint32),
                when=np.zeros(count, np.uint32),
                present=np.ones(count, np.bool_),
                gone=np.zeros(count, np.bool_),
                identity=np.zeros((count, 0), np.uint32),
                kinds=np.zeros(count, np.uint8),
            )
        )
