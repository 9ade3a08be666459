"""Collect each file's records for the guard, and check them against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar
from roster_upload.guard.hashing import Hashes, KeyedHasher, Numbers
from roster_upload.guard.record_sets import (
    IDENTITY,
    DuplicateFinder,
    RecordBatch,
    RecordCollector,
    RecordSet,
)
from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.column_rules import ColumnRules
from roster_upload.validation.columns import IdIndex, Numbered, Values, row_sums, sums_of_strings
from roster_upload.validation.enrollments import (
    Calendars,
    Classes,
    Enrollments,
    Sessions,
    day_after,
    day_of,
)
from roster_upload.validation.findings import Findings

# Files whose sourcedIds are checked for pairs that differ only in upper and lower case.
CASE_SENSITIVE = ("academicSessions", "orgs", "courses", "classes", "users")
MOST_KINDS = 255  # distinguished in a file. An export has eight
Flags = npt.NDArray[np.bool_]


@dataclass
class SharedRecords:
    """The records that the files of a package share."""

    hasher: KeyedHasher
    ids: dict[str, IdIndex] = field(default_factory=dict)
    hashes: dict[str, Hashes] = field(default_factory=dict)  # of courses' sourcedIds, in order
    schools: Numbered = field(default_factory=Numbered)
    calendars: Calendars = field(default_factory=Calendars)
    sessions: Sessions = field(default_factory=Sessions)
    scales: dict[str, tuple[str, str]] = field(default_factory=dict)  # resultValueMin and -Max

    def __post_init__(self) -> None:
        self.classes = Classes(self.schools, self.sessions, self.calendars)


class FileRecords:
    """The records of one file.

    `mode` is "bulk" or "delta", `columns` are those of the specification, `kinds` numbers the kinds
    of records.
    """

    def __init__(
        self,
        findings: Findings,
        name: str,
        mode: str,
        columns: Sequence[Mapping[str, Any]],
        shared: SharedRecords,
        kinds: Numbered,
    ) -> None:
        self.findings = findings
        self.name = name
        self.file = f"{name}.csv"
        self.mode = mode
        self.at = {column["name"]: i for i, column in enumerate(columns)}
        self.guard: Mapping[str, Any] = spec("oneroster-1.1")["guard"][name]
        self.shared = shared
        self.kinds = kinds
        self.collector = RecordCollector(
            shared.hasher, is_numbered_anew=self.guard.get("numbered_anew", False)
        )
        self.flags = Numbered()
        self.hashes: list[Hashes] = []
        unused = spec("imagine-learning")["unused"].get(name, ())
        # Columns in which a new value counts as a change.
        self.content = [
            index
            for column, index in self.at.items()
            if column not in unused and index and column not in ("status", "dateLastModified")
        ]
        self.duplicates = {
            column["name"]: DuplicateFinder() for column in columns if column.get("usually_unique")
        }
        self.cases = DuplicateFinder()
        self.enrollments: Enrollments | None = None
        if name == "enrollments":
            shared.classes.ready()
            self.enrollments = Enrollments(self.findings, self.at, shared.classes)

    def add(
        self,
        batch: Batch,
        values: list[Values],
        columns: Sequence[ColumnRules],
        odd: Mapping[int, Indices],
    ) -> None:
        """Remember a batch. `odd` has the rows with unusual characters, by column."""
        count = len(batch)
        ids = self.shared.hasher.of_texts(values[0].texts, values[0].lengths)
        schools = np.zeros(count, np.uint32)
        if "school" in self.guard:
            schools = self.shared.schools.of(values[self.at[self.guard["school"]]])
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
            RecordBatch(
                batch.numbers,
                ids,
                row_sums(count, [values[index] for index in self.content]),
                schools,
                when,
                present,
                gone,
                self._identity(values),
                np.minimum(kinds, MOST_KINDS).astype(np.uint8),
            )
        )

    def _is(self, values: Values, wanted: str) -> Flags:
        """Return which values equal a text."""
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
        shared = self.shared
        match self.name:
            case "academicSessions":
                names = ("sourcedId", "type", "startDate", "endDate")
                found = [values[self.at[n]].strings(np.arange(len(batch))) for n in names]
                shared.sessions.add(*found)
                days = zip(
                    map(day_of, found[2]), map(day_after, map(day_of, found[3])), strict=True
                )
                numbers = [shared.calendars[Calendar(*day, None)] for day in days]
                return np.array(numbers, np.uint32)
            case "courses":
                self.hashes.append(ids)
            case "classes":
                course = columns[self.at["courseSourcedId"]].reference
                terms = values[self.at["termSourcedIds"]]
                of = course.numbers if course else np.full(len(batch), -1)
                return shared.classes.add(self._known(schools, columns), terms, of, ids)
            case "enrollments" if self.enrollments:
                lesson = columns[self.at["classSourcedId"]].reference
                numbers_ = lesson.numbers if lesson else np.full(len(batch), -1)
                return self.enrollments.look(batch, values, numbers_, self._known(schools, columns))
        return np.zeros(len(batch), np.uint32)

    def _known(self, schools: Numbers, columns: Sequence[ColumnRules]) -> Numbers:
        """Return the schools of a batch, 0 for a school that is reported as missing."""
        reference = columns[self.at[self.guard["school"]]].reference
        return np.where(reference.numbers >= 0, schools, 0) if reference else schools

    def _look_for_duplicates(
        self, batch: Batch, values: list[Values], odd: Mapping[int, Indices]
    ) -> None:
        """Remember usually unique values, case-insensitive and without blanks at their edges."""
        for name, finder in self.duplicates.items():
            index = self.at[name]
            finder.add(batch.numbers, _folded(values[index], odd.get(index)))
        if self.name in CASE_SENSITIVE:
            self.cases.add(batch.numbers, _folded(values[0], odd.get(0)))

    def _identity(self, values: list[Values]) -> Numbers:
        """Return the people's identities (`RecordSet.identity`) without the birth date."""
        hasher = self.shared.hasher
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

    def finish(self, baseline: Baseline, columns: Sequence[ColumnRules]) -> None:
        """Put all records into the baseline, and check what needs all of them."""
        for name, finder in self.duplicates.items():
            again = finder.rows()
            baseline.duplicates[f"{self.name}.{name}"] = len(again)
            others = ("value.leftover", "value.scientific")  # a placeholder repeats in many rows
            if len(again) >= sum(self.findings.count(rule, self.file, name) for rule in others):
                self.findings.add_rows("value.usually-unique", self.file, name, again)
        faulty = self.findings.faulty(self.file)
        records, repeated = self.collector.finish(self._kind_names(), faulty)
        self.findings.add_rows("value.unique", self.file, "sourcedId", repeated)
        if self.name in CASE_SENSITIVE:
            by_case = np.setdiff1d(self.cases.rows(), repeated)
            self.findings.add_rows("value.case", self.file, "sourcedId", by_case)
        baseline.records |= records
        baseline.filled[self.name] = {column.name: column.filled for column in columns}
        if self.hashes:
            self.shared.hashes[self.name] = np.concatenate(self.hashes)
        self._finish_people(baseline, records)

    def _kind_names(self) -> dict[int, str]:
        """Return the kinds by number."""
        if "kind" not in self.guard:
            return {0: self.name}
        known = spec("oneroster-1.1")["enums"]["user_role"]
        return {
            number: f"{self.name}.{text if text in known else 'other'}"
            for number, text in enumerate(self.kinds.texts[: MOST_KINDS + 1])
        }

    def _finish_people(self, baseline: Baseline, records: Mapping[str, RecordSet]) -> None:
        if self.name == "users":
            if "false" in self.flags.texts and "true" not in self.flags.texts:
                self.findings.add("users.disabled", self.file, "enabledUser")
        elif self.name == "demographics" and "demographics" in records:
            born = records["demographics"]
            for kind, users in baseline.records.items():
                if kind.startswith("users."):
                    at = np.minimum(np.searchsorted(born.ids, users.ids), len(born) - 1)
                    is_it = born.ids[at] == users.ids
                    users.identity[:, -1] = np.where(is_it, born.identity[at, 0], 0)
            born.identity = born.identity[:, :0]

    def finish_enrollments(self, baseline: Baseline, *, is_broken: bool) -> None:
        """Check what needs all enrollments."""
        if not self.enrollments or self.mode != "bulk":
            return
        baseline.crowds = self.enrollments.crowds()
        if not baseline.rows["enrollments"] or is_broken:
            return
        if not self.enrollments.students and not self.findings.count(
            "value.enum", self.file, "role"
        ):
            self.findings.add("enrollment.no-students", self.file)


def _folded(values: Values, odd: Indices | None) -> npt.NDArray[np.uint64]:
    """Return checksums, case-insensitive and without white space at the edges."""
    if odd is None:
        return values.lowered
    sums = values.lowered.copy()
    sums[odd] = sums_of_strings([text.plain(value).casefold() for value in values.strings(odd)])
    return sums
