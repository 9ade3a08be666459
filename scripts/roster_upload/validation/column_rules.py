"""Check one column of a OneRoster file by its entry in the specification."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.record_sets import ChunkedArray
from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.columns import (
    Distinct,
    Faulty,
    IdIndex,
    Known,
    Quick,
    ValueRule,
    Values,
    bytes_allowed,
    code_of,
    each_item,
    not_in,
    only,
    sums_of_strings,
)
from roster_upload.validation.findings import Findings

LONGEST_ID = 255
# Types whose values receivers compare exactly, so that a blank beside a value is a fault.
EXACT = ("guid", "enum", "date", "datetime", "year", "float")
DAYS = ("date", "datetime")
FIRST_BIRTH, FIRST_DAY, LAST_DAY = "1900", "1990", "2101"
# Rules for values that look right, since receivers compare invisible characters, too.
UNSEEN = ("value.edge-blank", "value.list-blank", "text.control", "text.invisible")
ONLY_BLANKS = "there is only white space"
EMPTY_ITEM = "value.list-empty"
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReferenceTarget:
    """The file that a column refers to, its sourcedIds, and whether it is the column's own file."""

    file: str
    ids: IdIndex
    is_own: bool


class ColumnRules:
    """The rules of one column of a file."""

    def __init__(
        self,
        findings: Findings,
        file: str,
        column: Mapping[str, Any],
        *,
        mode: str,
        target: ReferenceTarget | None,
        night: dt.date,
    ) -> None:
        """`target` is None if the column is no reference, or its file is not known as a whole."""
        self.findings, self.file, self.column = findings, f"{file}.csv", column
        self.name: str = column["name"]
        self.mode, self.night = mode, night
        self.filled = 0  # values with more than white space in them
        kind: str = column["type"]
        self.is_list = kind.endswith("-list")
        self.base = kind.removesuffix("-list").removesuffix("-ref")
        self.is_id = self.base == "guid" and "ref" not in column
        self.reference: Reference | None = None
        self.own: OwnReference | None = None
        if target and target.is_own:
            self.own = OwnReference(self, target)
        elif target:
            self.reference = Reference(self, target)
        # Invisible characters have their own rules, except in sourcedIds.
        seen = text.seen_list if self.is_list else text.seen
        plain = text.plain if self.is_id else seen
        self._distinct = Distinct(self._checks(file), self._quick(), plain)

    def add(self, rule: str, batch: Batch, rows: Indices, detail: str = "", own: str = "") -> None:
        """Report rows of a batch that break a rule."""
        numbers = batch.first + rows
        self.findings.add_rows(rule, self.file, self.name, numbers, detail=detail, severity=own)

    def look(
        self, batch: Batch, values: Values, odd: Indices | None, vacant: Flags | None = None
    ) -> None:
        """Check a batch.

        `odd` are the rows whose value holds unusual characters. `vacant` are the rows without a
        value in any column, which are reported elsewhere.
        """
        if self.column["required"] == "delta" and self.mode != "delta":
            self._look_for_none(batch, values)
            return
        blank = self._texts(batch, values, odd) if odd is not None else np.zeros(0, np.int64)
        self.filled += int(np.count_nonzero(values.filled)) - len(blank)
        self._presence(batch, values, blank, vacant)
        for check, rows in self._distinct.look(values):
            self.add(check.rule, batch, rows, check.detail, check.severity)
        if self.reference:
            self.reference.look(batch, values)
        elif self.own:
            self.own.remember(batch, values)
        if self.base == "string" and "vocabulary" not in self.column:
            is_name = self.column.get("person", False)
            self.add("value.leftover", batch, text.leftover_rows(values, is_name=is_name))
            self.add("value.scientific", batch, text.scientific_rows(values))

    def finish(self) -> None:
        """Check what needs all rows."""
        if self.own:
            self.own.finish()
        if self.base == "date" and self.column.get("required") == "no":
            # If most dates of a file have another format, a program has rewritten the file.
            wrong = self.findings.count("value.format", self.file, self.name)
            if wrong > self.filled / 2:
                self.findings.refuse("value.format", self.file, self.name)

    # ---- presence, characters -------------------------------------------------------------------

    def _look_for_none(self, batch: Batch, values: Values) -> None:
        """Check that a column for deltas is empty. Its values have no other rules."""
        rows = np.flatnonzero(values.filled)
        self.filled += len(rows)
        if self.mode == "bulk":
            self.add("value.bulk-only-empty", batch, rows)

    def _presence(self, batch: Batch, values: Values, blank: Indices, vacant: Flags | None) -> None:
        """Check that required values are there."""
        missing = ~values.filled if vacant is None else ~values.filled & ~vacant
        match self.column["required"]:
            case "yes":
                self.add("value.required", batch, np.flatnonzero(missing))
                # An export with blanks instead of empty values is wrong as a whole.
                self.add("value.required", batch, blank, ONLY_BLANKS, "error")
            case "delta":
                rows = np.append(np.flatnonzero(missing), blank)
                self.add("value.delta-filled", batch, np.sort(rows))
            case _:
                self.add("value.blank", batch, blank)

    def _texts(self, batch: Batch, values: Values, odd: Indices) -> Indices:
        """Check values with unusual characters. Return the rows that hold only white space."""
        found: dict[str, tuple[str, list[int]]] = {}
        is_name = self.column.get("person", False)
        for row, value in zip(odd.tolist(), values.strings(odd), strict=True):
            for rule, detail in text.faults_of(value, is_list=self.is_list, is_name=is_name):
                found.setdefault(rule, (detail, []))[1].append(row)
        _, blank = found.pop("value.blank", ("", []))
        if self.is_id:
            found.pop("text.control", None)  # reported by the rule for its format
        is_exact = self.base in EXACT and not self.is_id
        for rule, (detail, rows) in found.items():
            if rule not in UNSEEN:
                self.add(rule, batch, np.array(rows), detail)
            elif not self.reference:  # a reference reports it where it matters
                self.add(rule, batch, np.array(rows), detail, "fault" if is_exact else "")
        return np.array(blank, np.int64)

    # ---- single values --------------------------------------------------------------------------

    def _checks(self, file: str) -> list[ValueRule]:
        """Return the rules for single values."""
        rules, checks = spec("oneroster-1.1"), []
        each = each_item if self.is_list else (lambda faulty: faulty)
        if "enum" in self.column:
            allowed = rules["enums"][self.column["enum"]]
            detail = f"allowed: {', '.join(sorted(allowed))}"
            checks.append(ValueRule("value.enum", each(not_in(allowed)), detail))
        written = f"expected: {rules['written'].get(self.base, '')}"
        if self.is_id:
            checks.append(ValueRule("value.format", _no_id, written))
            checks.append(ValueRule("value.unusual", _other_than(rules["usual"]["guid"])))
        elif self.base in DAYS and self.column["required"] != "delta":
            checks.append(ValueRule("value.leftover", _leftovers, "", "fault"))
        if self.base in rules["types"] and self.base != "guid":
            faulty = _not_written(rules["types"][self.base], is_day=self.base == "date")
            checks.append(ValueRule("value.format", each(faulty), written))
        if self.base == "date" and file != "enrollments":  # which are compared with their terms
            checks.append(ValueRule("value.day", self._unlikely))
        if "pattern" in self.column:
            written = f"expected: {rules['written'][self.name]}"
            checks.append(ValueRule("value.format", _not_written(self.column["pattern"]), written))
        if "vocabulary" in self.column:
            checks.append(ValueRule("value.leftover", each(_leftovers)))
            allowed = rules["enums"][self.column["vocabulary"]]
            checks.append(ValueRule("value.vocabulary", each(not_in(allowed))))
        return checks

    def _quick(self) -> Quick | None:
        if self.is_id:
            return only(bytes_allowed(spec("oneroster-1.1")["usual"]["guid"]), LONGEST_ID)
        if "pattern" in self.column:
            return _is_one_typed_id
        if not self._has_checks():
            return lambda values: np.ones(len(values), np.bool_)
        return None

    def _has_checks(self) -> bool:
        return bool({"enum", "vocabulary"} & self.column.keys()) or self.base in spec(
            "oneroster-1.1"
        )["types"].keys() - {"guid"}

    def _unlikely(self, values: set[str]) -> set[str]:
        if self.name == "birthDate":
            tonight = self.night.isoformat()
            return {value for value in values if not FIRST_BIRTH <= value <= tonight}
        return {value for value in values if not FIRST_DAY <= value < LAST_DAY}


class Reference:
    """A column of sourcedIds of another file."""

    def __init__(self, rules: ColumnRules, target: ReferenceTarget) -> None:
        self._rules, self._ids = rules, target.ids
        self._detail = f"in {target.file}.csv"
        self._types = [
            (rule, rules.column[key])
            for key, rule in (
                ("ref_type", "reference.type"),
                ("usual_ref_type", "reference.unusual-type"),
            )
            if key in rules.column
        ]
        self._known = Known()
        self.numbers: Indices = np.zeros(0, np.int64)  # of the rows that the last batch leads to

    def look(self, batch: Batch, values: Values) -> None:
        """Check a batch."""
        if not values.longest:
            self.numbers = np.full(len(values), -1)
            return
        self.numbers = self._ids.find(values.sums)
        is_found = self.numbers >= 0
        for rule, wanted in self._types if is_found.any() else ():
            of = self._ids.type_numbers(self.numbers)
            other = np.flatnonzero(is_found & (of != code_of(self._ids, wanted)))
            self._rules.add(rule, batch, other, wanted)
        rows = np.flatnonzero(values.filled & ~is_found)
        rows = rows[~self._known.has(values.sums[rows])]
        if len(rows):
            self._look_at_each(batch, values, *values.distinct(rows))

    def _look_at_each(
        self, batch: Batch, values: Values, strings: Sequence[str], sums: npt.NDArray[np.uint64]
    ) -> None:
        """Check values that are not exactly a known sourcedId."""
        found: dict[tuple[str, str], list[int]] = {}
        good = []
        exact = self._are_known([self._items(value) for value in strings])
        seen = self._are_known([self._items(text.seen_list(value)) for value in strings])
        for value, one, as_is, is_seen in zip(strings, sums.tolist(), exact, seen, strict=True):
            if (as_is and self._is_whole(value)) or text.is_blank(value):
                good.append(one)
            else:
                fault = self._fault(value, as_is=as_is, is_seen=is_seen)
                found.setdefault(fault, []).append(one)
        for (rule, detail), bad in found.items():
            rows = values.rows_of(np.array(bad, np.uint64))
            self._rules.add(rule, batch, rows, detail, "" if rule == EMPTY_ITEM else "fault")
        if self._types:
            self._look_at_types(batch, values, strings, sums, exact)
        self._known.add(np.array(good, np.uint64))

    def _is_whole(self, value: str) -> bool:
        """Return whether no item of a list is empty."""
        return not self._rules.is_list or "" not in value.split(",")

    def _fault(self, value: str, *, as_is: bool, is_seen: bool) -> tuple[str, str]:
        """Return the rule that causes a broken reference, with a detail."""
        if as_is:
            is_empty = self._rules.column["required"] == "yes" and not self._items(value)
            return ("value.required", "the list has no items") if is_empty else (EMPTY_ITEM, "")
        faults = text.faults_of(value, is_list=self._rules.is_list, is_name=False)
        cause = next((fault for fault in faults if fault[0] in UNSEEN), None)
        return cause if cause and is_seen else ("reference.missing", self._detail)

    def _items(self, value: str) -> list[str]:
        return [item for item in value.split(",") if item] if self._rules.is_list else [value]

    def _are_known(self, lists: Sequence[Sequence[str]]) -> list[bool]:
        """Return, for each list, whether all its items are sourcedIds."""
        numbers = self._ids.find(sums_of_strings([item for items in lists for item in items]))
        ends = np.cumsum([len(items) for items in lists])
        return [bool((part >= 0).all()) for part in np.split(numbers, ends[:-1])]

    def _look_at_types(
        self,
        batch: Batch,
        values: Values,
        strings: Sequence[str],
        sums: npt.NDArray[np.uint64],
        exact: Sequence[bool],
    ) -> None:
        """Check the types of the items of lists."""
        for rule, wanted in self._types:
            bad = [
                one
                for value, one, is_known in zip(strings, sums, exact, strict=True)
                if is_known and any(self._ids.type_of(i) != wanted for i in self._items(value))
            ]
            if bad:
                rows = values.rows_of(np.array(bad, np.uint64))
                self._rules.add(rule, batch, rows, wanted)


class OwnReference:
    """A column of sourcedIds of the same file, which are known only at its end."""

    def __init__(self, rules: ColumnRules, target: ReferenceTarget) -> None:
        self._rules, self._ids = rules, target.ids
        self._detail = f"in {target.file}.csv"
        self._sums, self._numbers = ChunkedArray(), ChunkedArray()

    def remember(self, batch: Batch, values: Values) -> None:
        """Remember a batch's references. Their invisible characters have their own rules."""
        rows = np.flatnonzero(values.filled)
        if not len(rows):
            return
        lists = [
            [item for item in text.seen_list(value).split(",") if item]
            if self._rules.is_list
            else [text.seen(value)] * (not text.is_blank(value))
            for value in values.strings(rows)
        ]
        self._sums.add(sums_of_strings([item for items in lists for item in items]))
        self._numbers.add(np.repeat(batch.first + rows, [len(items) for items in lists]))

    def finish(self) -> None:
        """Report references to rows that are not in the file."""
        if self._sums:
            missing = self._ids.find(self._sums.joined()) < 0
            rows = np.unique(self._numbers.joined()[missing])
            self._rules.findings.add_rows(
                "reference.missing", self._rules.file, self._rules.name, rows, detail=self._detail
            )


def _not_written(pattern: str, *, is_day: bool = False) -> Faulty:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda values: {v for v in values if not matches(v) or (is_day and not text.is_day(v))}


def _leftovers(values: set[str]) -> set[str]:
    return values & text.leftovers()


def _no_id(values: set[str]) -> set[str]:
    """Return values that are longer than 255 characters or hold control characters."""
    return {v for v in values if len(v) > LONGEST_ID or re.search(r"[\x00-\x1f]", v)}


def _other_than(characters: str) -> Faulty:
    allowed = characters.encode()
    return lambda values: {value for value in values if value.encode().translate(None, allowed)}


def _is_one_typed_id(values: Values) -> npt.NDArray[np.bool_]:
    """Return which values are certainly a single `{Type:Id}`."""
    texts, width = values.texts, values.texts.shape[1]
    rows = np.arange(len(values))

    def from_end(count: int) -> npt.NDArray[np.uint8]:
        return texts[rows, np.clip(values.lengths - count, 0, width - 1)]

    is_one: npt.NDArray[np.bool_] = (
        (texts[:, 0] == ord("{")) & (from_end(1) == ord("}")) & (values.lengths <= width)
    )
    for mark in "{}:":
        is_one &= (texts == ord(mark)).sum(axis=1) == 1
    is_one &= (texts[:, 1] != ord(":")) & (from_end(2) != ord(":"))
    return is_one
