"""Checks a OneRoster 1.1 package straight from its zip, by the rules of `spec/`.

Rows are read in batches and looked at by column. On the way the package is remembered for the guard
(`guard.baseline`).
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.baseline import (
    IDENTITY,
    Calendar,
    DuplicateFinder,
    Hashes,
    KeyedHasher,
    Numbers,
    RecordCollector,
    RecordSet,
)
from roster_upload.guard.baseline import Rows as Records
from roster_upload.host.memory import give_back
from roster_upload.spec import spec
from roster_upload.validation import archive, text
from roster_upload.validation.columns import IdIndex, Numbered, Values, row_sums, sums_of_strings
from roster_upload.validation.csv_reader import Batch, Rows, Unreadable
from roster_upload.validation.enrollments import (
    Calendars,
    Classes,
    Enrollments,
    Sessions,
    day_after,
    day_of,
)
from roster_upload.validation.findings import Report
from roster_upload.validation.manifest import MANIFEST, Manifest
from roster_upload.validation.rules import ColumnRules, Target

# File: the column whose values say what kind of row a reference has led to.
REFERRED_TYPES = {"orgs": "type", "academicSessions": "type", "users": "role"}
# Files whose sourcedIds are looked at whether capitals alone tell them apart.
CASE_SENSITIVE = ("academicSessions", "orgs", "courses", "classes", "users")
MOST_KINDS = 255  # that are told apart; an export has eight
# How many rows the sheets of spreadsheets have, the header among them.
SHEET_ROWS = (65_536, 1_048_576)
SCHOOL_YEAR_MONTH = "07"  # from which on a school year ends in the next calendar year
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def check(package: zipfile.ZipFile, report: Report, hasher: KeyedHasher, night: dt.date) -> None:
    """Check a package and remember it; `night` is the day for which it is judged."""
    Package(package, report, hasher, night).check()


class Package:
    """One package under check."""

    def __init__(
        self, package: zipfile.ZipFile, report: Report, hasher: KeyedHasher, night: dt.date
    ) -> None:
        self.archive = package
        self.report = report
        self.findings = report.findings
        self.baseline = report.baseline
        self.hasher = hasher
        self.night = night
        self.spec = spec("oneroster-1.1")
        self.unused: Mapping[str, Sequence[str]] = spec("imagine-learning")["unused"]
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.manifest = Manifest(self.findings)
        self.ids: dict[str, IdIndex] = {}
        self.hashes: dict[str, Hashes] = {}  # of the sourcedIds of courses, in their order
        # What rules between files need of the rows of others.
        self.schools = Numbered()
        self.calendars = Calendars()
        self.sessions = Sessions()
        self.classes = Classes(self.schools, self.sessions, self.calendars)
        self.scales: dict[str, tuple[str, str]] = {}  # resultValueMin, resultValueMax
        columns = chain.from_iterable(f["columns"] for f in self.spec["files"].values())
        self.referred = {column["ref"] for column in columns if "ref" in column}

    def check(self) -> None:
        """Check the layout, the manifest, then each file in the order of its references."""
        known = [MANIFEST, *(f"{name}.csv" for name in self.spec["data_files"])]
        names = archive.Names(known)
        members = archive.members(self.archive, self.findings, names, names.like)
        if any(finding.rule.startswith("package.") for finding in self.findings.errors):
            return  # what lies elsewhere or is unreadable would only show as missing, too
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
                File(self, name, members[f"{name}.csv"]).check()
        self._finish()
        self.baseline.is_unchanged = is_empty

    def _required_files(self) -> None:
        for name in spec("imagine-learning")["required_files"]:
            # What was announced and is not there is told already.
            if f"{name}.csv" not in self.members and self.manifest.modes.get(name) not in (
                "bulk",
                "delta",
            ):
                self.findings.add("imagine.required-file", f"{name}.csv")

    def _needs(self, name: str) -> None:
        for needed in self.spec["files"][name].get("needs", ()):
            is_told = self.findings.count("manifest.not-delivered", f"{needed}.csv")
            if f"{needed}.csv" not in self.members and self.mode(name) != "delta" and not is_told:
                self.findings.add("package.needs", f"{name}.csv", detail=f"{needed}.csv")

    def mode(self, name: str) -> str:
        """Return the mode of a file that is in the package."""
        return "delta" if self.manifest.modes.get(name) == "delta" else "bulk"

    def is_broken(self, name: str) -> bool:
        """Return whether a file is missing, or not readable as a whole."""
        if f"{name}.csv" not in self.members:
            return True
        return any(
            finding.file == f"{name}.csv"
            and finding.rule.startswith(("package.", "csv.", "value.delta", "value.bulk"))
            and not finding.rule.startswith("csv.line-ends")
            for finding in self.findings.errors
        )

    def _finish(self) -> None:
        """Say what can be said only when all files are known."""
        baseline = self.baseline
        self._look_for_teachers()
        baseline.schools = self.schools.texts
        baseline.sessions = self.sessions.all()
        if "courses" in baseline.records and len(self.classes.hash_of):
            courses = baseline.records["courses"]
            whens = self.classes.whens_of_courses(len(self.hashes["courses"]))
            courses.when = courses.when.copy()
            courses.when[np.searchsorted(courses.ids, self.hashes["courses"])] = whens
        baseline.calendars = list(self.calendars)
        baseline.modes = {
            name: self.mode(name) for name in self.spec["data_files"] if name in baseline.rows
        }
        days = [(s.first, s.last) for s in baseline.sessions if "" < s.first <= s.last]
        tonight = self.night.isoformat()
        if days and not min(d[0] for d in days) <= tonight <= max(d[1] for d in days):
            self.findings.add("session.today", "academicSessions.csv")

    def _look_for_teachers(self) -> None:
        """Tell of classes without a teacher, unless what is wrong with enrollments is the cause."""
        is_told = any(finding.file == "enrollments.csv" for finding in self.findings.errors)
        names = ("classes", "enrollments")
        is_known = all(self.mode(one) == "bulk" and not self.is_broken(one) for one in names)
        if self.baseline.rows.get("enrollments") and is_known and not is_told:
            without = np.flatnonzero(~self.classes.has_teacher[:-1])
            self.findings.add_rows("class.no-teacher", "classes.csv", "", without + 2)


class File:
    """One data file under check."""

    def __init__(self, package: Package, name: str, info: zipfile.ZipInfo) -> None:
        self.package = package
        self.findings = package.findings
        self.name = name
        self.file = f"{name}.csv"
        self.info = info
        self.mode = package.mode(name)
        self.spec: Mapping[str, Any] = package.spec["files"][name]
        self.columns: list[Mapping[str, Any]] = self.spec["columns"]
        self.at = {column["name"]: i for i, column in enumerate(self.columns)}
        self.guard: Mapping[str, Any] = package.spec["guard"][name]
        self.is_referred = name in package.referred
        self.ids = IdIndex()
        self.parents: dict[str, tuple[str, int]] = {}  # row's sourcedId: its parent, its number
        self.collector = RecordCollector(
            package.hasher, is_numbered_anew=self.guard.get("numbered_anew", False)
        )
        self.kinds = Numbered()
        self.flags = Numbered()
        self.hashes: list[Hashes] = []
        unused = package.unused.get(name, ())
        # The columns of which a change is one.
        self.content = [
            place
            for column, place in self.at.items()
            if column not in unused and place and column not in ("status", "dateLastModified")
        ]
        self.duplicates = {
            column["name"]: DuplicateFinder()
            for column in self.columns
            if column.get("usually_unique")
        }
        self.cases = DuplicateFinder()
        self.enrollments: Enrollments | None = None
        if name == "enrollments":
            package.classes.ready()
            self.enrollments = Enrollments(self.findings, self.at, package.classes)

    def check(self) -> None:
        """Check all rows. The file's sourcedIds are known to the package afterwards."""
        self.package.ids[self.name] = self.ids
        rows = None
        try:
            rows = Rows(self.package.archive, self.info, self.file, self.findings)
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
        # Names beyond those of the standard are right where they are like this.
        wanted += [name for name in header[len(wanted) :] if re.fullmatch(r"metadata\.\S.*", name)]
        pairs = enumerate(zip_longest(header, wanted))
        others = ((n, a or "", b or "") for n, (a, b) in pairs if a != b)
        place, found, expected = next(others, (-1, "", ""))
        if place < 0:
            twice = next((i for i, name in enumerate(header) if name in header[:i]), 0)
            if not twice:
                return True
            detail = f"column {twice + 1} has the name of another"
        elif place >= len(self.columns):
            detail = f"column {place + 1} should be metadata.… or nothing"
            is_other = not found.lower().startswith("metadata.")
            detail += text.difference(found, "" if is_other else found.lower())
        else:
            detail = f"column {place + 1} should be {expected}"
            is_old = found in self.spec.get("old", {})
            old = f"; {found} is of OneRoster 1.0"
            detail += old if is_old else text.difference(found, expected)
        self.findings.add("csv.header", self.file, detail=detail, row=1)
        return False

    def _read(self, rows: Rows) -> None:
        """Look at all rows."""
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
        between = self._between()
        for batch in rows:
            values = [Values(batch, place) for place in range(len(self.columns))]
            odd = text.odd_fields(batch)
            vacant = self._vacant(batch, values[0])
            if self.is_referred:
                kind = REFERRED_TYPES.get(self.name)
                self.ids.add(values[0], values[self.at[kind]] if kind else None)
            for place, rules in enumerate(columns):
                rules.look(batch, values[place], odd.get(place), vacant)
            for look in between:
                look(batch, values)
            self._count(batch, values, columns, odd)
        self._finish(rows, columns)

    def _vacant(self, batch: Batch, ids: Values) -> Flags | None:
        """Return the rows that hold nothing but commas, which are told as such."""
        if ids.filled.all():
            return None
        vacant: Flags = (batch.starts == batch.ends).all(axis=1)
        rows = batch.first + np.flatnonzero(vacant)
        detail = "the row holds nothing"
        self.findings.add_rows("value.required", self.file, "sourcedId", rows, detail=detail)
        return vacant

    def _target(self, column: Mapping[str, Any]) -> Target | None:
        """Return what a column refers to; None where not all rows of it are known.

        A delta's references may lead to rows of earlier packages. Where a file is broken its cause
        is told, and the consequences would bury it.
        """
        target = column.get("ref")
        if not target or self.mode == "delta":
            return None
        if target == self.name:
            return Target(target, self.ids, is_own=True)
        if self.package.mode(target) == "delta" or self.package.is_broken(target):
            return None
        return Target(target, self.package.ids[target], is_own=False)

    # ---- what the guard remembers ---------------------------------------------------------------

    def _count(
        self,
        batch: Batch,
        values: list[Values],
        columns: Sequence[ColumnRules],
        odd: Mapping[int, Places],
    ) -> None:
        """Remember a batch."""
        count = len(batch)
        ids = self.package.hasher.of_texts(values[0].texts, values[0].lengths)
        schools = np.zeros(count, np.uint32)
        if "school" in self.guard:
            schools = self.package.schools.of(values[self.at[self.guard["school"]]])
        kinds = np.zeros(count, np.uint32)
        if "kind" in self.guard:
            kinds = self.kinds.of(values[self.at[self.guard["kind"]]])
        present = np.ones(count, np.bool_)
        if "present" in self.guard:
            present = self._is(values[self.at[self.guard["present"]]], "true")
        gone = np.zeros(count, np.bool_)
        if self.mode == "delta":
            gone = self._is(values[self.at["status"]], "tobedeleted")
        when = self._when(batch, values, columns, schools, ids)
        self._look_for_duplicates(batch, values, odd)
        self.collector.add(
            Records(
                batch.numbers,
                ids,
                row_sums(count, [values[place] for place in self.content]),
                schools,
                when,
                present,
                gone,
                self._identity(values),
                np.minimum(kinds, MOST_KINDS).astype(np.uint8),
            )
        )

    def _is(self, values: Values, wanted: str) -> Flags:
        """Return which values are one text."""
        numbers = self.flags.of(values)
        if wanted not in self.flags.texts:
            return np.zeros(len(values), np.bool_)
        found: Flags = numbers == self.flags.texts.index(wanted)
        return found

    def _when(
        self,
        batch: Batch,
        values: list[Values],
        columns: Sequence[ColumnRules],
        schools: Numbers,
        ids: Hashes,
    ) -> Numbers:
        """Return the calendars of a batch, by their numbers."""
        package = self.package
        match self.name:
            case "academicSessions":
                names = ("sourcedId", "type", "startDate", "endDate")
                found = [values[self.at[n]].strings(np.arange(len(batch))) for n in names]
                package.sessions.add(*found)
                days = zip(
                    map(day_of, found[2]), map(day_after, map(day_of, found[3])), strict=True
                )
                numbers = [package.calendars[Calendar(*day, None)] for day in days]
                return np.array(numbers, np.uint32)
            case "courses":
                self.hashes.append(ids)
            case "classes":
                course = columns[self.at["courseSourcedId"]].reference
                terms = values[self.at["termSourcedIds"]]
                of = course.numbers if course else np.full(len(batch), -1)
                return package.classes.add(self._known(schools, columns), terms, of, ids)
            case "enrollments" if self.enrollments:
                lesson = columns[self.at["classSourcedId"]].reference
                numbers_ = lesson.numbers if lesson else np.full(len(batch), -1)
                return self.enrollments.look(batch, values, numbers_, self._known(schools, columns))
        return np.zeros(len(batch), np.uint32)

    def _known(self, schools: Numbers, columns: Sequence[ColumnRules]) -> Numbers:
        """Return the schools of a batch, 0 for one that is told to lead nowhere."""
        reference = columns[self.at[self.guard["school"]]].reference
        return np.where(reference.numbers >= 0, schools, 0) if reference else schools

    def _look_for_duplicates(
        self, batch: Batch, values: list[Values], odd: Mapping[int, Places]
    ) -> None:
        """Remember values that are usually unique, capitals and blanks at their edges aside."""
        for name, finder in self.duplicates.items():
            place = self.at[name]
            finder.add(batch.numbers, _folded(values[place], odd.get(place)))
        if self.name in CASE_SENSITIVE:
            self.cases.add(batch.numbers, _folded(values[0], odd.get(0)))

    def _identity(self, values: list[Values]) -> Numbers:
        """Return what tells who somebody is (`RecordSet.identity`), but for the birth date."""
        hasher = self.package.hasher
        if self.name == "demographics":
            born = hasher.marks(len(IDENTITY) - 1, values[self.at["birthDate"]].sums)
            return born.reshape(-1, 1)
        if self.name != "users":
            return np.zeros((len(values[0]), 0), np.uint32)
        given, family = (values[self.at[n]].lowered for n in ("givenName", "familyName"))
        sums = {
            "name": given + np.uint64(3) * family,
            "birthDate": np.zeros(len(given), np.uint64),
            **{name: values[self.at[name]].sums for name in IDENTITY[:-2]},
        }
        return np.column_stack([hasher.marks(n, sums[name]) for n, name in enumerate(IDENTITY)])

    # ---- at the end of the file -----------------------------------------------------------------

    def _finish(self, rows: Rows, columns: Sequence[ColumnRules]) -> None:
        """Say what can be said only when all rows are known."""
        baseline = self.package.baseline
        self._circles()
        for column in columns:
            column.finish()
        for name, finder in self.duplicates.items():
            again = finder.rows()
            baseline.duplicates[f"{self.name}.{name}"] = len(again)
            told = ("value.leftover", "value.scientific")  # which are the same in many rows
            if len(again) >= sum(self.findings.count(rule, self.file, name) for rule in told):
                self.findings.add_rows("value.usually-unique", self.file, name, again)
        faulty = self.findings.faulty(self.file)
        records, repeated = self.collector.finish(self._kind_names(), faulty)
        self.findings.add_rows("value.unique", self.file, "sourcedId", repeated)
        if self.name in CASE_SENSITIVE:
            by_case = np.setdiff1d(self.cases.rows(), repeated)
            self.findings.add_rows("value.case", self.file, "sourcedId", by_case)
        baseline.records |= records
        baseline.rows[self.name] = max(rows.count - 1, 0)
        baseline.filled[self.name] = {column.name: column.filled for column in columns}
        if self.hashes:
            self.package.hashes[self.name] = np.concatenate(self.hashes)
        self._finish_people(records)
        self._finish_enrollments()

    def _kind_names(self) -> dict[int, str]:
        """Return the kind of each number of one."""
        if "kind" not in self.guard:
            return {0: self.name}
        known = self.package.spec["enums"]["user_role"]
        return {
            number: f"{self.name}.{text if text in known else 'other'}"
            for number, text in enumerate(self.kinds.texts[: MOST_KINDS + 1])
        }

    def _finish_people(self, records: Mapping[str, RecordSet]) -> None:
        if self.name == "users":
            if "false" in self.flags.texts and "true" not in self.flags.texts:
                self.findings.add("users.disabled", self.file, "enabledUser")
        elif self.name == "demographics" and "demographics" in records:
            born = records["demographics"]
            for kind, users in self.package.baseline.records.items():
                if kind.startswith("users."):
                    at = np.minimum(np.searchsorted(born.ids, users.ids), len(born) - 1)
                    is_it = born.ids[at] == users.ids
                    users.identity[:, -1] = np.where(is_it, born.identity[at, 0], 0)
            born.identity = born.identity[:, :0]

    def _finish_enrollments(self) -> None:
        if not self.enrollments or self.mode != "bulk":
            return
        self.package.baseline.crowds = self.enrollments.crowds()
        if not self.package.baseline.rows["enrollments"] or self.package.is_broken(self.name):
            return
        if not self.enrollments.students and not self.findings.count(
            "value.enum", self.file, "role"
        ):
            self.findings.add("enrollment.no-students", self.file)

    # ---- between several values of a row --------------------------------------------------------

    def _between(self) -> list[Callable[[Batch, list[Values]], None]]:
        """Return the rules between several values of a row."""
        looks = [self._order(*pair) for pair in self.spec.get("order", ())]
        looks += [self._parallel(*pair) for pair in self.spec.get("parallel", ())]
        looks += [self._zeros(c["name"]) for c in self.columns if c.get("leading_zeros")]
        if "acyclic" in self.spec:
            looks.append(self._remember_parents)
        match self.name:
            case "academicSessions":
                looks.append(self._school_years)
            case "users":
                looks.append(self._schools_of_students)
            case "lineItems":
                looks.append(self._remember_scales)
            case "results":
                looks.append(self._scores)
        return looks

    def _tell(self, rule: str, column: str, batch: Batch, rows: Sequence[int] | Places) -> None:
        numbers = batch.first + np.asarray(rows, np.int64)
        self.findings.add_rows(rule, self.file, column, numbers)

    def _order(self, earlier: str, later: str) -> Callable[[Batch, list[Values]], None]:
        start, end = self.at[earlier], self.at[later]
        of = Numbered()
        order: dict[int, bool] = {}  # pair of days: whether the first is the later one

        def look(batch: Batch, values: list[Values]) -> None:
            if not values[start].longest or not values[end].longest:
                return
            first, last = (of.of(values[i]).astype(np.uint64) for i in (start, end))
            pairs = (first << np.uint64(32)) | last
            distinct, back = np.unique(pairs, return_inverse=True)
            for one in distinct.tolist():
                if one not in order:
                    one_day, other_day = (
                        day_of(of.texts[n]) for n in (one >> 32, one & 0xFFFFFFFF)
                    )
                    order[one] = bool(one_day and other_day) and one_day > other_day
            is_wrong = np.array([order[one] for one in distinct.tolist()])[back.ravel()]
            self._tell("value.order", later, batch, np.flatnonzero(is_wrong))

        return look

    def _parallel(self, one: str, other: str) -> Callable[[Batch, list[Values]], None]:
        left, right = self.at[one], self.at[other]

        def look(batch: Batch, values: list[Values]) -> None:
            rows = np.flatnonzero(values[left].filled & values[right].filled)
            pairs = zip(values[left].strings(rows), values[right].strings(rows), strict=True)
            uneven = [a.count(",") != b.count(",") for a, b in pairs]
            self._tell("value.parallel", other, batch, rows[np.array(uneven, np.bool_)])

        return look

    def _zeros(self, name: str) -> Callable[[Batch, list[Values]], None]:
        """Numbers of different lengths without a leading zero, as a spreadsheet leaves them."""

        def look(batch: Batch, values: list[Values]) -> None:
            column = values[self.at[name]]
            found = column.strings(np.flatnonzero(column.filled))
            if have_lost_zeros(found):
                self.findings.add("value.leading-zeros", self.file, name)

        return look

    def _remember_parents(self, batch: Batch, values: list[Values]) -> None:
        column = values[self.at[self.spec["acyclic"]]]
        rows = np.flatnonzero(column.filled)
        pairs = zip(values[0].strings(rows), column.strings(rows), strict=True)
        for row, (child, parent) in zip(rows.tolist(), pairs, strict=True):
            self.parents[child] = (parent, batch.first + row)

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

    def _school_years(self, batch: Batch, values: list[Values]) -> None:
        names = ("type", "startDate", "endDate", "schoolYear")
        rows = np.arange(len(batch))
        columns = [values[self.at[name]].strings(rows) for name in names]
        wrong = [
            row
            for row, (kind, first, last, year) in enumerate(zip(*columns, strict=True))
            if "" < day_of(first) <= day_of(last)
            and re.fullmatch(r"\d{4}", year)
            and (
                (kind == "schoolYear" and year != last[:4])
                or (year == first[:4] and first[5:7] >= SCHOOL_YEAR_MONTH)
            )
        ]
        self._tell("session.school-year", "schoolYear", batch, wrong)

    def _schools_of_students(self, batch: Batch, values: list[Values]) -> None:
        column = values[self.at["orgSourcedIds"]]
        numbers = self.package.schools.of(column)
        several = [
            number
            for number in np.unique(numbers).tolist()
            if "," in self.package.schools.texts[number] and self._is_several(number)
        ]
        if several:
            students = self.kinds.of(values[self.at["role"]]) == self._number_of("student")
            rows = np.flatnonzero(np.isin(numbers, several) & students)
            self._tell("imagine.one-school", "orgSourcedIds", batch, rows)

    def _number_of(self, kind: str) -> int:
        return self.kinds.texts.index(kind) if kind in self.kinds.texts else -1

    def _is_several(self, number: int) -> bool:
        orgs = self.package.ids.get("orgs")
        items = set(text.plain_list(self.package.schools.texts[number]).split(","))
        return orgs is not None and sum(orgs.type_of(one) == "school" for one in items) > 1

    def _remember_scales(self, batch: Batch, values: list[Values]) -> None:
        rows = np.arange(len(batch))
        low, high = (values[self.at[n]].strings(rows) for n in ("resultValueMin", "resultValueMax"))
        scales = zip(low, high, strict=True)
        self.package.scales.update(zip(values[0].strings(rows), scales, strict=True))

    def _scores(self, batch: Batch, values: list[Values]) -> None:
        rows = np.arange(len(batch))
        pairs = (values[self.at[name]].strings(rows) for name in ("lineItemSourcedId", "score"))
        wrong = []
        for row, (item, score) in enumerate(zip(*pairs, strict=True)):
            try:
                low, high = map(float, self.package.scales[item])
                if not low <= float(score) <= high:
                    wrong.append(row)
            except (KeyError, ValueError):
                pass  # told by the rules for single values
        self._tell("result.score", "score", batch, wrong)


def _folded(values: Values, odd: Places | None) -> npt.NDArray[np.uint64]:
    """Return checksums by which capitals and white space at the edges do not count."""
    if odd is None:
        return values.lowered
    sums = values.lowered.copy()
    sums[odd] = sums_of_strings([text.plain(value).casefold() for value in values.strings(odd)])
    return sums


def have_lost_zeros(values: Sequence[str]) -> bool:
    """Return whether numbers of different lengths stand in a column, none with a leading zero."""
    return (
        len(values) > 1
        and all(value.isascii() and value.isdigit() for value in values)
        and len(set(map(len, values))) > 1
        and not any(value.startswith("0") and len(value) > 1 for value in values)
    )
