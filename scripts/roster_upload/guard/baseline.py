"""The baseline: what is remembered of a package, as keyed hashes, states and counts.

No value of a row is kept. A sourcedId becomes 64 bits of an AES-CBC-MAC (its length in the first
block, so that it is a pseudorandom function of values of any length). A row's content becomes 64
bits of AES over the hash of its id and a checksum of its values. Without the key neither can be
guessed. Whole batches are hashed at once, since a package holds millions of rows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from roster_upload.host import atomic

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
BLOCK = 16
LONGEST_VALUE = 256  # bytes of a value that are hashed; no sourcedId is longer
VERSION = 2
UINT16_MAX = 0xFFFF
# What tells who somebody is, in the order of the columns of `RecordSet.identity`.
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


class Foreign(ValueError):
    """A baseline of another program or of another host."""


class State(IntEnum):
    """What a record is on a day."""

    OVER = 0
    UPCOMING = 1
    PRESENT = 2


class Calendar(NamedTuple):
    """The days of a record: its own first day, the day after its last, and its sessions'.

    Days are ISO 8601, "" where none is given. `sessions` are the first day and the day after the
    last of each session, and None where no session bounds the record.
    """

    begin: str = ""
    end: str = ""
    sessions: tuple[tuple[str, str], ...] | None = None

    def state(self, day: dt.date) -> State:
        """Return what a record of these days is on `day`."""
        now = day.isoformat()
        sessions = self.sessions if self.sessions is not None else (("", ""),)
        parts = [(max(self.begin, first), _earlier(self.end, last)) for first, last in sessions]
        parts = [(first, last) for first, last in parts if not last or first < last]
        if any(first <= now and (not last or now < last) for first, last in parts):
            return State.PRESENT
        return State.UPCOMING if any(first > now for first, _ in parts) else State.OVER


ALWAYS = Calendar()


def _earlier(one: str, other: str) -> str:
    """Return the earlier of two days, of which each may be missing."""
    return min(one, other) if one and other else one or other


class Session(NamedTuple):
    """An academic session: its type, its first day, its last, and whether a class points to it."""

    type: str
    first: str
    last: str
    is_used: bool


class KeyedHasher:
    """Keyed hashes of values. Equal keys and values give equal hashes."""

    def __init__(self, key: bytes) -> None:
        self._ids = self._cipher(b"id", key)
        self._tags = self._cipher(b"tag", key)
        self.nothing = self.of([""])[0]

    @staticmethod
    def _cipher(purpose: bytes, key: bytes) -> Any:
        own = hashlib.blake2b(purpose, key=key, digest_size=32).digest()
        # Single blocks only ever meet it, as inputs of the MAC; no text is encrypted in this mode.
        return Cipher(algorithms.AES(own), modes.ECB()).encryptor()  # noqa: S305

    @staticmethod
    def _blocks(cipher: Any, data: Bytes) -> Bytes:
        return np.frombuffer(cipher.update(data.tobytes()), np.uint8).reshape(-1, BLOCK)

    def of(self, values: Sequence[str]) -> Hashes:
        """Return a hash of each value, in their order."""
        encoded = list(map(str.encode, values))
        longest = min(max(map(len, encoded), default=0), LONGEST_VALUE)
        width = -(-max(longest, 1) // BLOCK) * BLOCK
        texts = np.array(encoded, dtype=f"S{width}").view(np.uint8).reshape(-1, width)
        return self.of_texts(texts, np.fromiter(map(len, encoded), np.int64, len(values)))

    def of_texts(self, texts: Bytes, lengths: npt.NDArray[np.int64]) -> Hashes:
        """Return a hash of each row of `texts`: bytes, padded with zeros to a multiple of 16.

        `lengths` are those of the whole values. What is beyond 256 bytes counts by its length only.
        """
        count, width = texts.shape
        state = np.zeros((count, BLOCK), np.uint8)
        state[:, :8] = lengths.astype(np.uint64).view(np.uint8).reshape(-1, 8)
        state = self._blocks(self._ids, state)
        # Values take as many blocks as their own length needs, whatever else is in the batch.
        needed = -(-np.minimum(lengths, LONGEST_VALUE) // BLOCK)
        for number in range(width // BLOCK):
            is_short = needed <= number
            if is_short.all():
                break
            further = self._blocks(
                self._ids, state ^ texts[:, number * BLOCK : (number + 1) * BLOCK]
            )
            state = np.where(is_short[:, None], state, further) if is_short.any() else further
        return np.ascontiguousarray(state[:, :8]).view(np.uint64).ravel()

    def tags(self, ids: Hashes, sums: Hashes) -> Hashes:
        """Return a hash of each pair of an id's hash and a checksum."""
        data = np.empty((len(ids), 2), np.uint64)
        data[:, 0], data[:, 1] = ids, sums
        made = self._blocks(self._tags, data.view(np.uint8))
        return np.ascontiguousarray(made.view(np.uint64)[:, 0])

    def marks(self, purpose: int, sums: Hashes) -> Numbers:
        """Return 32 bits of a hash of each checksum, 0 for the checksum 0 of an empty value."""
        made = self.tags(np.full(len(sums), purpose, np.uint64), sums)
        made = (made & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        return np.where(sums == 0, np.uint32(0), np.maximum(made, np.uint32(1)))


@dataclass
class RecordSet:
    """The records of one kind (`users.student`, `classes`, …), ordered by the hash of their id.

    `schools` leads into `Baseline.schools`, `when` into `Baseline.calendars`, in as few bytes as
    that takes. `present` is false
    where the record is disabled or its row has a fault. `gone` marks what a delta file takes away.
    `identity` has a column for each of `IDENTITY`, 0 where the value is empty, and no column for
    records that are not people.
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
        """Return no record."""
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
        """Return the records that an index or a mask chooses."""
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
        """Return the `State` of each record, given that of each calendar; absent ones are over."""
        return np.where(self.present, states[self.when], np.uint8(State.OVER))


# Names of a record set's arrays in a file.
ARRAYS = ("ids", "tags", "schools", "when", "present", "identity")


@dataclass
class Baseline:
    """All that is remembered of a package.

    records     kind of record (`users.student`, `enrollments.teacher`, `classes`): its records
    schools     what a record says of its schools: none, one or several sourcedIds, comma between
    calendars   the days of records; the first is that of records without days
    rows        file: its rows
    filled      file: column: rows with more than white space in it
    modes       file: `bulk` or `delta`, of the files in the package
    crowds      enrollments of each class: hash of the class, calendar, their number
    duplicates  `users.username`, …: rows whose value appears in an earlier row, too
    sessions    the academic sessions
    night       the day that dawns when it was accepted (ISO 8601), "" where it is not known
    has_tags    whether contents, days and identities are known; not in baselines of version 1
    """

    records: dict[str, RecordSet] = field(default_factory=dict)
    schools: list[str] = field(default_factory=lambda: [""])
    calendars: list[Calendar] = field(default_factory=lambda: [ALWAYS])
    rows: dict[str, int] = field(default_factory=dict)
    filled: dict[str, dict[str, int]] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    crowds: tuple[Hashes, Numbers, Numbers] = field(
        default_factory=lambda: (np.zeros(0, np.uint64), *(np.zeros(0, np.uint32),) * 2)
    )
    duplicates: dict[str, int] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    night: str = ""
    has_tags: bool = True
    is_unchanged: bool = False  # the package says that nothing has changed: a manifest alone

    @property
    def is_incremental(self) -> bool:
        """Whether what is not in the package stays as it was."""
        return self.is_unchanged or "delta" in self.modes.values()

    def states(self, day: dt.date) -> npt.NDArray[np.uint8]:
        """Return the `State` of each calendar on a day."""
        return np.array([calendar.state(day) for calendar in self.calendars], np.uint8)

    def save(self, path: Path, key: bytes) -> None:
        """Replace a file by it, with a mark of the key of its hashes, so that it lasts.

        Raise OSError.
        """
        arrays: dict[str, Any] = {}
        for number, records in enumerate(self.records.values()):
            for name in ARRAYS:
                arrays[f"{number}.{name}"] = getattr(records, name)
        for name, array in zip(("ids", "when", "counts"), self.crowds, strict=True):
            arrays[f"crowds.{name}"] = array
        facts = {
            "v": VERSION,
            "key": mark(key),
            "kinds": list(self.records),
            "schools": self.schools,
            "calendars": self.calendars,
            "rows": self.rows,
            "filled": self.filled,
            "duplicates": self.duplicates,
            "sessions": self.sessions,
            "night": self.night,
            "has_tags": self.has_tags,
        }
        arrays["told"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        with atomic.replacing(path) as out:
            np.savez(out, **arrays)

    @classmethod
    def load(cls, path: Path, key: bytes) -> Baseline:
        """Read it back. Raise OSError, or ValueError where the file cannot be used."""
        try:
            return cls._load(path, key)
        except Foreign:
            raise
        except (
            zipfile.BadZipFile,
            ValueError,
            EOFError,
            RuntimeError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            MemoryError,
            NotImplementedError,
        ) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__})") from None

    @classmethod
    def _load(cls, path: Path, key: bytes) -> Baseline:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            facts: dict[str, Any] = json.loads(stored["told"].tobytes())
            if facts["v"] not in (1, VERSION):
                raise Foreign(f"{path} was written by another version of the program")
            if facts["key"] != mark(key):
                raise Foreign(f"{path} was written with another key; was the host set up anew?")
            if facts["v"] == 1:
                return _of_version_1(facts, stored)
            records = {
                name: _checked(*(stored[f"{number}.{array}"] for array in ARRAYS))
                for number, name in enumerate(facts["kinds"])
            }
            crowds = tuple(stored[f"crowds.{name}"] for name in ("ids", "when", "counts"))
        calendars = [
            Calendar(begin, end, None if days is None else tuple((a, b) for a, b in days))
            for begin, end, days in facts["calendars"]
        ]
        for one in records.values():
            if len(one) and (
                one.when.max() >= len(calendars) or one.schools.max() >= len(facts["schools"])
            ):
                raise IndexError
        if len(crowds[1]) and crowds[1].max() >= len(calendars):
            raise IndexError
        return cls(
            records,
            facts["schools"],
            calendars,
            facts["rows"],
            facts["filled"],
            {},
            (
                crowds[0].astype(np.uint64),
                crowds[1].astype(np.uint32),
                crowds[2].astype(np.uint32),
            ),
            facts["duplicates"],
            [Session(*session) for session in facts["sessions"]],
            facts["night"],
            facts["has_tags"],
        )


def _checked(
    ids: Any, tags: Any, schools: Any, when: Any, present: Any, identity: Any
) -> RecordSet:
    """Return a record set of stored arrays. Raise TypeError or IndexError where they are none."""
    count = len(ids)
    if any(array.shape != (count,) for array in (ids, tags, schools, when, present)) or (
        identity.ndim != 2 or len(identity) != count
    ):
        raise IndexError
    number = (np.uint16, np.uint32)
    wanted = ((np.uint64,), (np.uint64,), number, number, (np.bool_,), (np.uint32,))
    arrays = (ids, tags, schools, when, present, identity)
    if any(array.dtype not in kinds for array, kinds in zip(arrays, wanted, strict=True)):
        raise TypeError
    return RecordSet(ids, tags, schools, when, present, np.zeros(count, np.bool_), identity)


def _of_version_1(facts: Mapping[str, Any], stored: Any) -> Baseline:
    """Return what a file of version 1 holds: ids and schools, without days and contents."""
    records = {}
    for number, name in enumerate(facts["kinds"]):
        ids, tags = stored[f"{number}.ids"], stored[f"{number}.tags"]
        zeros = np.zeros(len(ids), np.uint32)
        places, nobody = stored[f"{number}.places"], np.zeros((len(ids), 0), np.uint32)
        records[name] = _checked(ids, tags, places, zeros, np.ones(len(ids), np.bool_), nobody)
        if len(ids) and places.max() >= len(facts["places"]):
            raise IndexError
    return Baseline(records, facts["places"], rows=facts["rows"], filled=facts["filled"],
                    has_tags=False)  # fmt: skip


def mark(key: bytes) -> str:
    """Return what tells one key from another, and nothing of either."""
    return hashlib.blake2b(b"mark", key=key, digest_size=8).hexdigest()


class ChunkedArray:
    """Arrays that become one. They are let go then, since there are millions of rows."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[Any]] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, part: npt.NDArray[Any]) -> None:
        """Add one."""
        self._parts.append(part)

    def joined(self) -> npt.NDArray[Any]:
        """Return all of them, once."""
        whole = np.concatenate(self._parts)
        self._parts.clear()
        return whole


@dataclass
class Rows:
    """What a collector is told of a batch of rows: arrays of the same length.

    numbers   those of the rows in their file
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
    """Gathers the records of one file, batch by batch."""

    def __init__(self, hasher: KeyedHasher, *, is_numbered_anew: bool = False) -> None:
        """`is_numbered_anew`: a row's content is hashed without its id, so that rows can be found
        again under another one."""
        self.hasher = hasher
        self._is_numbered_anew = is_numbered_anew
        self._parts = {name: ChunkedArray() for name in Rows.__dataclass_fields__ if name != "sums"}
        self._parts["tags"] = ChunkedArray()

    def add(self, rows: Rows) -> None:
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

        `names` says what the numbers of kinds mean. `faulty` is true for the numbers of rows with a
        fault, and may be shorter than there are rows.
        """
        if not self._parts["ids"]:
            return {}, np.zeros(0, np.uint32)
        ids, numbers = self._parts["ids"].joined(), self._parts["numbers"].joined()
        order = _order(ids, numbers)
        repeated = _repeated(ids[order], self.hasher.nothing)
        present = self._parts["present"].joined()
        present[order[repeated]] = False  # who appears twice is there once
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
        """Return an order kind by kind, and where in it each kind ends."""
        kinds = self._parts["kinds"].joined()[order]
        parts: dict[str, Numbers] = {}
        for kind in dict.fromkeys(names.values()):
            of = [number for number, name in names.items() if name == kind]
            parts[kind] = order[np.isin(kinds, of)] if len(names) > 1 else order
        ends = np.cumsum([len(part) for part in parts.values()]).tolist()
        whole = np.concatenate(list(parts.values())) if len(parts) > 1 else order
        return whole, dict(zip(parts, ends, strict=True))


def _small(numbers: Numbers) -> npt.NDArray[Any]:
    """Return numbers in as few bytes as they need, since there are millions."""
    return numbers.astype(np.uint16) if numbers.max(initial=0) <= UINT16_MAX else numbers


def _order(values: Hashes, numbers: Numbers) -> Numbers:
    """Return the order of values; equal ones come in that of their numbers."""
    order = np.argsort(values)
    if (np.diff(values[order]) == 0).any():  # a stable sort takes twice the time
        order = np.lexsort((numbers, values))
    return order.astype(np.uint32)


def _repeated(ordered: Hashes, nothing: np.uint64) -> npt.NDArray[np.intp]:
    """Return the places of values that equal the one before, but for that of no value."""
    return np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != nothing)) + 1


class DuplicateFinder:
    """Looks for values that appear in more than one row; empty ones do not count."""

    def __init__(self) -> None:
        self._sums, self._numbers = ChunkedArray(), ChunkedArray()

    def add(self, numbers: Numbers, sums: Hashes) -> None:
        """Add the rows of a batch by their numbers, with the checksums of their values."""
        self._sums.add(sums)
        self._numbers.add(numbers)

    def rows(self) -> Numbers:
        """Return the numbers of the rows whose value appears in an earlier row, too, in order."""
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
