"""Checks a OneRoster 1.1 package straight from its zip, by the rules of `spec/`.

Rows are read in batches and looked at by column, as sets: a column without fault costs a few set
operations a batch, and only a faulty batch is searched for its rows.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from roster_upload.findings import Findings, spec

BATCH_ROWS = 4096
MANIFEST = "manifest.csv"
REMEMBERED_VALUES = 200_000
Batch = list[list[str]]
# File: the column whose values say what kind of row a reference has led to.
REFERRED_TYPES = {"orgs": "type", "academicSessions": "type", "users": "role"}
# A check of one column in one batch: the first row's number, the values, and their set.
Look = Callable[[int, tuple[str, ...], set[str]], None]


@dataclass
class Report:
    """What a check found, and how many rows each file holds (its header not counted)."""

    findings: Findings = field(default_factory=Findings)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.findings.errors

    def record(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "accepted": self.accepted,
            "rows": self.rows,
            "findings": [finding.record() for finding in self.findings],
        }


class Unreadable(Exception):
    """A file that cannot be read on; the finding is made already."""


def check(path: Path) -> Report:
    """Checks a package; raises OSError where the file itself cannot be read."""
    report = Report()
    with path.open("rb") as handle:
        try:
            archive = zipfile.ZipFile(handle)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            report.findings.add("package.not-zip", path.name)
            return report
        with archive:
            Package(archive, report).check()
    return report


class Package:
    """One package under check."""

    def __init__(self, archive: zipfile.ZipFile, report: Report) -> None:
        self.archive = archive
        self.report = report
        self.findings = report.findings
        self.spec = spec("oneroster-1.1")
        self.modes: dict[str, str] = {}
        # File: its sourcedIds, each with the value of its type column where references ask for it.
        self.ids: dict[str, dict[str, str]] = {}

    def check(self) -> None:
        """Checks the layout, the manifest, then each file in the order of its references."""
        members = self._layout()
        if any(finding.rule.startswith("package.") for finding in self.findings.errors):
            return  # what lies elsewhere or is unreadable would only show as missing, too
        if MANIFEST in members:
            self._manifest(members)
        else:
            self.findings.add("manifest.missing", MANIFEST)
        for name in spec("imagine-learning")["required_files"]:
            if f"{name}.csv" not in members:
                self.findings.add("imagine.required-file", f"{name}.csv")
        for name in self.spec["data_files"]:
            if f"{name}.csv" in members:
                File(self, name, members[f"{name}.csv"]).check()

    def is_broken(self, name: str) -> bool:
        """Whether a file is known to be missing or not readable as a whole."""
        return any(
            finding.file == f"{name}.csv" and not finding.rule.startswith(("value.", "reference."))
            for finding in self.findings.errors
        )

    def _layout(self) -> dict[str, zipfile.ZipInfo]:
        """The members that the standard knows, by name; findings for all else."""
        known = {MANIFEST, *(f"{name}.csv" for name in self.spec["data_files"])}
        lower = {name.lower(): name for name in known}
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self.archive.infolist():
            # Names in an archive are not the standard's; those of foreign files are not repeated.
            parts = re.split(r"[/\\]", info.filename)
            ours = parts[-1] in known and parts[0] != "__MACOSX"
            name = parts[-1] if ours else "another file"
            if info.is_dir():
                continue
            if info.filename in known:
                if info.filename in members:
                    self.findings.add("package.duplicate", name)
                members[info.filename] = info
            elif parts[0] == "" or ".." in parts or ":" in parts[0]:
                self.findings.add("package.path", name)
            elif ours:
                self.findings.add("package.folder", name)
            elif info.filename.lower() in lower:
                self.findings.add("package.case", lower[info.filename.lower()])
            else:
                self.findings.add("package.foreign", name)
            self._member(info, name)
        if sum(info.file_size for info in members.values()) > self.spec["limits"]["total_bytes"]:
            self.findings.add("package.too-large", "the package")
        return members

    def _member(self, info: zipfile.ZipInfo, name: str) -> None:
        """What no member may be, foreign or not: receivers would have to open it, too."""
        limits = self.spec["limits"]
        if info.flag_bits & 0x1:
            self.findings.add("package.encrypted", name)
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self.findings.add("package.compression", name)
        elif (
            info.file_size > limits["member_bytes"]
            or info.file_size > max(info.compress_size, 4096) * limits["ratio"]
        ):
            self.findings.add("package.too-large", name)

    def _manifest(self, members: Mapping[str, zipfile.ZipInfo]) -> None:
        """Reads the manifest: each file's mode, in agreement with what is in the package."""
        allowed: dict[str, list[str]] = {
            name: [value] for name, value in self.spec["manifest"]["versions"].items()
        }
        modes = self.spec["manifest"]["modes"]
        allowed.update({f"file.{name}": modes for name in self.spec["data_files"]})
        try:
            given = self._properties(Rows(self, MANIFEST, members[MANIFEST]), allowed)
        except Unreadable:
            return
        for name in allowed:
            if name not in given:
                self.findings.add("manifest.property", MANIFEST, name)
        for name in self.spec["data_files"]:
            mode = given.get(f"file.{name}", "absent")
            self.modes[name] = mode
            if mode in ("bulk", "delta") and f"{name}.csv" not in members:
                self.findings.add("manifest.not-delivered", f"{name}.csv")
            elif mode == "absent" and f"{name}.csv" in members and f"file.{name}" in given:
                self.findings.add("manifest.not-announced", f"{name}.csv")

    def _properties(self, rows: Rows, allowed: Mapping[str, list[str]]) -> dict[str, str]:
        """The manifest's properties; raises Unreadable where it is no manifest."""
        if rows.header != ["propertyName", "value"]:
            self.findings.add("csv.header", MANIFEST, detail="expected: propertyName, value", row=1)
            raise Unreadable
        given: dict[str, str] = {}
        for first, batch in rows:
            for number, (name, value) in enumerate(batch, first):
                if name in given:
                    self.findings.add("manifest.twice", MANIFEST, row=number)
                given[name] = value
                if name not in allowed:
                    if name not in self.spec["manifest"]["optional"]:
                        self.findings.add("manifest.unknown", MANIFEST, row=number)
                elif value not in allowed[name]:
                    detail = f"allowed: {', '.join(allowed[name])}"
                    self.findings.add("manifest.value", MANIFEST, name, detail=detail, row=number)
        return given


class Rows:
    """The rows of one member in batches, every row as wide as the header.

    Iteration yields (number of the first row, rows) and raises Unreadable, with its finding made,
    where the text cannot be read on.
    """

    def __init__(self, package: Package, name: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.name = name
        self.info = info
        self.count = 0
        self._reader = csv.reader(self._lines(), strict=True)
        self.header: list[str] = next(iter(self._next_rows(1)), [])

    def _lines(self) -> Iterator[str]:
        """The member's lines as text, checked for what no text should hold."""
        with self.package.archive.open(self.info) as binary:
            if binary.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                self._stop("csv.encoding", "it looks like UTF-16")
            binary.seek(0)
            for line in io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""):
                if "\0" in line:
                    self._stop("csv.nul", row=self._reader.line_num + 1)
                yield line

    def _stop(self, rule: str, detail: str = "", row: int = 0) -> NoReturn:
        self.findings.add(rule, self.name, detail=detail, row=row)
        raise Unreadable

    def _next_rows(self, limit: int) -> Batch:
        """Up to `limit` further rows; those read before a fault are lost with it."""
        rows: Batch = []
        try:
            for row in self._reader:
                rows.append(row)
                if len(rows) == limit:
                    break
        except UnicodeDecodeError:
            self._stop("csv.encoding", "it may be Windows-1252")
        except csv.Error:
            self._stop("csv.quotes", row=self.count + len(rows) + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
            self._stop("package.damaged")
        return rows

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        if not self.header:
            self._stop("csv.empty")
        self.count = 1
        lines = self._reader.line_num
        width = len(self.header)
        while batch := self._next_rows(BATCH_ROWS):
            first = self.count + 1
            self.count += len(batch)
            if self._reader.line_num - lines != len(batch):
                self._line_breaks(first, batch)
            lines = self._reader.line_num
            if set(map(len, batch)) != {width}:
                for number, row in enumerate(batch, first):
                    if len(row) != width:
                        self.findings.add("csv.row-width", self.name, row=number)
                # A row of another width would put its values into the wrong columns.
                for start, whole in _runs(row if len(row) == width else None for row in batch):
                    yield first + start, whole
            else:
                yield first, batch

    def _line_breaks(self, first: int, batch: Batch) -> None:
        for number, row in enumerate(batch, first):
            for value in row:
                if "\n" in value or "\r" in value:
                    self.findings.add("csv.line-break", self.name, row=number)
                    break


def _runs(batch: Iterable[list[str] | None]) -> Iterator[tuple[int, Batch]]:
    """The stretches of a batch that are not None, each with its place in the batch."""
    run: Batch = []
    start = 0
    for index, row in enumerate([*batch, None]):
        if row is not None:
            run.append(row)
            continue
        if run:
            yield start, run
        run, start = [], index + 1


class File:
    """One data file under check."""

    def __init__(self, package: Package, name: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.name = name
        self.file = f"{name}.csv"
        self.info = info
        self.mode = package.modes.get(name, "bulk")
        self.columns: list[Mapping[str, Any]] = package.spec["files"][name]["columns"]
        self.ids: dict[str, str] = {}
        self.pending: dict[str, dict[str, int]] = {}

    def check(self) -> None:
        """Checks all rows; the file's sourcedIds are known to the package afterwards."""
        self.package.ids[self.name] = self.ids
        rows = None
        try:
            rows = Rows(self.package, self.file, self.info)
            if self._header(rows.header) or not rows.header:
                checks = [self._checks(column) for column in self.columns]
                for first, batch in rows:
                    columns = list(zip(*batch, strict=True))
                    self._identities(first, columns)
                    for values, column_checks in zip(columns, checks, strict=False):
                        distinct = set(values)
                        for one in column_checks:
                            one(first, values, distinct)
                if rows.count == 1:
                    self.findings.add("csv.no-rows", self.file)
        except Unreadable:
            pass
        self.package.report.rows[self.name] = max(rows.count - 1, 0) if rows else 0
        self._self_references()

    def _header(self, header: list[str]) -> bool:
        """Whether the header is the standard's, with `metadata.` columns at its right end only."""
        if not header:
            return False
        wanted = [column["name"] for column in self.columns]
        extra = header[len(wanted) :]
        if (
            header[: len(wanted)] == wanted
            and all(re.fullmatch(r"metadata\.\S+", name) for name in extra)
            and len(set(header)) == len(header)
        ):
            return True
        place = next(
            (i for i, (a, b) in enumerate(zip(header, wanted, strict=False)) if a != b),
            min(len(header), len(wanted)),
        )
        expected = wanted[place] if place < len(wanted) else "metadata.… or nothing"
        detail = f"column {place + 1} should be {expected}"
        self.findings.add("csv.header", self.file, detail=detail, row=1)
        return False

    def _identities(self, first: int, columns: list[tuple[str, ...]]) -> None:
        """Learns the batch's sourcedIds, and finds those that were there before."""
        values = columns[0]
        kind = REFERRED_TYPES.get(self.name)
        kinds = columns[self._index(kind)] if kind else ("",) * len(values)
        if len(set(values)) != len(values) or not self.ids.keys().isdisjoint(values):
            seen: set[str] = set()
            for number, value in enumerate(values, first):
                if value and (value in seen or value in self.ids):
                    self.findings.add("value.unique", self.file, "sourcedId", row=number)
                seen.add(value)
        self.ids.update(zip(values, kinds, strict=True))

    def _index(self, name: str) -> int:
        return next(i for i, column in enumerate(self.columns) if column["name"] == name)

    def _checks(self, column: Mapping[str, Any]) -> list[Look]:
        """The checks that a column's entry in the specification asks for."""
        checks = [self._presence(column)]
        kind, name = column["type"], column["name"]
        types = self.package.spec["types"]
        is_list = kind.endswith("-list")

        def split(value: str) -> list[str]:
            return [item.strip() for item in value.split(",")] if is_list else [value]

        def each(
            rule: str, bad: Callable[[str], bool], detail: str = "", *, whole: bool = False
        ) -> Look:
            """Reports the rows that `bad` finds faulty by value or, in a list, by an item.

            Each distinct value is asked about once, as long as there are not too many to remember.
            """
            good = {""}

            def is_bad(value: str) -> bool:
                return bad(value) if whole else any(map(bad, split(value)))

            def look(first: int, values: tuple[str, ...], distinct: set[str]) -> None:
                faulty = set(filter(is_bad, distinct - good))
                if len(good) < REMEMBERED_VALUES:
                    good.update(distinct - faulty)
                for number, value in enumerate(values, first) if faulty else ():
                    if value in faulty:
                        self.findings.add(rule, self.file, name, detail=detail, row=number)

            return look

        if "enum" in column:
            allowed = frozenset(self.package.spec["enums"][column["enum"]])
            detail = f"allowed: {', '.join(sorted(allowed))}"
            checks.append(each("value.enum", lambda item: item not in allowed, detail))
        base = kind.removesuffix("-list").removesuffix("-ref")
        if base in types:
            is_written = re.compile(types[base]).fullmatch
            checks.append(
                each(
                    "value.format",
                    lambda i: not is_written(i) or (base == "date" and not _is_day(i)),
                    f"expected: {base}",
                )
            )
        if base == "guid" and "ref" not in column:
            is_usual = re.compile(self.package.spec["usual"]["guid"]).fullmatch
            checks.append(each("value.unusual", lambda item: not is_usual(item)))
        if "pattern" in column:
            is_whole = re.compile(column["pattern"]).fullmatch
            checks.append(each("value.format", lambda v: not is_whole(v), whole=True))
        elif is_list:
            checks.append(each("value.list-blank", lambda v: ", " in v or " ," in v, whole=True))
        if "ref" in column:
            checks.extend(self._references(column, each, split))
        return checks

    def _presence(self, column: Mapping[str, Any]) -> Look:
        """Whether values are there where they must be, and only there."""
        bulk = self.mode == "bulk"
        rule = {
            "yes": "value.required",
            "delta": "value.bulk-only-empty" if bulk else "value.delta-filled",
        }.get(column["required"])
        must_be_empty = rule == "value.bulk-only-empty"

        def look(first: int, values: tuple[str, ...], distinct: set[str]) -> None:
            good = distinct == {""} if must_be_empty else "" not in distinct
            if rule is None or good:
                return
            for number, value in enumerate(values, first):
                if (value == "") is not must_be_empty:
                    self.findings.add(rule, self.file, column["name"], row=number)

        return look

    def _references(self, column: Mapping[str, Any], each: Any, split: Any) -> Iterator[Any]:
        """A bulk file's references lead into the package; a delta's may lead to earlier ones."""
        target, name = column["ref"], column["name"]
        if self.mode != "bulk" or self.package.modes.get(target) == "delta":
            return
        if self.package.is_broken(target):
            return  # the cause is told; its consequences would bury it
        known = self.package.ids.get(target, {})
        if target == self.name:
            first_rows = self.pending.setdefault(name, {})

            def remember(first: int, values: tuple[str, ...], distinct: set[str]) -> None:
                unknown = {v for v in distinct if any(i and i not in known for i in split(v))}
                for number, value in enumerate(values, first) if unknown else ():
                    if value in unknown:
                        for item in split(value):
                            if item not in known:
                                first_rows.setdefault(item, number)

            yield remember
        else:
            yield each("reference.missing", lambda i: i not in known, f"in {target}.csv")
        if "ref_type" in column:
            wanted = column["ref_type"]
            yield each("reference.type", lambda i: known.get(i, wanted) != wanted, wanted)

    def _self_references(self) -> None:
        """Looks again at references within the file, now that all of its rows are known."""
        for name, items in self.pending.items():
            for item, row in items.items():
                if item and item not in self.ids:
                    self.findings.add(
                        "reference.missing", self.file, name, detail=f"in {self.file}", row=row
                    )


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
