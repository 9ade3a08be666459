"""What the guard remembers of a package: who was there, as keyed hashes, and how full it was.

No value of a row is kept. A sourcedId becomes 64 bits of an AES-CBC-MAC (its length in the first
block, so that it is a pseudorandom function of values of any length), a row's content 64 bits of
AES over the id's hash and the row's CRC-32; without the key neither can be guessed at.
Both are made of whole batches at once, since a package holds millions of rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from roster_upload.table import UNPACKING_ERRORS

Hashes = npt.NDArray[np.uint64]
BLOCK = 16
HASHED_AT_ONCE = 8192
BATCHES_AT_ONCE = 64  # of which each may be a megabyte
LONGEST_VALUE = 256  # bytes of a value that are hashed; no sourcedId is longer
VERSION = 1


class Prints:
    """Keyed hashes of values; equal keys and values give equal hashes."""

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
    def _blocks(cipher: Any, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.frombuffer(cipher.update(data.tobytes()), np.uint8).reshape(-1, BLOCK)

    def of(self, values: Sequence[str]) -> Hashes:
        """A hash of each value, in their order."""
        encoded = list(map(str.encode, values))
        longest = min(max(map(len, encoded)), LONGEST_VALUE)
        width = -(-max(longest, 1) // BLOCK) * BLOCK
        texts = np.array(encoded, dtype=f"S{width}").view(np.uint8).reshape(-1, width)
        state = np.zeros((len(values), BLOCK), np.uint8)
        lengths = np.fromiter(map(len, encoded), np.uint64, len(values))
        state[:, :8] = lengths.view(np.uint8).reshape(-1, 8)
        state = self._blocks(self._ids, state)
        # Values take as many blocks as their own length needs, whatever else is in the batch.
        needed = -(-np.minimum(lengths, LONGEST_VALUE).astype(np.int64) // BLOCK)
        for number in range(width // BLOCK):
            further = self._blocks(
                self._ids, state ^ texts[:, number * BLOCK : (number + 1) * BLOCK]
            )
            is_short = needed <= number
            state = np.where(is_short[:, None], state, further) if is_short.any() else further
        return np.ascontiguousarray(state[:, :8]).view(np.uint64).ravel()

    def rows(self, ids: Hashes, sums: npt.NDArray[np.uint32]) -> Hashes:
        """A hash of each row's content, of its id's hash and its checksum."""
        data = np.zeros((len(ids), BLOCK), np.uint8)
        data[:, :8] = ids.view(np.uint8).reshape(-1, 8)
        data[:, 8:12] = sums.view(np.uint8).reshape(-1, 4)
        made = self._blocks(self._tags, data)
        return np.ascontiguousarray(made[:, :8]).view(np.uint64).ravel()


@dataclass
class Kind:
    """The records of one kind (`users.student`, `classes`, …), ordered by the hash of their id.

    `places` leads into `Census.places`; `gone` marks what a delta file takes away.
    """

    ids: Hashes
    tags: Hashes
    places: npt.NDArray[np.uint32]
    gone: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> Kind:
        """No record."""
        empty = np.zeros(0, np.uint64)
        return cls(empty, empty, np.zeros(0, np.uint32), np.zeros(0, np.bool_))

    @classmethod
    def joined(cls, one: Kind, other: Kind) -> Kind:
        """The records of both."""
        ids = np.concatenate([one.ids, other.ids])
        both = cls(
            ids,
            np.concatenate([one.tags, other.tags]),
            np.concatenate([one.places, other.places]),
            np.concatenate([one.gone, other.gone]),
        )
        return both.take(np.argsort(ids, kind="stable"))

    def take(self, which: Any) -> Kind:
        """The records that an index or a mask chooses."""
        return Kind(self.ids[which], self.tags[which], self.places[which], self.gone[which])


@dataclass
class Census:
    """All kinds of a package, the schools that their records belong to, and its filled columns."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    # Each entry is what a record says of its schools: none, one or several, by sourcedId.
    places: list[str] = field(default_factory=lambda: [""])
    rows: dict[str, int] = field(default_factory=dict)  # file: its rows
    filled: dict[str, dict[str, int]] = field(default_factory=dict)  # file: column: rows
    delta: list[str] = field(default_factory=list)  # files that list changes only
    is_incremental: bool = False  # what is not in the package stays as it was

    def save(self, path: Path, key: bytes) -> None:
        """Writes it to a file, with a mark of the key of its hashes; raises OSError."""
        arrays: dict[str, Any] = {}
        for number, kind in enumerate(self.kinds.values()):
            arrays[f"{number}.ids"], arrays[f"{number}.tags"] = kind.ids, kind.tags
            arrays[f"{number}.places"] = kind.places
        told = {
            "v": VERSION,
            "key": mark(key),
            "kinds": list(self.kinds),
            "places": self.places,
            "rows": self.rows,
            "filled": self.filled,
        }
        arrays["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        with path.open("wb") as out:
            np.savez(out, **arrays)

    @classmethod
    def load(cls, path: Path, key: bytes) -> Census:
        """Reads it back; raises OSError or ValueError where that cannot be done."""
        told, arrays = _read(path)
        if told.get("v") != VERSION:
            raise ValueError(f"{path} was written by another version of the program")
        if told.get("key") != mark(key):
            raise ValueError(f"{path} was written with another key; was the host set up anew?")
        try:
            kinds = {
                name: Kind(
                    arrays[f"{number}.ids"],
                    arrays[f"{number}.tags"],
                    arrays[f"{number}.places"],
                    np.zeros(len(arrays[f"{number}.ids"]), np.bool_),
                )
                for number, name in enumerate(told["kinds"])
            }
            return cls(kinds, told["places"], told["rows"], told["filled"])
        except (KeyError, TypeError):
            raise ValueError(f"{path} is damaged") from None


def mark(key: bytes) -> str:
    """What tells one key from another, and nothing of either."""
    return hashlib.blake2b(b"mark", key=key, digest_size=8).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of a file; raises OSError, or ValueError where it is damaged."""
    data = io.BytesIO(path.read_bytes())
    try:
        with np.load(data, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        told: dict[str, Any] = json.loads(arrays.pop("told").tobytes())
    except (*UNPACKING_ERRORS, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__})") from None
    return told, arrays


class Places(dict[str, int]):
    """A number for each distinct text about schools, 0 for the empty one."""

    def __init__(self) -> None:
        super().__init__({"": 0})
        self._texts = [""]

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        self._texts.append(text)
        return number

    def text(self, number: int) -> str:
        """The text of a number."""
        return self._texts[number]

    def of(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        """The numbers of texts, in their order."""
        return np.fromiter(map(self.__getitem__, texts), np.uint32, len(texts))


class Gathered:
    """Arrays that become one; what they were is let go then, since there are millions of rows."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[Any]] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, part: npt.NDArray[Any]) -> None:
        """Adds one."""
        self._parts.append(part)

    def joined(self) -> npt.NDArray[Any]:
        """All of them, once."""
        whole = np.concatenate(self._parts)
        self._parts.clear()
        return whole


class Counter:
    """Gathers the records of one file, batch by batch."""

    def __init__(self, prints: Prints) -> None:
        self.prints = prints
        self._values: list[str] = []  # waiting to be hashed, many at once
        self._sums: list[npt.NDArray[np.uint32]] = []
        self._ids, self._tags, self._places = Gathered(), Gathered(), Gathered()
        self._kinds, self._gone = Gathered(), Gathered()
        self._numbers = RowNumbers()

    def add(
        self,
        first: int,
        values: Sequence[str],
        lines: Sequence[str],
        *,
        places: npt.NDArray[np.uint32],
        kinds: npt.NDArray[np.uint8],
        gone: npt.NDArray[np.bool_],
    ) -> None:
        """Adds a batch: its first row's number, ids, rows' text, and what is known of each row."""
        self._values += values
        self._sums.append(
            np.fromiter(map(zlib.crc32, map(str.encode, lines)), np.uint32, len(lines))
        )
        self._places.add(places)
        self._kinds.add(kinds)
        self._gone.add(gone)
        self._numbers.add(first, len(values))
        if len(self._values) >= HASHED_AT_ONCE or len(self._sums) >= BATCHES_AT_ONCE:
            self._hash()

    def _hash(self) -> None:
        if self._values:
            ids = self.prints.of(self._values)
            self._ids.add(ids)
            self._tags.add(self.prints.rows(ids, np.concatenate(self._sums)))
            self._values, self._sums = [], []

    def finish(self, names: Mapping[int, str]) -> tuple[dict[str, Kind], list[int]]:
        """The records by kind, and the numbers of the rows whose id stands in an earlier row, too.

        `names` says what the numbers in `kinds` mean.
        """
        self._hash()
        if not self._ids:
            return {}, []
        ids = self._ids.joined()
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        repeated = self._numbers.of(order[_after_equals(ids, self.prints.nothing)])
        tags, places = self._tags.joined()[order], self._places.joined()[order]
        whole = Kind(ids, tags, places, self._gone.joined()[order])
        kinds = self._kinds.joined()[order]
        del order
        if len(names) == 1:
            return dict.fromkeys(names.values(), whole), repeated
        found = {name: whole.take(kinds == number) for number, name in names.items()}
        return {name: kind for name, kind in found.items() if len(kind)}, repeated


class Repeats:
    """Looks for values that stand in more than one row; empty ones are none."""

    def __init__(self, prints: Prints) -> None:
        self.prints = prints
        self._hashes = Gathered()
        self._numbers = RowNumbers()

    def add(self, first: int, values: Sequence[str]) -> None:
        """Adds a batch, whose first row has this number."""
        self._hashes.add(self.prints.of(values))
        self._numbers.add(first, len(values))

    def rows(self) -> list[int]:
        """Numbers of the rows whose value stands in an earlier row, too."""
        if not self._hashes:
            return []
        hashes = self._hashes.joined()
        order = np.argsort(hashes, kind="stable")
        return self._numbers.of(order[_after_equals(hashes[order], self.prints.nothing)])


class RowNumbers:
    """The numbers that rows have in their file, of which some are left out."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._starts: list[int] = [0]

    def add(self, first: int, count: int) -> None:
        """Adds a batch of rows without a gap."""
        self._firsts.append(first)
        self._starts.append(self._starts[-1] + count)

    def of(self, places: npt.NDArray[np.int64]) -> list[int]:
        """The numbers of the rows at these places among all that were added, in order."""
        batches = np.searchsorted(self._starts, np.sort(places), "right") - 1
        return [
            self._firsts[batch] + int(place) - self._starts[batch]
            for batch, place in zip(batches, np.sort(places), strict=True)
        ]


def _after_equals(ordered: Hashes, nothing: np.uint64) -> npt.NDArray[np.int64]:
    """Places of the hashes that equal the one before, in an ordered row of them."""
    found: npt.NDArray[np.int64] = np.flatnonzero(
        (ordered[1:] == ordered[:-1]) & (ordered[1:] != nothing)
    )
    return found + 1
