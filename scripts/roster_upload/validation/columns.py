"""Columns of a batch as arrays, with checksums and indexes of their values.

A value becomes a checksum of 64 bits, computed for whole columns. Rules check distinct values that
are not known to be right, so that a value in a million rows is checked once.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roster_upload.guard.hashing import LONGEST_VALUE
from roster_upload.guard.record_sets import ChunkedArray
from roster_upload.validation.batch import Batch, Indices

Sums = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint32]
KNOWN_BITS = 15
NUMBERED_BITS = 12
# Odd numbers without a pattern in their bits, for checksums (the fractions of e, pi and phi).
MIX, LENGTHEN, COLUMN = (
    np.uint64(0xADF85458A2BB4A9B),
    np.uint64(0x9E3779B97F4A7C15),
    0xC90FDAA22168C235,
)
SHIFT = np.uint64(29)
WORD = 8
BLOCK = 16


@functools.cache
def _masks(width: int) -> Bytes:
    """Return a mask for each length up to `width`: the bytes of a value of that length."""
    return np.where(np.tri(width + 1, width, -1, dtype=bool), 255, 0).astype(np.uint8)


class Values:
    """One column of a batch."""

    def __init__(self, batch: Batch, column: int) -> None:
        self.batch, self.column = batch, column
        self.starts, self.ends = batch.starts[:, column], batch.ends[:, column]
        self.lengths: Indices = self.ends - self.starts
        self.longest = int(self.lengths.max())

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def filled(self) -> Flags:
        """Return which values are not empty."""
        return self.lengths > 0

    @functools.cached_property
    def texts(self) -> Bytes:
        """Return the first 256 bytes of each value, padded with zeros to one multiple of 16."""
        longest = min(max(self.longest, 1), LONGEST_VALUE)
        width = -(-longest // BLOCK) * BLOCK
        padded = self.batch.padded
        windows = np.ndarray((len(padded) - width + 1,), f"V{width}", padded.data, 0, (1,))
        texts = windows[self.starts].view(np.uint8).reshape(-1, width)
        texts &= _masks(width)[np.minimum(self.lengths, width)]
        return texts

    @functools.cached_property
    def sums(self) -> Sums:
        """Return a checksum of each value, 0 for the empty one."""
        if not self.longest:
            return np.zeros(len(self), np.uint64)
        sums = sums_of(self.texts, self.lengths)
        for row in np.flatnonzero(self.lengths > LONGEST_VALUE):
            value = self.batch.data[self.starts[row] : self.ends[row]]
            sums[row] = int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "big")
        return sums

    @functools.cached_property
    def lowered(self) -> Sums:
        """Return a checksum of each value, case-insensitive for ASCII."""
        if not self.longest:
            return self.sums
        capitals = ((self.texts - np.uint8(65)) < 26).view(np.uint8)
        return sums_of(self.texts | (capitals << np.uint8(5)), self.lengths)

    def strings(self, rows: Indices) -> list[str]:
        """Return the values of some rows."""
        data = self.batch.data
        offsets = zip(self.starts[rows].tolist(), self.ends[rows].tolist(), strict=True)
        return [data[start:end].decode() for start, end in offsets]

    def distinct(self, rows: Indices) -> tuple[list[str], Sums]:
        """Return the distinct values of some rows, and their checksums."""
        sums, first = np.unique(self.sums[rows], return_index=True)
        return self.strings(rows[first]), sums

    def rows_of(self, sums: Sums) -> Indices:
        """Return the rows whose values have one of these checksums."""
        found = self.sums == sums[0] if len(sums) == 1 else np.isin(self.sums, sums)
        return np.flatnonzero(found)


def sums_of(texts: Bytes, lengths: Indices) -> Sums:
    """Return checksums of padded texts, 0 for those of length 0."""
    words = texts.view(np.uint64)
    sums = lengths.astype(np.uint64) * LENGTHEN
    for number in range(words.shape[1]):
        # A value takes as many words as it needs, independent of the rest of the batch.
        further = (sums ^ words[:, number]) * MIX
        further ^= further >> SHIFT
        needed = lengths > number * WORD
        sums = further if needed.all() else np.where(needed, further, sums)
    return sums


def sums_of_strings(values: Sequence[str]) -> Sums:
    """Return the checksums of texts outside a batch."""
    if not values:
        return np.zeros(0, np.uint64)
    return Values(Batch.of_rows(0, [[value] for value in values]), 0).sums


def row_sums(count: int, columns: Sequence[Values]) -> Sums:
    """Return a checksum of the values of each row. `count` is the number of rows."""
    total = np.zeros(count, np.uint64)
    for number, values in enumerate(columns):
        if values.longest:
            factor = (COLUMN * (2 * number + 1)) & 0xFFFFFFFFFFFFFFFF
            total += values.sums * np.uint64(factor | 1)
    return total


class Known:
    """Checksums of values that are known to keep a column's rules. A few may be forgotten."""

    @functools.cached_property
    def _table(self) -> Sums:
        """Return the checksums, each in the slot of its first bits. Most columns never need it."""
        return np.zeros(1 << KNOWN_BITS, np.uint64)

    def has(self, sums: Sums) -> Flags:
        """Return which checksums are known. The empty value's always is."""
        found: Flags = self._table[self._slots(sums)] == sums
        return found

    def add(self, sums: Sums) -> None:
        """Remember checksums."""
        self._table[self._slots(sums[sums != 0])] = sums[sums != 0]

    @staticmethod
    def _slots(sums: Sums) -> Indices:
        # The empty value has slot 0, which no other value takes and nothing is written to.
        slots = (sums >> np.uint64(64 - KNOWN_BITS)).astype(np.int64)
        return np.where(sums == 0, 0, np.maximum(slots, 1))


class Numbered:
    """A number for each distinct value of a column, 0 for the empty one."""

    def __init__(self) -> None:
        self.texts = [""]
        self._numbers: dict[int, int] = {0: 0}
        # A cache for most values. If several share a slot, the last one has it.
        self._sums = np.zeros(1 << NUMBERED_BITS, np.uint64)
        self._slot_numbers = np.zeros(1 << NUMBERED_BITS, np.uint32)

    def of(self, values: Values) -> Numbers:
        """Return the number of each value."""
        if not values.longest:
            return np.zeros(len(values), np.uint32)
        sums = values.sums
        slots = (sums >> np.uint64(64 - NUMBERED_BITS)).astype(np.intp)
        numbers = self._slot_numbers[slots]
        others = np.flatnonzero(self._sums[slots] != sums)
        if len(others):
            distinct, first, back = np.unique(sums[others], return_index=True, return_inverse=True)
            found = [
                self._number(values, o, rows)
                for o, rows in zip(distinct.tolist(), others[first], strict=True)
            ]
            numbers[others] = np.array(found, np.uint32)[back.ravel()]
            self._sums[slots[others]] = sums[others]
            self._slot_numbers[slots[others]] = numbers[others]
        numbers[sums == 0] = 0
        return numbers

    def _number(self, values: Values, one: int, row: np.intp) -> int:
        number = self._numbers.get(one)
        if number is None:
            number = self._numbers[one] = len(self.texts)
            self.texts += values.strings(np.array([row]))
        return number


class IdIndex:
    """The sourcedIds of a file by their checksums, each with the number of its row.

    Rows count from 0 in the order in which they were added. An id that appears twice has the number
    of its first row.
    """

    def __init__(self) -> None:
        self.types = Numbered()  # of users, orgs and sessions
        self._added, self._types = ChunkedArray(), ChunkedArray()
        self._sums: Sums = np.zeros(0, np.uint64)
        self._type_of: Numbers = np.zeros(0, np.uint32)
        # A hash table with open addressing. The number of an id is in the slot of its checksum,
        # or in the next free one.
        self._table = np.full(1, -1, np.int32)

    def add(self, ids: Values, types: Values | None) -> None:
        """Add a batch."""
        self._added.add(ids.sums)
        self._types.add(self.types.of(types) if types else np.zeros(len(ids), np.uint32))

    def _make_table(self) -> None:
        """Build the table after all ids were added."""
        if not self._added:
            return
        self._sums, self._type_of = self._added.joined(), self._types.joined()
        self._table = np.full(1 << (2 * len(self._sums)).bit_length(), -1, np.int32)
        numbers = np.flatnonzero(self._sums).astype(np.int32)
        slots = self._slots(self._sums[numbers])
        while len(numbers):
            is_free = self._table[slots] < 0
            # NumPy keeps the last of several writes to a slot. Reversed, that is the first id.
            self._table[slots[is_free][::-1]] = numbers[is_free][::-1]
            # Ids that are not in the table yet go to the next slot.
            left = self._sums[self._table[slots]] != self._sums[numbers]
            numbers, slots = numbers[left], self._next(slots[left])

    def _slots(self, sums: Sums) -> Indices:
        return (sums & np.uint64(len(self._table) - 1)).astype(np.int64)

    def _next(self, slots: Indices) -> Indices:
        return (slots + 1) & (len(self._table) - 1)

    def __len__(self) -> int:
        self._make_table()
        return len(self._sums)

    def find(self, sums: Sums) -> Indices:
        """Return the number of each checksum, -1 if it is not known."""
        self._make_table()
        found = np.full(len(sums), -1)
        if not len(self._sums):
            return found
        rows = np.flatnonzero(sums)
        slots = self._slots(sums[rows])
        while len(rows):
            numbers = self._table[slots]
            is_it = self._sums[numbers] == sums[rows]
            is_it &= numbers >= 0
            found[rows[is_it]] = numbers[is_it]
            left = (numbers >= 0) & ~is_it
            rows, slots = rows[left], self._next(slots[left])
        return found

    def has(self, values: Sequence[str]) -> list[bool]:
        """Return, for each text, whether it is a sourcedId of the file."""
        return [bool(one) for one in self.find(sums_of_strings(values)) >= 0]

    def type_numbers(self, numbers: Indices) -> Numbers:
        """Return the numbers of the types of rows that were found."""
        return self._type_of[numbers]

    def type_of(self, value: str) -> str:
        """Return the type of a sourcedId, "" if it is not known."""
        number = int(self.find(sums_of_strings([value]))[0])
        return self.types.texts[self._type_of[number]] if number >= 0 else ""


# Returns the faulty values of a set. No value is empty or has white space at its edges.
Faulty = Callable[[set[str]], set[str]]
# Returns which rows certainly keep a column's rules.
Quick = Callable[[Values], Flags]


@dataclass(frozen=True)
class ValueRule:
    """A rule for single values of a column."""

    rule: str
    faulty: Faulty
    detail: str = ""
    severity: str = ""  # replaces the rule's own, if not empty


class Distinct:
    """The rules for the distinct values of a column."""

    def __init__(
        self, checks: Sequence[ValueRule], quick: Quick | None, plain: Callable[[str], str]
    ) -> None:
        """`plain` removes white space at the edges and beside commas, which has its own rules."""
        self._checks, self._quick, self._plain = checks, quick, plain
        self._known = Known()

    def look(self, values: Values) -> list[tuple[ValueRule, Indices]]:
        """Return each rule that a batch breaks, with the rows that break it."""
        if not values.longest:
            return []
        good = self._quick(values) if self._quick else np.zeros(len(values), np.bool_)
        if good.all():
            return []
        rows = np.flatnonzero(~(good | self._known.has(values.sums)))
        if not len(rows):
            return []
        strings, sums = values.distinct(rows)
        plain = list(map(self._plain, strings))
        left, found = set(plain) - {""}, []
        for check in self._checks:
            faulty = check.faulty(left)
            if faulty:
                left -= faulty
                is_faulty = np.fromiter((text in faulty for text in plain), np.bool_, len(plain))
                found.append((check, values.rows_of(sums[is_faulty])))
        is_good = np.fromiter((not t or t in left for t in plain), np.bool_, len(plain))
        self._known.add(sums[is_good])
        return found


def not_in(allowed: Sequence[str]) -> Faulty:
    """Return a check for values that are not allowed."""
    known = frozenset(allowed)
    return lambda values: values - known


def each_item(faulty: Faulty) -> Faulty:
    """Return a check for lists with a faulty item. Empty items are skipped."""

    def look(values: set[str]) -> set[str]:
        items = {value: set(value.split(",")) - {""} for value in values}
        bad = faulty(set().union(*items.values()))
        return {value for value, its in items.items() if not bad.isdisjoint(its)} if bad else set()

    return look


def only(allowed: Flags, longest: int) -> Quick:
    """Return a check for values of allowed bytes only, at least one and at most `longest`.

    `allowed` is true for each allowed byte, and for the padding.
    """

    def look(values: Values) -> Flags:
        is_short = values.filled & (values.lengths <= min(longest, LONGEST_VALUE))
        return is_short & allowed[values.texts].all(axis=1)

    return look


def bytes_allowed(characters: str) -> Flags:
    """Return, for each byte, whether it is one of these ASCII characters or padding."""
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(characters.encode(), np.uint8)] = True
    table[0] = True
    return table


def code_of(index: IdIndex, wanted: str) -> int:
    """Return the number of a type in an index, -1 if no row has it."""
    return index.types.texts.index(wanted) if wanted in index.types.texts else -1
