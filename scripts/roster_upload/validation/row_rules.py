"""Check several values of a row against each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from roster_upload.validation import text
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.columns import Numbered, Values
from roster_upload.validation.enrollments import day_of
from roster_upload.validation.file_records import SharedRecords
from roster_upload.validation.findings import Findings

# A school year that starts in this month or later ends in the next calendar year.
SCHOOL_YEAR_MONTH = "07"
Look = Callable[[Batch, list[Values]], None]


class RowRules:
    """The rules of one file for several values of a row.

    `file_spec` is the file's part of the specification. `kinds` numbers the roles of users.
    """

    def __init__(
        self,
        findings: Findings,
        name: str,
        file_spec: Mapping[str, Any],
        shared: SharedRecords,
        kinds: Numbered,
    ) -> None:
        self.findings = findings
        self.name = name
        self.file = f"{name}.csv"
        self.spec = file_spec
        self.columns: list[Mapping[str, Any]] = file_spec["columns"]
        self.at = {column["name"]: i for i, column in enumerate(self.columns)}
        self.shared = shared
        self.kinds = kinds
        self.parents: dict[str, tuple[str, int]] = {}  # by sourcedId: the parent, the row's number
        self._all = self._looks()

    def look(self, batch: Batch, values: list[Values]) -> None:
        """Check a batch."""
        for look in self._all:
            look(batch, values)

    def _looks(self) -> list[Look]:
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

    def _report(self, rule: str, column: str, batch: Batch, rows: Sequence[int] | Indices) -> None:
        numbers = batch.first + np.asarray(rows, np.int64)
        self.findings.add_rows(rule, self.file, column, numbers)

    def _order(self, earlier: str, later: str) -> Look:
        start, end = self.at[earlier], self.at[later]
        of = Numbered()
        order: dict[int, bool] = {}  # by pair of days: whether the first is the later one

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
            self._report("value.order", later, batch, np.flatnonzero(is_wrong))

        return look

    def _parallel(self, one: str, other: str) -> Look:
        left, right = self.at[one], self.at[other]

        def look(batch: Batch, values: list[Values]) -> None:
            rows = np.flatnonzero(values[left].filled & values[right].filled)
            pairs = zip(values[left].strings(rows), values[right].strings(rows), strict=True)
            uneven = [a.count(",") != b.count(",") for a, b in pairs]
            self._report("value.parallel", other, batch, rows[np.array(uneven, np.bool_)])

        return look

    def _zeros(self, name: str) -> Look:
        """Return a check for numbers of different lengths without leading zeros."""

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

    def finish(self) -> None:
        """Report rows whose parents form a circle."""
        done: set[str] = set()
        for start in self.parents:
            path: dict[str, None] = {}
            at = start
            while at in self.parents and at not in done and at not in path:
                path[at] = None
                at = self.parents[at][0]
            if at in path:
                row = min(self.parents[child][1] for child in list(path)[list(path).index(at) :])
                self.findings.add("reference.circle", self.file, self.spec["acyclic"], row=row)
            done.update(path)

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
        self._report("session.school-year", "schoolYear", batch, wrong)

    def _schools_of_students(self, batch: Batch, values: list[Values]) -> None:
        column = values[self.at["orgSourcedIds"]]
        numbers = self.shared.schools.of(column)
        several = [
            number
            for number in np.unique(numbers).tolist()
            if "," in self.shared.schools.texts[number] and self._is_several(number)
        ]
        if several:
            students = self.kinds.of(values[self.at["role"]]) == self._number_of("student")
            rows = np.flatnonzero(np.isin(numbers, several) & students)
            self._report("imagine.one-school", "orgSourcedIds", batch, rows)

    def _number_of(self, kind: str) -> int:
        return self.kinds.texts.index(kind) if kind in self.kinds.texts else -1

    def _is_several(self, number: int) -> bool:
        orgs = self.shared.ids.get("orgs")
        items = set(text.plain_list(self.shared.schools.texts[number]).split(","))
        return orgs is not None and sum(orgs.type_of(one) == "school" for one in items) > 1

    def _remember_scales(self, batch: Batch, values: list[Values]) -> None:
        rows = np.arange(len(batch))
        low, high = (values[self.at[n]].strings(rows) for n in ("resultValueMin", "resultValueMax"))
        scales = zip(low, high, strict=True)
        self.shared.scales.update(zip(values[0].strings(rows), scales, strict=True))

    def _scores(self, batch: Batch, values: list[Values]) -> None:
        rows = np.arange(len(batch))
        pairs = (values[self.at[name]].strings(rows) for name in ("lineItemSourcedId", "score"))
        wrong = []
        for row, (item, score) in enumerate(zip(*pairs, strict=True)):
            try:
                low, high = map(float, self.shared.scales[item])
                if not low <= float(score) <= high:
                    wrong.append(row)
            except (KeyError, ValueError):
                pass  # reported by the rules for single values
        self._report("result.score", "score", batch, wrong)


def have_lost_zeros(values: Sequence[str]) -> bool:
    """Return whether a column has numbers of different lengths, but none with a leading zero."""
    return (
        len(values) > 1
        and all(value.isascii() and value.isdigit() for value in values)
        and len(set(map(len, values))) > 1
        and not any(value.startswith("0") and len(value) > 1 for value in values)
    )
