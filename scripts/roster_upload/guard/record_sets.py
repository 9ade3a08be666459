"""Collect records in batches, as arrays sorted by the hash of the sourcedId."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.calendar import State
from roster_upload.guard.hashing import Bytes, Hashes, KeyedHasher, Numbers

Flags = npt.NDArray[np.bool_]
UINT16_MAX = 0xFFFF
# The values that identify a person, in the order of the columns of `RecordSet.identity`.
IDENTITY = (
    "username",
    "identifier",
    "email",
    "role",
    "orgSourcedIds",
    "grades",
    "name",
    "birthDate",
)


@dataclass
class RecordSet:
    """The records of one kind (`users.student`, `classes`, …), ordered by the hash of their id.

    `schools` are indexes of `Baseline.schools`, and `when` of `Baseline.calendars`. Both take as
    few bytes as possible. `present` is false for a disabled record and for a row with a fault.
    `gone` marks records that a delta file removes. `identity` has a column for each of `IDENTITY`,
    with 0 for an empty value. Records that are not people have no such columns.
    """

    ids: Hashes
    tags: Hashes
    schools: Numbers
    when: Numbers
    present: Flags
    gone: Flags
    identity: Numbers

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> RecordSet:
        """Return an empty record set."""
        empty, number, flag = np.zeros(0, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.bool_)
        return cls(empty, empty, number, number, flag, flag, np.zeros((0, 0), np.uint32))

    @classmethod
    def joined(cls, sets: Sequence[RecordSet]) -> RecordSet:
        """Return the records of all sets."""
        sets = [one for one in sets if len(one)]
        if not sets:
            return cls.none()
        width = max(one.identity.shape[1] for one in sets)
        identities = [
            np.pad(one.identity, ((0, 0), (0, width - one.identity.shape[1]))) for one in sets
        ]
        columns = {
            name: np.concatenate([getattr(one, name) for one in sets])
            for name in ("ids", "tags", "schools", "when", "present", "gone")
        }
        whole = cls(**columns, identity=np.concatenate(identities))
        return whole.take(np.argsort(whole.ids, kind="stable"))

    def take(self, which: Any) -> RecordSet:
        """Return the records of an index or a mask."""
        return RecordSet(
            self.ids[which],
            self.tags[which],
            self.schools[which],
            self.when[which],
            self.present[which],
            self.gone[which],
            self.identity[which],
        )

    def at(self, states: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the `State` of each record, from those of the calendars. Absent ones are over."""
        return np.where(self.present, states[self.when], np.uint8(State.OVER))


class ChunkedArray:
    """Parts of an array of millions of rows, which are freed when they are joined."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[Any]] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, part: npt.NDArray[Any]) -> None:
        """Add a part."""
        self._parts.append(part)

    def joined(self) -> npt.NDArray[Any]:
        """Return the whole array, once."""
        whole = np.concatenate(self._parts)
        self._parts.clear()
        return whole


@dataclass
class RecordBatch:
    """A batch of rows for a collector: arrays of the same length.

    numbers   numbers of the rows in their file
    ids       hashes of their sourcedIds
    sums      checksums of their contents
    schools, when, present, gone, identity   as in `RecordSet`
    kinds     the number of each row's kind
    """

    numbers: Numbers
    ids: Hashes
    sums: Hashes
    schools: Numbers
    when: Numbers
    present: Flags
    gone: Flags
    identity: Numbers
    kinds: Bytes


class RecordCollector:
    """Collect the records of one file, batch by batch."""

    def __init__(self, hasher: KeyedHasher, *, is_numbered_anew: bool = False) -> None:
        """With `is_numbered_anew`, tags do not depend on ids, so that a new id finds its row."""
        self.hasher = hasher
        self._is_numbered_anew = is_numbered_anew
        self._parts = {
            name: ChunkedArray() for name in RecordBatch.__dataclass_fields__ if name != "sums"
        }
        self._parts["tags"] = ChunkedArray()

    def add(self, rows: RecordBatch) -> None:
        """Add a batch."""
        of = np.zeros_like(rows.ids) if self._is_numbered_anew else rows.ids
        parts = {**vars(rows), "tags": self.hasher.tags(of, rows.sums)}
        for name in ("schools", "when"):
            parts[name] = _small(parts[name])
        for name, part in self._parts.items():
            part.add(parts[name])

    def finish(
        self, names: Mapping[int, str], faulty: Flags
    ) -> tuple[dict[str, RecordSet], Numbers]:
        """Return the records by kind, and the numbers of rows whose id appears in an earlier row.

        `names` has the kinds by number. `faulty` flags the rows with a fault by number, and may be
        shorter than the rows.
        """
        if not self._parts["ids"]:
            return {}, np.zeros(0, np.uint32)
        ids, numbers = self._parts["ids"].joined(), self._parts["numbers"].joined()
        order = _order(ids, numbers)
        repeated = _repeated(ids[order], self.hasher.nothing)
        present = self._parts["present"].joined()
        present[order[repeated]] = False  # a record that appears twice counts once
        if faulty.any():
            known = numbers < len(faulty)
            present[known] &= ~faulty[numbers[known]]
        repeated_rows = np.sort(numbers[order[repeated]])
        del numbers
        order, ends = self._by_kind(order, names)
        arrays = {"ids": ids[order], "present": present[order]}
        del ids, present
        for name in ("tags", "schools", "when", "gone", "identity"):
            arrays[name] = self._parts[name].joined()[order]
        found, start = {}, 0
        for kind, end in ends.items():
            if end > start:
                found[kind] = RecordSet(**{name: a[start:end] for name, a in arrays.items()})
            start = end
        return found, repeated_rows

    def _by_kind(self, order: Numbers, names: Mapping[int, str]) -> tuple[Numbers, dict[str, int]]:
        """Return the order by kind, and the end of each kind in it."""
        kinds = self._parts["kinds"].joined()[order]
        parts: dict[str, Numbers] = {}
        for kind in dict.fromkeys(names.values()):
            of = [number for number, name in names.items() if name == kind]
            parts[kind] = order[np.isin(kinds, of)] if len(names) > 1 else order
        ends = np.cumsum([len(part) for part in parts.values()]).tolist()
        whole = np.concatenate(list(parts.values())) if len(parts) > 1 else order
        return whole, dict(zip(parts, ends, strict=True))


def _small(numbers: Numbers) -> npt.NDArray[Any]:
    """Return millions of numbers in as few bytes as they need."""
    return numbers.astype(np.uint16) if numbers.max(initial=0) <= UINT16_MAX else numbers


def _order(values: Hashes, numbers: Numbers) -> Numbers:
    """Return the order of values. Equal values are ordered by their numbers."""
    order = np.argsort(values)
    if (np.diff(values[order]) == 0).any():  # a stable sort takes twice the time
        order = np.lexsort((numbers, values))
    return order.astype(np.uint32)


def _repeated(ordered: Hashes, nothing: np.uint64) -> npt.NDArray[np.intp]:
    """Return the positions of values that equal the one before. Empty values are skipped."""
    return np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != nothing)) + 1


class DuplicateFinder:
    """Find values that appear in more than one row. Empty values are skipped."""

    def __init__(self) -> None:
        self._sums, self._numbers = ChunkedArray(), ChunkedArray()

    def add(self, numbers: Numbers, sums: Hashes) -> None:
        """Add the rows of a batch by their numbers, with the checksums of their values."""
        self._sums.add(sums)
        self._numbers.add(numbers)

    def rows(self) -> Numbers:
        """Return the ordered numbers of the rows whose value also appears in an earlier row."""
        if not self._sums:
            return np.zeros(0, np.uint32)
        sums, numbers = self._sums.joined(), self._numbers.joined()
        order = _order(sums, numbers)
        again = _repeated(sums[order], np.uint64(0))
        return np.sort(numbers[order[again]])


class ValueIndex(dict[str, int]):
    """A number for each distinct text, 0 for the empty one."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number
