"""Checks a OneRoster 1.1 package straight from its zip, by the rules of `spec/`.

Rows are read in batches and looked at by column, as sets: a column without fault costs a few set
operations a batch, and only a faulty batch is searched for its rows. On the way the package is
counted for the guard (`census`).
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload import archive
from roster_upload.census import Counter, Gathered, Places, Prints, Repeats
from roster_upload.findings import Findings, Report, spec
from roster_upload.table import Batch, Rows, Unreadable

MANIFEST = "manifest.csv"
# Distinct values of a column that are remembered as good, unless nearly all are distinct.
REMEMBERED_VALUES = 50_000
TRIED_VALUES = 20_000
REMEMBERED_CHARACTERS = 10_000_000
LONGEST_GUID = 255
# A number of terms or days is packed in so many bits; beyond them it is none that can be right.
PLACE_BITS = 21
# So many of the days of a class's primary teachers are compared with those of the next.
REMEMBERED_SPANS = 100
_WITHOUT_CONTROLS = dict.fromkeys(range(32))
# File: the column whose values say what kind of row a reference has led to.
REFERRED_TYPES = {"orgs": "type", "academicSessions": "type", "users": "role"}
Columns = Sequence[Sequence[str]]
# The faulty ones of a set of values.
Faulty = Callable[[set[str]], set[str]]
AreGood = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Check:
    """A rule that a column's values keep or break, each by itself."""

    rule: str
    faulty: Faulty
    detail: str = ""


def check(package: zipfile.ZipFile, report: Report, prints: Prints) -> None:
    """Checks a package and counts it."""
    Package(package, report, prints).check()


class Package:
    """One package under check."""

    def __init__(self, package: zipfile.ZipFile, report: Report, prints: Prints) -> None:
        self.archive = package
        self.report = report
        self.findings = report.findings
        self.census = report.census
        self.prints = prints
        self.spec = spec("oneroster-1.1")
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.modes: dict[str, str] = {}
        # File: its sourcedIds, each with the value of its type column where references ask for it.
        self.ids: dict[str, dict[str, str]] = {}
        self.places = Places()
        # What rules between files need of the rows of others.
        self.sessions: dict[str, tuple[str, str]] = {}  # startDate, endDate
        self.classes = Classes(self.places)
        self.scales: dict[str, tuple[str, str]] = {}  # resultValueMin, resultValueMax
        columns = chain.from_iterable(f["columns"] for f in self.spec["files"].values())
        self.referred = {column["ref"] for column in columns if "ref" in column}

    def check(self) -> None:
        """Checks the layout, the manifest, then each file in the order of its references."""
        known = [MANIFEST, *(f"{name}.csv" for name in self.spec["data_files"])]
        lower = {name.lower(): name for name in known}
        members = archive.members(
            self.archive, self.findings, lambda name: lower.get(name.lower(), "")
        )
        if any(finding.rule.startswith("package.") for finding in self.findings.errors):
            return  # what lies elsewhere or is unreadable would only show as missing, too
        if MANIFEST in members:
            self._manifest(members)
        else:
            self.findings.add("manifest.missing", MANIFEST)
        is_empty = members.keys() == {MANIFEST} and set(self.modes.values()) == {"absent"}
        if is_empty:
            self.findings.add("manifest.only", MANIFEST)
        for name in spec("imagine-learning")["required_files"]:
            if f"{name}.csv" not in members:
                self.findings.add("imagine.required-file", f"{name}.csv")
        self.members = members
        for name in self.spec["data_files"]:
            if f"{name}.csv" in members:
                self._needs(name, members)
                File(self, name, members[f"{name}.csv"]).check()
        self.census.places = list(self.places)
        self.census.is_incremental = is_empty or "delta" in self.modes.values()

    def _needs(self, name: str, members: Mapping[str, zipfile.ZipInfo]) -> None:
        for needed in self.spec["files"][name].get("needs", ()):
            if f"{needed}.csv" not in members and self.modes.get(name) != "delta":
                self.findings.add("package.needs", f"{name}.csv", detail=f"{needed}.csv")

    def forget(self, name: str) -> None:
        """Lets the sourcedIds go that no file after this one refers to: they take much room."""
        files = self.spec["data_files"]
        later = [file for file in files[files.index(name) + 1 :] if f"{file}.csv" in self.members]
        columns = chain.from_iterable(self.spec["files"][file]["columns"] for file in later)
        needed = {column["ref"] for column in columns if "ref" in column}
        for file in self.ids.keys() - needed:
            del self.ids[file]

    def is_broken(self, name: str) -> bool:
        """Whether a file is known to be missing or not readable as a whole."""
        return any(
            finding.file == f"{name}.csv" and not finding.rule.startswith(("value.", "reference."))
            for finding in self.findings.errors
        )

    def _manifest(self, members: Mapping[str, zipfile.ZipInfo]) -> None:
        """Reads the manifest: each file's mode, in agreement with what is in the package."""
        allowed: dict[str, list[str]] = {
            name: [value] for name, value in self.spec["manifest"]["versions"].items()
        }
        modes = self.spec["manifest"]["modes"]
        allowed.update({f"file.{name}": modes for name in self.spec["data_files"]})
        try:
            rows = Rows(self.archive, members[MANIFEST], MANIFEST, self.findings)
            given = self._properties(rows, allowed)
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
        for batch in rows:
            for number, (name, value) in enumerate(zip(*batch.columns, strict=True), batch.first):
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


class Column:
    """One column of a file under check: its rules, and the values that are known to keep them."""

    def __init__(self, name: str, checks: Sequence[Check], are_good: AreGood | None) -> None:
        self.name = name
        self.checks = checks
        self.are_good = are_good  # a quick answer for a batch; where it is no, each value is asked
        self.filled = 0
        self._good: set[str] = set()
        self._characters = 0  # in those
        self._remembers = True
        self._rows = 0

    def look(self, findings: Findings, file: str, first: int, values: Sequence[str]) -> None:
        """Looks at a batch; each distinct value is asked about once, as far as they repeat."""
        if self.are_good and self.are_good(values):
            self.filled += len(values)
            return
        # Many columns hold one value throughout; to count it is quicker than to make a set.
        one = values[0]
        distinct = {one} if values.count(one) == len(values) else set(values)
        self.filled += len(values) - (values.count("") if "" in distinct else 0)
        if self.checks:
            distinct -= self._good
            for rule in self.checks:
                faulty = rule.faulty(distinct)
                if faulty:
                    distinct -= faulty
                    for number, value in enumerate(values, first):
                        if value in faulty:
                            findings.add(rule.rule, file, self.name, detail=rule.detail, row=number)
            self._remember(distinct, len(values))

    def _remember(self, good: set[str], count: int) -> None:
        self._rows += count
        if self._remembers:
            self._good |= good
            self._characters += sum(map(len, good))
            if 2 * len(self._good) > self._rows and len(self._good) > TRIED_VALUES:
                self._remembers, self._good = False, set()  # nearly all are distinct
            self._remembers &= len(self._good) < REMEMBERED_VALUES
            self._remembers &= self._characters < REMEMBERED_CHARACTERS


class File:
    """One data file under check."""

    def __init__(self, package: Package, name: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.name = name
        self.file = f"{name}.csv"
        self.info = info
        self.mode = package.modes.get(name, "bulk")
        self.spec: Mapping[str, Any] = package.spec["files"][name]
        self.columns: list[Mapping[str, Any]] = self.spec["columns"]
        self.at = {column["name"]: i for i, column in enumerate(self.columns)}
        self.is_referred = name in package.referred
        self.ids: dict[str, str] = {}
        self.pending: dict[str, set[str]] = {}  # column: references to rows not met yet
        self.parents: dict[str, tuple[str, int]] = {}  # row's sourcedId: its parent, its number
        self.counter = Counter(package.prints)
        self.kinds: dict[str, int] = {}

    def check(self) -> None:
        """Checks all rows; the file's sourcedIds are known to the package afterwards."""
        self.package.ids[self.name] = self.ids
        rows = None
        try:
            rows = Rows(self.package.archive, self.info, self.file, self.findings)
            if self._header(rows.header) or not rows.header:
                self._rows(rows)
                if rows.count == 1:
                    self.findings.add("csv.no-rows", self.file)
        except Unreadable:
            pass
        count = max(rows.count - 1, 0) if rows else 0
        self.package.report.rows[self.name] = count

    def _rows(self, rows: Rows) -> None:
        filled, unique = self._read(rows)
        self.package.forget(self.name)
        self._finish(rows, filled, unique)

    def _read(self, rows: Rows) -> tuple[dict[str, int], dict[str, Repeats]]:
        """Looks at all rows; returns how often each column is filled, and what may be repeated."""
        quick: dict[str, AreGood] = {}
        if "ref" not in self.columns[0]:
            quick["sourcedId"] = _are_usual(self.package.spec["usual"]["guid"])
        between = self._between(quick)
        columns = [
            Column(column["name"], self._checks(column), quick.get(column["name"]))
            for column in self.columns
        ]
        unique = {
            column["name"]: Repeats(self.package.prints)
            for column in self.columns
            if column.get("usually_unique")
        }
        for batch in rows:
            first, values = batch.first, batch.columns
            if self.is_referred:
                kind = REFERRED_TYPES.get(self.name)
                kinds = values[self.at[kind]] if kind else ("",) * len(batch)
                # One that is too long is told, and need not be known whole.
                ids = [value[: LONGEST_GUID + 1] for value in values[0]]
                self.ids.update(zip(ids, kinds, strict=True))
            self._count(batch)
            for column, its in zip(columns, values, strict=False):
                column.look(self.findings, self.file, first, its)
            for name, repeats in unique.items():
                repeats.add(first, values[self.at[name]])
            for look in between:
                look(first, values)
        return {column.name: column.filled for column in columns}, unique

    def _finish(self, rows: Rows, filled: dict[str, int], unique: Mapping[str, Repeats]) -> None:
        """What can be said only when all rows are known."""
        self._self_references()
        self._circles()
        for name, repeats in unique.items():
            for row in repeats.rows():
                self.findings.add("value.usually-unique", self.file, name, row=row)
        names = {i: f"{self.name}.{kind}" if kind else self.name for kind, i in self.kinds.items()}
        kinds, repeated = self.counter.finish(names)
        for row in repeated:
            self.findings.add("value.unique", self.file, "sourcedId", row=row)
        census = self.package.census
        census.kinds |= kinds
        census.rows[self.name] = max(rows.count - 1, 0)
        census.filled[self.name] = filled
        if self.mode == "delta":
            census.delta.append(self.name)

    def _count(self, batch: Batch) -> None:
        """Counts a batch for the guard."""
        values = batch.columns
        divided = self.package.spec["guard"][self.name]
        count = len(batch)
        places = np.zeros(count, np.uint32)
        if "school" in divided:
            places = self.package.places.of(values[self.at[divided["school"]]])
        kinds = np.zeros(count, np.uint8)
        if "kind" in divided:
            told = values[self.at[divided["kind"]]]
            known = self.package.spec["enums"]["user_role"]
            of = {
                text: self.kinds.setdefault(text if text in known else "other", len(self.kinds))
                for text in sorted(set(told))
            }
            kinds = np.fromiter(map(of.__getitem__, told), np.uint8, count)
        else:
            self.kinds.setdefault("", 0)
        gone = np.zeros(count, np.bool_)
        if self.mode == "delta":
            gone = np.fromiter(
                (v == "tobedeleted" for v in values[self.at["status"]]), np.bool_, count
            )
        self.counter.add(batch.first, values[0], batch.lines, places=places, kinds=kinds, gone=gone)

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
        found = header[place] if place < len(header) else ""
        if found in self.spec.get("old", {}):
            detail += f"; {found} is of OneRoster 1.0"
        elif not found.isascii() or found != found.strip():
            detail += "; it holds characters that cannot be seen"
        self.findings.add("csv.header", self.file, detail=detail, row=1)
        return False

    def _checks(self, column: Mapping[str, Any]) -> list[Check]:
        """The rules for single values that a column's entry in the specification asks for."""
        package, kind = self.package, column["type"]
        is_list = kind.endswith("-list")
        each = _listed if is_list else _plain
        checks = self._presence(column)

        if "enum" in column:
            allowed = package.spec["enums"][column["enum"]]
            detail = f"allowed: {', '.join(sorted(allowed))}"
            checks.append(Check("value.enum", each(_not_in(allowed)), detail))
        base = kind.removesuffix("-list").removesuffix("-ref")
        if base == "guid":
            if "ref" not in column or not self._knows(column["ref"]):
                checks.append(Check("value.format", each(_no_guid), "expected: guid"))
        elif base in package.spec["types"]:
            faulty = _not_written(package.spec["types"][base], is_day=base == "date")
            checks.append(Check("value.format", each(faulty), f"expected: {base}"))
        if base == "guid" and "ref" not in column:
            checks.append(Check("value.unusual", _other_characters(package.spec["usual"]["guid"])))
        if "pattern" in column:
            checks.append(Check("value.format", _plain(_not_written(column["pattern"]))))
        elif is_list:
            checks.append(Check("value.list-blank", _blanks_at_commas))
        if "vocabulary" in column:
            allowed = package.spec["enums"][column["vocabulary"]]
            checks.append(Check("value.vocabulary", each(_not_in(allowed))))
        if "ref" in column:
            checks += self._references(column, each)
        return checks

    def _presence(self, column: Mapping[str, Any]) -> list[Check]:
        """Whether values are there where they must be, and only there."""
        if column["required"] == "yes":
            return [Check("value.required", _empty)]
        if column["required"] == "delta":
            if self.mode == "bulk":
                return [Check("value.bulk-only-empty", lambda values: values - {""})]
            return [Check("value.delta-filled", _empty)]
        return []

    def _knows(self, target: str) -> bool:
        """Whether all rows of a file that is referred to are known.

        Where it is broken its cause is told; the consequences would bury it.
        """
        modes = (self.mode, self.package.modes.get(target))
        return modes[0] == "bulk" and modes[1] != "delta" and not self.package.is_broken(target)

    def _references(
        self, column: Mapping[str, Any], each: Callable[[Faulty], Faulty]
    ) -> list[Check]:
        """A bulk file's references lead into the package; a delta's may lead to earlier ones."""
        target, name = column["ref"], column["name"]
        if not self._knows(target):
            return []
        known = self.package.ids.get(target, {})
        checks = []
        if target == self.name:
            pending = self.pending.setdefault(name, set())

            def remember(values: set[str]) -> set[str]:
                pending.update(values.difference(known))
                return set()

            checks.append(Check("reference.missing", each(remember)))
        else:
            detail = f"in {target}.csv"
            checks.append(Check("reference.missing", each(lambda v: v.difference(known)), detail))
        for key, rule in (
            ("ref_type", "reference.type"),
            ("usual_ref_type", "reference.unusual-type"),
        ):
            if key in column:
                wanted = column[key]
                # Only what is of another type is looked for: all users are students, nearly.
                faulty = _of_other_type(known, wanted)
                checks.append(Check(rule, each(faulty), wanted))
        return checks

    def _self_references(self) -> None:
        """References to rows that never came; the file is read once more for their rows."""
        missing = {
            name: items - self.ids.keys() - {""} for name, items in self.pending.items()
        }  # fmt: skip
        missing = {name: items for name, items in missing.items() if items}
        if not missing:
            return
        for batch in Rows(self.package.archive, self.info, self.file, Findings()):
            for name, items in missing.items():
                for number, value in enumerate(batch.columns[self.at[name]], batch.first):
                    if not items.isdisjoint(map(str.strip, value.split(","))):
                        detail = f"in {self.file}"
                        self.findings.add(
                            "reference.missing", self.file, name, detail=detail, row=number
                        )

    def _between(self, quick: dict[str, AreGood]) -> list[Callable[[int, Columns], None]]:
        """The rules between several values of a row; adds to the quick answers for its columns."""
        looks = [self._order(*pair) for pair in self.spec.get("order", ())]
        looks += [self._parallel(*pair) for pair in self.spec.get("parallel", ())]
        if "acyclic" in self.spec:
            looks.append(self._remember_parents)
        match self.name:
            case "academicSessions":
                looks.append(self._remember_sessions)
            case "classes":
                looks.append(self._remember_classes)
            case "users":
                looks.append(self._schools_of_students)
            case "enrollments":
                enrollments = Enrollments(self)
                quick["classSourcedId"] = enrollments.are_known
                looks.append(enrollments.look)
            case "lineItems":
                looks.append(self._remember_scales)
            case "results":
                looks.append(self._scores)
        return looks

    def _order(self, earlier: str, later: str) -> Callable[[int, Columns], None]:
        start, end = self.at[earlier], self.at[later]

        def look(first: int, values: Columns) -> None:
            pairs = set(zip(values[start], values[end], strict=True))
            bad = {pair for pair in pairs if pair[0] and pair[1] and pair[0] > pair[1]}
            rows = zip(values[start], values[end], strict=True) if bad else ()
            for number, pair in enumerate(rows, first):
                if pair in bad:
                    self.findings.add("value.order", self.file, later, row=number)

        return look

    def _parallel(self, one: str, other: str) -> Callable[[int, Columns], None]:
        left, right = self.at[one], self.at[other]

        def look(first: int, values: Columns) -> None:
            for number, (a, b) in enumerate(zip(values[left], values[right], strict=True), first):
                if a and b and a.count(",") != b.count(","):
                    self.findings.add("value.parallel", self.file, other, row=number)

        return look

    def _remember_parents(self, first: int, values: Columns) -> None:
        parents = values[self.at[self.spec["acyclic"]]]
        for number, (child, parent) in enumerate(zip(values[0], parents, strict=True), first):
            if parent:
                self.parents[child] = (parent, number)

    def _circles(self) -> None:
        """Rows whose parents lead back to them."""
        done: set[str] = set()
        for start in self.parents:
            way: dict[str, None] = {}
            at = start
            while at in self.parents and at not in done and at not in way:
                way[at] = None
                at = self.parents[at][0]
            if at in way:
                row = min(self.parents[child][1] for child in list(way)[list(way).index(at) :])
                self.findings.add("reference.circle", self.file, self.spec["acyclic"], row=row)
            done.update(way)

    def _remember_sessions(self, first: int, values: Columns) -> None:
        days = zip(values[self.at["startDate"]], values[self.at["endDate"]], strict=True)
        self.package.sessions.update(zip(values[0], days, strict=True))

    def _remember_classes(self, first: int, values: Columns) -> None:
        names = ("sourcedId", "schoolSourcedId", "termSourcedIds")
        self.package.classes.add(*(values[self.at[name]] for name in names))

    def _remember_scales(self, first: int, values: Columns) -> None:
        scale = zip(
            values[self.at["resultValueMin"]], values[self.at["resultValueMax"]], strict=True
        )
        self.package.scales.update(zip(values[0], scale, strict=True))

    def _schools_of_students(self, first: int, values: Columns) -> None:
        schools, roles = values[self.at["orgSourcedIds"]], values[self.at["role"]]
        several = {text for text in set(schools) if "," in text and self._is_several(text)}
        for number, (text, role) in enumerate(zip(schools, roles, strict=True), first):
            if text in several and role == "student":
                self.findings.add("imagine.one-school", self.file, "orgSourcedIds", row=number)

    def _is_several(self, text: str) -> bool:
        orgs = self.package.ids.get("orgs", {})
        return sum(orgs.get(org) == "school" for org in {o.strip() for o in text.split(",")}) > 1

    def _scores(self, first: int, values: Columns) -> None:
        items, scores = values[self.at["lineItemSourcedId"]], values[self.at["score"]]
        for number, (item, score) in enumerate(zip(items, scores, strict=True), first):
            try:
                low, high = map(float, self.package.scales[item])
                if not low <= float(score) <= high:
                    self.findings.add("result.score", self.file, "score", row=number)
            except (KeyError, ValueError):
                pass  # told by the rules for single values


class Classes:
    """The classes' schools and terms, found by a class's hash in an ordered array.

    There are many enrollments, and a dictionary's keys lie too far apart in memory to be asked for
    each.
    """

    def __init__(self, schools: Places) -> None:
        self.schools, self.terms = schools, Places()
        self._hashes, self._schools, self._terms = Gathered(), Gathered(), Gathered()
        self.add([], [""], [""])  # what is told of a class that is not known

    def add(self, ids: Sequence[str], schools: Sequence[str], terms: Sequence[str]) -> None:
        """Adds a batch."""
        self._hashes.add(np.fromiter(map(hash, ids), np.int64, len(ids)))
        self._schools.add(self.schools.of(schools))
        self._terms.add(self.terms.of(terms))

    def ready(self) -> None:
        """Puts them in order, when all are there."""
        hashes = self._hashes.joined()
        order = np.argsort(hashes)
        self.hashes = np.append(hashes[order], 0)
        self.numbers = np.append(order + 1, 0)
        self.school_of, self.terms_of = self._schools.joined(), self._terms.joined()

    def find(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The classes' numbers; 0 where one is not known."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        at = np.searchsorted(self.hashes[:-1], hashes)
        return np.where(self.hashes[at] == hashes, self.numbers[at], 0)


class Enrollments:
    """The rules between an enrollment and its class."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.sessions = file.package.sessions
        self.classes = file.package.classes
        self.classes.ready()
        self.numbers = np.zeros(0, np.int64)  # of the classes of the present batch; 0 = not known
        self.days = Places()
        names = ("classSourcedId", "schoolSourcedId", "beginDate", "endDate", "role", "primary")
        self.places = [file.at[name] for name in names]
        self.inside: set[int] = set()
        self.spans: dict[int, tuple[str, str] | None] = {}  # terms: their first day, their last
        self.primary: dict[str, list[tuple[str, str]]] = {}  # class: days of its primary teachers

    def are_known(self, lessons: Sequence[str]) -> bool:
        """Finds the classes of a batch; whether all of them are there."""
        self.numbers = self.classes.find(lessons)
        return bool(self.numbers.all())

    def look(self, first: int, values: Columns) -> None:
        """Looks at a batch; each distinct combination of terms and days is asked about once."""
        lesson, school, begin, end, role, primary = (values[i] for i in self.places)
        numbers = self.numbers
        elsewhere = self.classes.school_of[numbers] != self.classes.schools.of(school)
        elsewhere &= numbers != 0
        for index in np.flatnonzero(elsewhere):
            self._tell("enrollment.school", "schoolSourcedId", first + int(index))
        told = np.column_stack(
            [self.classes.terms_of[numbers], self.days.of(begin), self.days.of(end)]
        ).astype(np.uint64)
        told &= (1 << PLACE_BITS) - 1
        combined = (told[:, 0] << 2 * PLACE_BITS) | (told[:, 1] << PLACE_BITS) | told[:, 2]
        for one in np.unique(combined).tolist():
            if one not in self.inside:
                if self._is_outside(one):
                    for index in np.flatnonzero(combined == one):
                        self._tell("enrollment.term", "beginDate", first + int(index))
                elif len(self.inside) < REMEMBERED_VALUES:
                    self.inside.add(one)
        if "true" in primary:
            for at, value in enumerate(primary):
                if value == "true":
                    span = (begin[at] or "0", end[at] or "9")
                    self._primary(first + at, lesson[at], role[at], span)

    def _tell(self, rule: str, column: str, row: int) -> None:
        self.file.findings.add(rule, self.file.file, column, row=row)

    def _is_outside(self, combined: int) -> bool:
        """Whether the days leave those of the class's terms; the end day is outside itself."""
        mask = (1 << PLACE_BITS) - 1
        terms, begin, end = (combined >> PLACE_BITS * n & mask for n in (2, 1, 0))
        if terms not in self.spans:
            self.spans[terms] = self._span(self.classes.terms.text(terms))
        span = self.spans[terms]
        if span is None:
            return False
        first, last = self.days.text(begin), self.days.text(end)
        return bool(first and first < span[0]) or bool(last and last > span[1])

    def _span(self, terms: str) -> tuple[str, str] | None:
        """The first day of some terms and the last that is still inside; None if one is unknown."""
        days = [self.sessions.get(term.strip()) for term in terms.split(",")]
        if None in days:
            return None
        starts, ends = zip(*(day for day in days if day), strict=True)
        return min(starts), _day_after(max(ends))

    def _primary(self, row: int, lesson: str, role: str, days: tuple[str, str]) -> None:
        if role != "teacher":
            self._tell("enrollment.primary", "primary", row)
            return
        others = self.primary.setdefault(lesson, [])
        if any(start < days[1] and days[0] < end for start, end in others):
            self._tell("enrollment.two-primary", "primary", row)
        if len(others) < REMEMBERED_SPANS:
            others.append(days)


def _plain(faulty: Faulty) -> Faulty:
    """For values that are what they are; an empty one is not faulty but missing."""
    return lambda values: faulty(values) - {""}


def _listed(faulty: Faulty) -> Faulty:
    """For lists: a value is faulty where one of its items is."""

    def look(values: set[str]) -> set[str]:
        items = {value: [item.strip() for item in value.split(",")] for value in values if value}
        bad = faulty(set(chain.from_iterable(items.values())))
        return {value for value, its in items.items() if not bad.isdisjoint(its)} if bad else set()

    return look


def _empty(values: set[str]) -> set[str]:
    return values & {""}


def _not_in(allowed: Sequence[str]) -> Faulty:
    known = frozenset(allowed)
    return lambda values: values - known


def _not_written(pattern: str, *, is_day: bool = False) -> Faulty:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda values: {v for v in values if not matches(v) or (is_day and not _is_day(v))}


def _no_guid(values: set[str]) -> set[str]:
    """Those longer than 255 characters, or with control characters."""
    text = "".join(values)
    if len(text) == len(text.translate(_WITHOUT_CONTROLS)) and (
        not values or max(map(len, values)) <= LONGEST_GUID
    ):
        return set()
    return {v for v in values if len(v) > LONGEST_GUID or v != v.translate(_WITHOUT_CONTROLS)}


def _are_usual(usual: str) -> AreGood:
    """Whether all of a batch are sourcedIds without anything unusual."""
    allowed = usual.encode()

    def look(values: Sequence[str]) -> bool:
        return (
            "" not in values
            and max(map(len, values)) <= LONGEST_GUID
            and not "".join(values).encode().translate(None, allowed)
        )

    return look


def _other_characters(usual: str) -> Faulty:
    allowed = usual.encode()

    def look(values: set[str]) -> set[str]:
        if not "".join(values).encode().translate(None, allowed):
            return set()
        return {value for value in values if value.encode().translate(None, allowed)}

    return look


def _blanks_at_commas(values: set[str]) -> set[str]:
    return {value for value in values if ", " in value or " ," in value}


def _of_other_type(known: Mapping[str, str], wanted: str) -> Faulty:
    return lambda values: {v for v in values if known.get(v, wanted) != wanted}


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _day_after(text: str) -> str:
    try:
        return (dt.date.fromisoformat(text) + dt.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text
