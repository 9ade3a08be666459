"""References between a package's rows, and the rows that are removed with others.

Rows are identified by their numbers and by 64-bit hashes of their sourcedIds. Only files that
others refer to are read in advance. For all other files, mostly enrollments, each row is decided on
while it is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.record_sets import ChunkedArray
from roster_upload.package.edits import Edits
from roster_upload.package.repairs import Repairs
from roster_upload.package.rows import Part
from roster_upload.package.source import Source
from roster_upload.package.values import Fields, Flags, Hashes
from roster_upload.spec import spec

Targets = npt.NDArray[np.int32]
NOTHING = -1  # an empty value
UNKNOWN = -2  # a reference to a row that is not in the package

# Returns facts about the rows of a part: name to a value for each row.
Facts = Callable[[str, Part], Mapping[str, npt.NDArray[Any]]]


class Index:
    """Finds rows by the hashes of their sourcedIds."""

    def __init__(self, ids: Hashes) -> None:
        order = np.argsort(ids, kind="stable").astype(np.int32)
        ordered = ids[order]
        is_first = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        is_first &= ordered != 0
        firsts = order[is_first]
        again = ~is_first & (ordered != 0)
        group = np.cumsum(is_first) - 1
        # Rows that repeat an earlier sourcedId, each with the earlier row.
        self.twins = (order[again], firsts[group[again]]) if len(order) else (order, order)
        self.hashes, self.rows = ordered[is_first], firsts

    def find(self, hashes: Hashes) -> Targets:
        """Return the number of the row with each hash, or NOTHING, or UNKNOWN."""
        found = np.where(hashes == 0, np.int32(NOTHING), np.int32(UNKNOWN))
        if len(self.hashes) and len(hashes):
            # Rows of one person or class are often adjacent.
            is_new = np.append(True, hashes[1:] != hashes[:-1])
            asked = hashes[is_new]
            at = np.minimum(np.searchsorted(self.hashes, asked), len(self.hashes) - 1)
            rows = np.where(
                self.hashes[at] == asked,
                self.rows[at],
                np.where(asked == 0, np.int32(NOTHING), np.int32(UNKNOWN)),
            )
            found = rows if is_new.all() else rows[np.cumsum(is_new) - 1]
        return found


@dataclass
class ListReferences:
    """References of a list column, item by item: the row of each, and its target."""

    owners: npt.NDArray[Any]
    targets: Targets


@dataclass
class Records:
    """The rows of one file. All arrays are indexed by the row's number."""

    count: int
    index: Index
    is_readable: bool
    single: dict[str, Targets] = field(default_factory=dict)
    lists: dict[str, ListReferences] = field(default_factory=dict)
    facts: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def present(self, keep: Flags) -> Flags:
        """Return which rows are present by sourcedId. Another row of the same id is enough."""
        rows, firsts = self.index.twins
        if not len(rows):
            return keep
        present = keep.copy()
        present[firsts[keep[rows]]] = True
        return present


class ColumnValues:
    """The values of a column while a file is read. Unreadable rows get a default value."""

    def __init__(self, gap: Any, dtype: Any) -> None:
        self._gap, self._dtype = gap, dtype
        self._parts = ChunkedArray()
        self._count = 0

    def add(self, first: int, values: npt.NDArray[Any]) -> None:
        """Add values, beginning with the row `first`."""
        self.fill(first)
        self._parts.add(values.astype(self._dtype, copy=False))
        self._count += len(values)

    def fill(self, count: int) -> None:
        """Fill the gap before the row `count`."""
        if count > self._count:
            self._parts.add(np.full(count - self._count, self._gap, self._dtype))
            self._count = count

    def joined(self, count: int) -> npt.NDArray[Any]:
        """Return the values of all rows."""
        self.fill(count)
        return self._parts.joined()


class RecordsReader:
    """Collects the records of one file. References stay hashes until all rows are known."""

    def __init__(self, graph: Graph, name: str, facts: Facts) -> None:
        self._graph, self._name, self._facts = graph, name, facts
        self._ids = ColumnValues(0, np.uint64)
        self._single: dict[str, ColumnValues] = {}
        self._owners: dict[str, ChunkedArray] = {}
        self._items: dict[str, ChunkedArray] = {}
        self._gathered: dict[str, ColumnValues] = {}

    def add(self, part: Part, gone: Flags) -> None:
        """Add a part, without the removed rows."""
        first = part.first
        self._ids.add(first, np.where(gone, np.uint64(0), part.column(0).hashes()))
        for reference in self._graph.references(self._name):
            name, fields = reference.column, part.column(reference.number)
            if reference.is_list:
                owners, items = fields.items()
                items = self._graph.repaired(items)
                self._owners.setdefault(name, ChunkedArray()).add(owners + first)
                self._items.setdefault(name, ChunkedArray()).add(items.hashes())
            else:
                self._single.setdefault(name, ColumnValues(0, np.uint64)).add(
                    first, fields.hashes()
                )
        for fact, values in self._facts(self._name, part).items():
            self._gathered.setdefault(fact, ColumnValues(0, values.dtype)).add(first, values)

    def finish(self, count: int, *, is_readable: bool) -> Records:
        """Return the records."""
        index = Index(self._ids.joined(count))
        records = Records(count, index, is_readable)
        for reference in self._graph.references(self._name):
            name, target = reference.column, reference.target
            to = index if target == self._name else self._graph.records[target].index
            if name in self._single:
                records.single[name] = to.find(self._single[name].joined(count))
            elif name in self._items:
                targets = to.find(self._items[name].joined())
                records.lists[name] = ListReferences(self._owners[name].joined(), targets)
        records.facts = {name: arrays.joined(count) for name, arrays in self._gathered.items()}
        return records


@dataclass(frozen=True)
class Reference:
    """A column that refers to a file of the package."""

    column: str
    number: int  # of the column
    target: str
    is_list: bool
    is_required: bool


class Graph:
    """The rows of a package that others refer to, and their own references."""

    def __init__(self, source: Source, facts: Facts) -> None:
        """Read the files. Raise Unusable."""
        self.source = source
        self._trims_items = "list-blanks" in source.repairs
        self._references = {name: self._find_references(name) for name in source.files}
        self.records: dict[str, Records] = {}
        for name in self.referred:
            self.records[name] = self._read(name, facts)

    @property
    def referred(self) -> list[str]:
        """Return the files that others refer to. References lead to earlier files."""
        targets = {one.target for found in self._references.values() for one in found}
        return [name for name in spec("oneroster-1.1")["data_files"] if name in targets]

    def _find_references(self, name: str) -> list[Reference]:
        return [
            Reference(
                column["name"],
                number,
                column["ref"],
                column["type"].endswith("-list"),
                column["required"] == "yes",
            )
            for number, column in enumerate(self.source.columns(name))
            if column.get("ref") in self.source.files
        ]

    def references(self, name: str) -> list[Reference]:
        """Return the columns of a file that refer to files of the package."""
        return self._references[name]

    def repaired(self, items: Fields) -> Fields:
        """Return the items of lists as they will be after the repairs."""
        return items.trimmed() if self._trims_items else items

    def _read(self, name: str, facts: Facts) -> Records:
        repairs = Repairs(self.source.repairs)
        table = self.source.table(name, repairs)
        columns = self.source.columns(name)
        repair = repairs.of_columns(columns, is_bulk=self.source.is_bulk(name))
        reader = RecordsReader(self, name, facts)
        for part in table:
            if part.has_rows:
                repaired, edits = repair(part)
                reader.add(repaired, edits.gone)
        return reader.finish(table.count, is_readable=table.is_readable)

    def all_rows(self) -> dict[str, Flags]:
        """Return set flags for all rows of the files that others refer to."""
        return {name: np.ones(one.count, np.bool_) for name, one in self.records.items()}


class Selection:
    """The rows of a package that stay, without references to removed rows.

    A row is removed if a row that it requires is removed. An optional reference is emptied. Lists
    lose the removed items. A reference to a row that never was in the package stays, so that
    validation reports it.
    """

    def __init__(self, graph: Graph, keep: dict[str, Flags]) -> None:
        """Remove rows that require removed ones.

        `keep` has a flag for each row of a file, by its number. For a file that no other refers to,
        flags or the whole file may be missing.
        """
        self.graph, self.keep = graph, keep
        self.gone: Counter[str] = Counter()  # rows by file
        self.references: Counter[str] = Counter()  # emptied or cut, by file.column
        # By file.column, if requested: the rows that remaining rows refer to.
        self.reached: dict[str, Flags] = {}
        for name in graph.records:
            self._close(name)

    def _close(self, name: str) -> None:
        """Remove the rows of a file that require removed ones."""
        records = self.graph.records[name]
        keep = self.keep[name]
        for one in self.graph.references(name):
            if not one.is_required or one.target == name:
                continue
            present = self._present(one)
            if one.column in records.single:
                keep &= ~leads_away(records.single[one.column], present)
            elif one.column in records.lists:
                lists = records.lists[one.column]
                alive, lost = reached(lists, present, records.count)
                keep &= alive | ~lost
        # An unreadable file stays whole.
        keep |= not records.is_readable

    def _present(self, reference: Reference) -> Flags:
        return self.graph.records[reference.target].present(self.keep[reference.target])

    def apply(self, name: str, part: Part, edits: Edits) -> None:
        """Remove the rows and references of a part that do not stay."""
        before = np.count_nonzero(edits.gone)
        if name in self.keep:
            keep = self.keep[name][part.numbers]
            edits.gone[: len(keep)] |= ~keep
        noted = []
        for one in self.graph.references(name):
            present = self._present(one)
            reached_rows = self.reached.get(f"{name}.{one.column}")
            if present.all() and reached_rows is None:
                continue
            fields = part.column(one.number)
            if one.is_list:
                self._cut(name, one, fields, present, edits)
                continue
            index = self.graph.records[one.target].index
            targets = index.find(fields.hashes())
            self._follow(name, one, fields, leads_away(targets, present), edits)
            if reached_rows is not None:
                noted.append((reached_rows, targets))
        self.gone[name] += int(np.count_nonzero(edits.gone) - before)
        for reached_rows, targets in noted:
            kept = targets[~edits.gone]
            reached_rows[kept[kept >= 0]] = True

    def finish(self, name: str) -> None:
        """Note that all parts of a file have been copied."""

    def _follow(self, name: str, one: Reference, fields: Fields, away: Flags, edits: Edits) -> None:
        if one.is_required:
            edits.gone |= away
            return
        which = np.flatnonzero(away & ~edits.gone)
        edits.blank(fields.at(which))
        self._count(name, one, len(which))

    def _cut(self, name: str, one: Reference, fields: Fields, present: Flags, edits: Edits) -> None:
        owners, items = fields.items()
        index = self.graph.records[one.target].index
        away = leads_away(index.find(self.graph.repaired(items).hashes()), present)
        away &= ~edits.gone[owners]
        if away.any():
            self._count(name, one, int(np.count_nonzero(away)))
            edits.cut_items(fields, owners, items, away)

    def _count(self, name: str, one: Reference, count: int) -> None:
        if count:
            self.references[f"{name}.{one.column}"] += count


def leads_away(targets: Targets, present: Flags) -> Flags:
    """Return which references lead to a removed row of the package."""
    away: Flags = (targets >= 0) & ~present[np.maximum(targets, 0)]
    return away


def reached(lists: ListReferences, present: Flags, count: int) -> tuple[Flags, Flags]:
    """Return which rows have an item that is present, and which have one that is not."""
    alive, lost = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    away = leads_away(lists.targets, present)
    alive[lists.owners[(lists.targets >= 0) & ~away]] = True
    lost[lists.owners[away]] = True
    return alive, lost
