"""The census: keyed hashes as they are documented, whose, in which row, and what a file keeps."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosters
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from roster_upload import census
from roster_upload.census import (
    Census,
    Counter,
    Gathered,
    Hashes,
    Kind,
    Places,
    Prints,
    Repeats,
    RowNumbers,
)
from roster_upload.validate import check

KEY = b"k" * 32
PRINTS = Prints(KEY)


# ---- hashes -------------------------------------------------------------------------------------


def encrypted(purpose: bytes, blocks: bytes) -> int:
    """The first 64 bits of the last block of AES-CBC without an initial value, as documented."""
    key = hashlib.blake2b(purpose, key=KEY, digest_size=32).digest()
    made = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(blocks)
    return int.from_bytes(made[-16:-8], "little")


def hash_of(value: str) -> int:
    """The hash of a value: its length in the first block, and 256 bytes of it at most."""
    data = value.encode()
    text = data[:256]
    return encrypted(b"id", len(data).to_bytes(16, "little") + text + bytes(-len(text) % 16))


def tag_of(value: str, line: str) -> int:
    """The hash of a row: of its id's hash and its CRC-32."""
    content = hash_of(value).to_bytes(8, "little") + zlib.crc32(line.encode()).to_bytes(4, "little")
    return encrypted(b"tag", content.ljust(16, b"\0"))


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["a"],
        ["1-s1", "", "1-s10"],
        # Values of the same padded text differ by their length.
        ["a", "a\0", "a" * 16, "a" * 16 + "\0", "a" * 17],
        ["é" * 8, "é" * 9, "x" * 15],
        ["x" * size for size in (1, 31, 32, 33, 255, 256, 257, 1000)],
        ["x" * 255 + last for last in "yz"],
    ],
)
def test_a_hash_is_the_documented_one(values: list[str]) -> None:
    """Files on hosts are compared with it, so that another hash would hold every district."""
    assert PRINTS.of(values).tolist() == [hash_of(value) for value in values]
    assert len(set(PRINTS.of(values).tolist())) == len(values)


def test_256_bytes_and_the_length_of_a_value_count() -> None:
    long = "x" * 256
    one, other, longer, earlier = PRINTS.of([f"{long}a", f"{long}b", f"{long}bb", f"{long[1:]}yb"])
    assert one == other
    assert len({other, longer, earlier}) == 3


def test_a_rows_hash_is_of_its_id_and_its_content() -> None:
    sums = np.array([zlib.crc32(line) for line in (b"one", b"two", b"one")], np.uint32)
    made = PRINTS.rows(PRINTS.of(["a", "a", "b"]), sums).tolist()
    assert made == [tag_of("a", "one"), tag_of("a", "two"), tag_of("b", "one")]
    assert len(set(made)) == 3


def test_the_hash_of_nothing_is_known() -> None:
    assert PRINTS.nothing == hash_of("")


def test_another_key_gives_other_hashes(tmp_path: Path) -> None:
    path = tmp_path / "OneRoster.zip"
    path.write_bytes(rosters.build())
    one, other = (check(path, key=key * 32).census.kinds["classes"] for key in (b"a", b"b"))
    assert not set(one.ids.tolist()) & set(other.ids.tolist())
    assert not set(one.tags.tolist()) & set(other.tags.tolist())


# ---- kinds --------------------------------------------------------------------------------------


def kind_of(*records: tuple[int, int, int, bool]) -> Kind:
    ids, tags, places, gone = zip(*records, strict=True)
    return Kind(
        np.array(ids, np.uint64),
        np.array(tags, np.uint64),
        np.array(places, np.uint32),
        np.array(gone, np.bool_),
    )


def records(kind: Kind) -> list[tuple[int, int, int, bool]]:
    columns = (kind.ids, kind.tags, kind.places, kind.gone)
    assert [column.dtype for column in columns] == [np.uint64, np.uint64, np.uint32, np.bool_]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_kinds_are_joined_in_the_order_of_their_ids() -> None:
    one = kind_of((2, 20, 1, False), (5, 50, 2, True))
    other = kind_of((1, 11, 3, True), (2, 21, 4, True), (9, 91, 5, False))
    both = [
        (1, 11, 3, True),
        (2, 20, 1, False),
        (2, 21, 4, True),
        (5, 50, 2, True),
        (9, 91, 5, False),
    ]
    assert records(Kind.joined(one, other)) == both
    assert records(Kind.joined(Kind.none(), other)) == records(other)
    assert records(Kind.joined(one, Kind.none())) == records(one)
    assert len(Kind.none()) == 0
    assert len(other) == 3


def test_of_equal_ids_the_first_kinds_record_comes_first() -> None:
    one = kind_of(*((n, 1, 0, False) for n in range(2000)))
    other = kind_of(*((n, 2, 0, False) for n in range(2000)))
    assert Kind.joined(one, other).tags.tolist() == [1, 2] * 2000


# ---- counting -----------------------------------------------------------------------------------


class Observed(Prints):
    """Hashes, and how many values were hashed at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        super().__init__(KEY)

    def of(self, values: Sequence[str]) -> Hashes:
        self.sizes.append(len(values))
        return super().of(values)


# Rows of a file: number, id, text, place, kind, whether it is gone. Row 4 is left out.
ROWS = [
    (2, "c", "one", 1, 0, False),
    (3, "a", "two", 2, 1, False),
    (5, "", "three", 0, 0, False),
    (6, "b", "four", 1, 0, True),
    (7, "a", "five", 3, 0, False),
    (8, "", "six", 4, 1, False),
    (9, "a", "seven", 5, 1, True),
]


def counted(rows: list[Any], batches: list[int], prints: Prints = PRINTS) -> Counter:
    """A counter that got its rows in batches of these sizes."""
    counter = Counter(prints)
    left = list(rows)
    for size in batches:
        batch, left = left[:size], left[size:]
        numbers, values, lines, places, kinds, gone = map(list, zip(*batch, strict=True))
        counter.add(
            numbers[0],
            values,
            lines,
            places=np.array(places, np.uint32),
            kinds=np.array(kinds, np.uint8),
            gone=np.array(gone, np.bool_),
        )
    assert not left
    return counter


def expected(*kinds: int) -> list[tuple[int, int, int, bool]]:
    """The records of these kinds, by the hash of their id."""
    found = [
        (hash_of(value), tag_of(value, line), place, gone)
        for _, value, line, place, kind, gone in ROWS
        if kind in kinds
    ]
    return sorted(found, key=lambda record: record[0])


@pytest.mark.parametrize("batches", [[2, 5], [1, 1, 1, 1, 1, 1, 1], [2, 2, 3]])
@pytest.mark.parametrize(
    ("values_at_once", "batches_at_once"), [(1, 99), (3, 99), (99, 2), (99, 99)]
)
def test_rows_are_counted_by_kind_in_whatever_batches_they_come(
    monkeypatch: pytest.MonkeyPatch, batches: list[int], values_at_once: int, batches_at_once: int
) -> None:
    monkeypatch.setattr(census, "HASHED_AT_ONCE", values_at_once)
    monkeypatch.setattr(census, "BATCHES_AT_ONCE", batches_at_once)
    found, repeated = counted(ROWS, batches).finish({0: "student", 1: "teacher", 2: "nobody"})
    assert {name: records(kind) for name, kind in found.items()} == {
        "student": expected(0),
        "teacher": expected(1),
    }
    assert repeated == [7, 9]
    found, repeated = counted(ROWS, batches).finish({0: "classes"})
    assert {name: records(kind) for name, kind in found.items()} == {"classes": expected(0, 1)}
    assert repeated == [7, 9]


def test_a_file_without_rows_has_no_kind() -> None:
    assert Counter(PRINTS).finish({0: "classes"}) == ({}, [])


@pytest.mark.parametrize(
    ("batches", "hashed"),
    [
        ([8191, 1, 1], [8192, 1]),
        ([8190, 1, 8192], [16383]),
        ([8192, 3], [8192, 3]),
        ([1] * 65, [64, 1]),
        ([1] * 63, [63]),
        ([1] * 64, [64]),
    ],
)
def test_many_rows_are_hashed_at_once_and_never_all(batches: list[int], hashed: list[int]) -> None:
    prints = Observed()
    prints.sizes.clear()
    rows = [(2 + n, f"{n}", f"{n}", 0, 0, False) for n in range(sum(batches))]
    (kind,) = counted(rows, batches, prints).finish({0: "classes"})[0].values()
    assert prints.sizes == hashed
    assert sorted(kind.ids.tolist()) == sorted(PRINTS.of([value for _, value, *_ in rows]).tolist())


@pytest.mark.parametrize(
    ("batches", "rows"),
    [
        ([], []),
        ([(2, ["a", "b", ""])], []),
        ([(2, ["", ""]), (4, [""])], []),
        ([(2, ["a", "b", "a"])], [4]),
        ([(2, ["b", "a"]), (7, ["a", "b", "c"]), (90, ["a"])], [7, 8, 90]),
        ([(2, ["same", "same", "same"])], [3, 4]),
    ],
)
def test_values_that_stand_in_several_rows(
    batches: list[tuple[int, list[str]]], rows: list[int]
) -> None:
    repeats = Repeats(PRINTS)
    for first, values in batches:
        repeats.add(first, values)
    assert repeats.rows() == rows


def test_the_first_of_many_equal_values_is_the_earliest() -> None:
    """An unstable sort keeps the order of a few, and not of many."""
    values = [str(n % 7) for n in range(5000)]
    later = list(range(2 + 7, 2 + 5000))
    repeats = Repeats(PRINTS)
    repeats.add(2, values)
    assert json.loads(json.dumps(repeats.rows())) == later
    rows = [(2 + n, value, "", 0, 0, False) for n, value in enumerate(values)]
    assert counted(rows, [5000]).finish({0: "classes"})[1] == later


def test_row_numbers_of_batches_with_gaps() -> None:
    numbers = RowNumbers()
    for first, count in ((2, 3), (10, 1), (20, 2)):
        numbers.add(first, count)
    assert numbers.of(np.array([5, 0, 3, 2, 4, 1])) == [2, 3, 4, 10, 20, 21]
    assert numbers.of(np.array([], np.int64)) == []


def test_places_have_numbers_and_nothing_has_none() -> None:
    places = Places()
    assert places.of(["a", "", "b,c", "a"]).tolist() == [1, 0, 2, 1]
    assert places.of(["b,c", "new"]).dtype == np.uint32
    assert [places.text(number) for number in range(4)] == ["", "a", "b,c", "new"]
    assert list(places) == ["", "a", "b,c", "new"]


def test_gathered_arrays_are_let_go() -> None:
    gathered = Gathered()
    assert not gathered
    gathered.add(np.array([3, 1]))
    gathered.add(np.array([2]))
    assert gathered
    assert gathered.joined().tolist() == [3, 1, 2]
    assert not gathered


# ---- its file -----------------------------------------------------------------------------------

SAVED = Census(
    {
        "users.student": kind_of((1, 10, 1, False), (2, 20, 0, True)),
        "classes": kind_of((7, 70, 2, False)),
    },
    ["", "a", "b,c"],
    {"users": 2, "classes": 1},
    {"users": {"email": 2}},
    ["users"],
    is_incremental=True,
)


def test_a_census_comes_back_from_its_file(tmp_path: Path) -> None:
    """What a delta file says is of one night, and is not kept."""
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    again = Census.load(path, KEY)
    assert {name: records(kind) for name, kind in again.kinds.items()} == {
        "users.student": [(1, 10, 1, False), (2, 20, 0, False)],
        "classes": [(7, 70, 2, False)],
    }
    assert (again.places, again.rows, again.filled) == (SAVED.places, SAVED.rows, SAVED.filled)
    assert (again.delta, again.is_incremental) == ([], False)


def test_a_census_holds_no_value_of_a_row(tmp_path: Path) -> None:
    package, path = tmp_path / "OneRoster.zip", tmp_path / "census.npz"
    package.write_bytes(rosters.build())
    check(package, key=KEY).census.save(path, KEY)
    content = path.read_bytes()
    assert not [word for word in (b"1-s1", b"Quorra", b"invented.example", KEY) if word in content]


def test_an_empty_census_has_no_school() -> None:
    assert Census() == Census({}, [""], {}, {}, [], is_incremental=False)


def altered(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change what a file says. None takes a part of it away."""

    def change(parts: dict[str, Any]) -> None:
        told = {**json.loads(parts["told"].tobytes()), **changes}
        kept = {name: value for name, value in told.items() if value is not None}
        parts["told"] = np.frombuffer(json.dumps(kept).encode(), np.uint8)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (altered(v=0), "was written by another version of the program"),
        (altered(v=2), "was written by another version of the program"),
        (altered(v=None), "was written by another version of the program"),
        (altered(key="0" * 16), "was written with another key; was the host set up anew?"),
        (altered(key=None), "was written with another key; was the host set up anew?"),
        (altered(kinds=["a", "b", "c"]), "is damaged"),
        (altered(kinds=None), "is damaged"),
        (altered(kinds=1), "is damaged"),
        (altered(places=None), "is damaged"),
        (altered(rows=None), "is damaged"),
        (altered(filled=None), "is damaged"),
        (lambda parts: parts.pop("told"), "is damaged (KeyError)"),
        (lambda parts: parts.pop("0.ids"), "is damaged"),
        (lambda parts: parts.pop("1.tags"), "is damaged"),
        (lambda parts: parts.pop("0.places"), "is damaged"),
        (lambda parts: parts.update(told=np.zeros(3, np.uint8)), "is damaged (JSONDecodeError)"),
    ],
)
def test_a_file_that_is_not_its_own_is_told(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    change(parts)
    np.savez(path, **parts)
    with pytest.raises(ValueError, match="census") as caught:
        Census.load(path, KEY)
    assert str(caught.value) == f"{path} {told}"


def test_another_key_reads_no_file(tmp_path: Path) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    with pytest.raises(ValueError, match="was written with another key"):
        Census.load(path, b"o" * 32)
    with pytest.raises(FileNotFoundError):
        Census.load(tmp_path / "none.npz", KEY)


def header(shape: str) -> bytes:
    """A numpy array's header, of an array that is not there."""
    text = f"{{'descr': '<u8', 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("content", [b"", b"PK", "half", header(str(10**15)), header(str(2**65))])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "census.npz"
    SAVED.save(path, KEY)
    whole = path.read_bytes()
    if isinstance(content, str):
        content = whole[: len(whole) // 2]
    elif content.startswith(b"\x93"):
        content = rosters.to_zip([("told.npy", content)])
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Census.load(path, KEY)


class Planted:
    """An object that does something as soon as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "census.npz", tmp_path / "trace"
    out = io.BytesIO()
    np.savez(out, told=np.array([Planted(trace)], dtype=object))
    path.write_bytes(out.getvalue())
    with pytest.raises(ValueError, match="is damaged"):
        Census.load(path, KEY)
    assert not trace.exists()


def test_the_mark_of_a_key_stays_the_same() -> None:
    """Files on hosts carry it. With another mark, all of them would be of another key."""
    assert census.mark(KEY) == "c6b519658a230a05"
    assert census.mark(b"o" * 32) != census.mark(KEY)
