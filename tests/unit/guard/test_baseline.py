"""What is remembered of a package: hashes as documented, records, days, and the file of it all."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.guard import hashing
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import ALWAYS, Calendar, Session, State
from roster_upload.guard.hashing import KeyedHasher
from roster_upload.guard.record_sets import (
    ChunkedArray,
    DuplicateFinder,
    RecordCollector,
    RecordSet,
    Rows,
    ValueIndex,
)
from support import rosters
from support.baselines import Record, baseline

KEY = b"k" * 32
HASHER = KeyedHasher(KEY)

# ---- hashes, as they are documented -------------------------------------------------------------


def encrypted(purpose: bytes, blocks: bytes) -> int:
    """Return the first 64 bits of the last block of AES-CBC without an initial value."""
    key = hashlib.blake2b(purpose, key=KEY, digest_size=32).digest()
    made = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(blocks)
    return int.from_bytes(made[-16:-8], "little")


def hash_of(value: str) -> int:
    """Return the hash of a value: its length in the first block, and at most 256 bytes of it."""
    data = value.encode()
    text = data[:256]
    return encrypted(b"id", len(data).to_bytes(16, "little") + text + bytes(-len(text) % 16))


def tag_of(id_hash: int, checksum: int) -> int:
    """Return the hash of a row: of its id's hash and of a checksum of its content."""
    return encrypted(b"tag", id_hash.to_bytes(8, "little") + checksum.to_bytes(8, "little"))


def hashes(*values: int) -> Any:
    return np.array(values, np.uint64)


def numbers(*values: int) -> Any:
    return np.array(values, np.uint32)


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
    assert HASHER.of(values).tolist() == [hash_of(value) for value in values]
    assert len(set(HASHER.of(values).tolist())) == len(values)


def test_256_bytes_and_the_length_of_a_value_count() -> None:
    long = "x" * 256
    one, other, longer, earlier = HASHER.of([f"{long}a", f"{long}b", f"{long}bb", f"{long[1:]}yb"])
    assert one == other
    assert len({other, longer, earlier}) == 3


def test_no_value_has_no_hash() -> None:
    empty = HASHER.of([])
    assert (len(empty), empty.dtype.name) == (0, "uint64")
    assert len(HASHER.tags(empty, empty)) == 0
    assert len(HASHER.marks(1, empty)) == 0


def test_a_rows_hash_is_of_its_id_and_its_content() -> None:
    made = HASHER.tags(hashes(1, 1, 2), hashes(7, 8, 7)).tolist()
    assert made == [tag_of(1, 7), tag_of(1, 8), tag_of(2, 7)]
    assert len(set(made)) == 3


def test_the_mark_of_a_value_is_32_bits_of_a_tag_and_zero_for_nothing() -> None:
    made = HASHER.marks(3, hashes(7, 0, 8, 7))
    assert made.dtype == np.uint32
    assert made.tolist() == [tag_of(3, n) & 0xFFFFFFFF if n else 0 for n in (7, 0, 8, 7)]
    assert HASHER.marks(4, hashes(7)).tolist() != made[:1].tolist()


def test_no_value_has_the_mark_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HASHER, "tags", lambda _, sums: sums << np.uint64(32))
    assert HASHER.marks(1, hashes(0, 5)).tolist() == [0, 1]


def test_the_hash_of_nothing_is_known() -> None:
    assert HASHER.nothing == hash_of("")


def test_another_key_gives_other_hashes() -> None:
    other = KeyedHasher(b"o" * 32)
    assert other.of(["a"]).tolist() != HASHER.of(["a"]).tolist()
    assert other.tags(hashes(1), hashes(1)).tolist() != HASHER.tags(hashes(1), hashes(1)).tolist()


# ---- days ---------------------------------------------------------------------------------------

AUTUMN, SPRING = ("2026-08-17", "2026-12-19"), ("2027-01-04", "2027-06-05")


@pytest.mark.parametrize(
    ("calendar", "states"),
    [
        # The states on five days: before, in autumn, between, in spring, after.
        (ALWAYS, "PPPPP"),
        (Calendar(sessions=(AUTUMN, SPRING)), "UPUPO"),
        (Calendar(sessions=(SPRING, AUTUMN)), "UPUPO"),
        (Calendar(sessions=(AUTUMN,)), "UPOOO"),
        (Calendar(sessions=()), "OOOOO"),
        (Calendar("2026-10-01"), "UPPPP"),
        (Calendar("", "2026-12-20"), "PPOOO"),
        (Calendar("2026-10-02"), "UUPPP"),
        (Calendar("", "2026-10-01"), "POOOO"),
        # A record ends in its sessions, and begins in them.
        (Calendar("2026-10-02", "", (AUTUMN, SPRING)), "UUUPO"),
        (Calendar("", "2026-10-01", (AUTUMN, SPRING)), "UOOOO"),
        (Calendar("2026-10-01", "2026-10-02", (AUTUMN, SPRING)), "UPOOO"),
        (Calendar("2026-12-24", "2026-12-27", (AUTUMN, SPRING)), "OOOOO"),
        (Calendar("2027-01-04", "", (AUTUMN,)), "OOOOO"),
        # Days that contradict each other are none.
        (Calendar("2026-10-01", "2026-10-01"), "OOOOO"),
        (Calendar("2027-02-01", "2026-10-02"), "OOOOO"),
        # A session without an end.
        (Calendar(sessions=(("2027-01-04", ""),)), "UUUPP"),
    ],
)
def test_what_a_record_is_on_a_day(calendar: Calendar, states: str) -> None:
    days = ("2026-07-01", "2026-10-01", "2026-12-25", "2027-03-01", "2027-07-01")
    found = [calendar.state(dt.date.fromisoformat(day)) for day in days]
    assert "".join(state.name[0] for state in found) == states


def test_the_first_day_is_in_and_the_day_after_the_last_is_out() -> None:
    calendar, ended = Calendar("2026-10-01", "2026-10-03"), Calendar(sessions=(AUTUMN,))
    states = [calendar.state(dt.date(2026, 10, day)).name[0] for day in (1, 2, 3)]
    assert states == ["P", "P", "O"]
    assert ended.state(dt.date(2026, 8, 16)) is State.UPCOMING
    assert ended.state(dt.date(2026, 8, 17)) is State.PRESENT
    assert ended.state(dt.date(2026, 12, 18)) is State.PRESENT
    assert ended.state(dt.date(2026, 12, 19)) is State.OVER


def test_absent_records_are_over_whatever_their_days() -> None:
    made = baseline(
        {
            "classes": [
                Record(1, when=Calendar(sessions=(AUTUMN,))),
                Record(2, when=Calendar(sessions=(SPRING,))),
                Record(3, present=False),
                Record(4),
            ]
        }
    )
    states = made.states(dt.date(2026, 12, 25))
    assert states.tolist() == [State.PRESENT, State.OVER, State.UPCOMING]
    found = made.records["classes"].at(states)
    assert found.tolist() == [State.OVER, State.UPCOMING, State.OVER, State.PRESENT]
    assert found.dtype == np.uint8


# ---- records ------------------------------------------------------------------------------------

Row = tuple[int, int, int, int, bool, bool, list[int]]


def record_set(*rows: Row) -> RecordSet:
    ids, tags, schools, when, present, gone, identity = zip(*rows, strict=True)
    return RecordSet(
        hashes(*ids),
        hashes(*tags),
        numbers(*schools),
        numbers(*when),
        np.array(present, np.bool_),
        np.array(gone, np.bool_),
        np.array(identity, np.uint32).reshape(len(ids), -1),
    )


def rows_of(found: RecordSet) -> list[Row]:
    columns = (found.ids, found.tags, found.schools, found.when, found.present, found.gone)
    small: list[type] = [np.uint16, np.uint32]
    types: list[list[type]] = [[np.uint64], [np.uint64], small, small, [np.bool_], [np.bool_]]
    dtypes = [np.asarray(column).dtype for column in columns]
    assert all(one in kinds for one, kinds in zip(dtypes, types, strict=True))
    assert found.identity.dtype == np.uint32
    every = (*(column.tolist() for column in columns), found.identity.tolist())
    return list(zip(*every, strict=True))


ONE: list[Row] = [(2, 20, 1, 3, True, False, [7, 8]), (5, 50, 2, 4, False, True, [0, 9])]
OTHER: list[Row] = [
    (1, 11, 3, 5, False, True, []),
    (2, 21, 4, 6, True, True, []),
    (9, 91, 5, 7, True, False, []),
]


def test_records_are_joined_in_the_order_of_their_ids() -> None:
    one, other = record_set(*ONE), record_set(*OTHER)
    wide = [(*row[:6], [0, 0]) for row in OTHER]
    assert rows_of(RecordSet.joined([one, other])) == [wide[0], ONE[0], wide[1], ONE[1], wide[2]]
    assert rows_of(RecordSet.joined([RecordSet.none(), other])) == OTHER
    assert rows_of(RecordSet.joined([one, RecordSet.none()])) == ONE
    assert len(RecordSet.joined([])) == len(RecordSet.none()) == 0
    assert RecordSet.none().identity.shape == (0, 0)
    assert len(other) == 3


def test_of_equal_ids_the_first_ones_record_comes_first() -> None:
    one = record_set(*((n, 1, 0, 0, True, False, []) for n in range(2000)))
    other = record_set(*((n, 2, 0, 0, True, False, []) for n in range(2000)))
    assert RecordSet.joined([one, other]).tags.tolist() == [1, 2] * 2000


def test_records_are_taken_with_all_that_is_known_of_them() -> None:
    found = record_set(*ONE)
    assert rows_of(found.take(np.array([False, True]))) == [ONE[1]]
    assert rows_of(found.take(np.array([1, 0]))) == [ONE[1], ONE[0]]


# ---- collecting ---------------------------------------------------------------------------------

# Rows of a file: number, id, content, school, days, whether present, whether gone, kind.
FILE = [
    (2, "c", 10, 1, 4, True, False, 0),
    (3, "a", 20, 2, 5, True, False, 1),
    (5, "", 30, 0, 6, True, False, 0),
    (6, "b", 40, 1, 0, False, True, 0),
    (7, "a", 50, 3, 1, True, False, 0),
    (8, "", 60, 4, 2, True, False, 1),
    (9, "a", 70, 5, 3, True, True, 1),
]
REPEATED = (7, 9)


def batch(found: Sequence[Any]) -> Rows:
    at, ids, sums, schools, when, present, gone, kinds = zip(*found, strict=True)
    return Rows(
        numbers(*at),
        HASHER.of(ids),
        hashes(*sums),
        numbers(*schools),
        numbers(*when),
        np.array(present, np.bool_),
        np.array(gone, np.bool_),
        np.array([[n, n + 1] for n in at], np.uint32),
        np.array(kinds, np.uint8),
    )


def collected(found: Sequence[Any], sizes: Sequence[int], **options: Any) -> RecordCollector:
    """Return a collector that got its rows in batches of these sizes."""
    collector, left = RecordCollector(HASHER, **options), list(found)
    for size in sizes:
        collector.add(batch(left[:size]))
        left = left[size:]
    assert not left
    return collector


def wanted(*kinds: int, absent: Sequence[int] = REPEATED) -> list[Row]:
    """Return the records of these kinds, by the hash of their id."""
    found = [
        (
            *(hash_of(id_), tag_of(hash_of(id_), content), school, when),
            *(present and at not in absent, gone, [at, at + 1]),
        )
        for at, id_, content, school, when, present, gone, kind in FILE
        if kind in kinds
    ]
    return sorted(found, key=lambda record: record[0])


NO_FAULTS = np.zeros(0, np.bool_)


@pytest.mark.parametrize("sizes", [[7], [2, 5], [1] * 7, [2, 2, 3]])
def test_rows_are_collected_by_kind_in_whatever_batches_they_come(sizes: list[int]) -> None:
    names = {0: "student", 1: "teacher", 2: "nobody"}
    found, repeated = collected(FILE, sizes).finish(names, NO_FAULTS)
    assert {name: rows_of(records) for name, records in found.items()} == {
        "student": wanted(0),
        "teacher": wanted(1),
    }
    assert repeated.tolist() == list(REPEATED)
    found, repeated = collected(FILE, sizes).finish({0: "classes"}, NO_FAULTS)
    assert {name: rows_of(records) for name, records in found.items()} == {"classes": wanted(0, 1)}
    assert repeated.tolist() == list(REPEATED)


def test_kinds_of_one_name_are_one_kind() -> None:
    names = {0: "student", 1: "other", 2: "other"}
    two = [(2, "a", 1, 0, 0, True, False, 1), (3, "b", 2, 0, 0, True, False, 2)]
    found, _ = collected(two, [2]).finish(names, NO_FAULTS)
    assert {name: len(records) for name, records in found.items()} == {"other": 2}


def test_rows_with_a_fault_are_absent() -> None:
    faulty = np.zeros(6, np.bool_)
    faulty[[0, 2, 5]] = True  # there is no row 0
    found, _ = collected(FILE, [7]).finish({0: "classes"}, faulty)
    assert rows_of(found["classes"]) == wanted(0, 1, absent=(2, 5, *REPEATED))


def test_the_last_row_may_have_the_only_fault() -> None:
    faulty = np.zeros(10, np.bool_)
    faulty[3] = True
    found, _ = collected(FILE, [3, 4]).finish({0: "classes"}, faulty)
    assert rows_of(found["classes"]) == wanted(0, 1, absent=(3, *REPEATED))


def test_rows_that_are_numbered_anew_are_hashed_without_their_id() -> None:
    collector = collected(FILE[:2], [2], is_numbered_anew=True)
    (found,) = collector.finish({0: "enrollments"}, NO_FAULTS)[0].values()
    assert sorted(found.tags.tolist()) == sorted([tag_of(0, 10), tag_of(0, 20)])
    assert sorted(found.ids.tolist()) == sorted([hash_of("c"), hash_of("a")])


def test_a_file_without_rows_has_no_kind() -> None:
    found, repeated = RecordCollector(HASHER).finish({0: "classes"}, NO_FAULTS)
    assert (found, len(repeated)) == ({}, 0)


@pytest.mark.parametrize(
    ("batches", "rows"),
    [
        ([], []),
        ([(2, [1, 2, 0])], []),
        ([(2, [0, 0]), (4, [0])], []),
        ([(2, [1, 2, 1])], [4]),
        ([(2, [2, 1]), (7, [1, 2, 3]), (90, [1])], [7, 8, 90]),
        ([(2, [5, 5, 5])], [3, 4]),
    ],
)
def test_values_that_appear_in_several_rows(
    batches: list[tuple[int, list[int]]], rows: list[int]
) -> None:
    finder = DuplicateFinder()
    for first, sums in batches:
        finder.add(np.arange(first, first + len(sums), dtype=np.uint32), hashes(*sums))
    assert finder.rows().tolist() == rows


def test_the_first_of_many_equal_values_is_the_earliest() -> None:
    """An unstable sort keeps the order of a few, and not of many."""
    finder, at = DuplicateFinder(), np.arange(2, 5002, dtype=np.uint32)
    finder.add(at, (np.arange(5000) % 7 + 1).astype(np.uint64))
    assert finder.rows().tolist() == list(range(9, 5002))
    rows = [(2 + n, str(n % 7), 0, 0, 0, True, False, 0) for n in range(5000)]
    _, repeated = collected(rows, [5000]).finish({0: "classes"}, NO_FAULTS)
    assert repeated.tolist() == list(range(9, 5002))


def test_texts_have_numbers_and_nothing_has_none() -> None:
    index = ValueIndex()
    assert [index[text] for text in ("a", "", "b,c", "a")] == [1, 0, 2, 1]
    assert list(index) == ["", "a", "b,c"]


def test_chunks_are_let_go() -> None:
    chunks = ChunkedArray()
    assert not chunks
    chunks.add(np.array([3, 1]))
    chunks.add(np.array([2]))
    assert chunks
    assert chunks.joined().tolist() == [3, 1, 2]
    assert not chunks


# ---- its file -----------------------------------------------------------------------------------

SAVED = Baseline(
    {
        "users.student": record_set(
            (1, 10, 1, 0, True, False, [1, 2]), (2, 20, 0, 1, False, True, [3, 4])
        ),
        "classes": record_set((7, 70, 2, 2, True, False, [])),
    },
    ["", "a", "b,c"],
    [ALWAYS, Calendar("2026-08-17", "", (AUTUMN, SPRING)), Calendar("", "2026-12-01", ())],
    {"users": 2, "classes": 1},
    {"users": {"email": 2}},
    {"users": "delta"},
    (hashes(7, 8), numbers(1, 2), numbers(30, 1)),
    {"users.email": 3},
    [Session("term", "2026-08-17", "2026-12-18", True)],
    "2026-11-01",
)


def test_a_baseline_comes_back_from_its_file(tmp_path: Path) -> None:
    """What a package says of its changes is of one night, and is not kept."""
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    again = Baseline.load(path, KEY)
    assert {name: rows_of(records) for name, records in again.records.items()} == {
        "users.student": [
            (1, 10, 1, 0, True, False, [1, 2]),
            (2, 20, 0, 1, False, False, [3, 4]),
        ],
        "classes": [(7, 70, 2, 2, True, False, [])],
    }
    for name in ("schools", "calendars", "rows", "filled", "duplicates", "sessions", "night"):
        assert getattr(again, name) == getattr(SAVED, name), name
    assert [array.tolist() for array in again.crowds] == [[7, 8], [1, 2], [30, 1]]
    assert [array.dtype for array in again.crowds] == [np.uint64, np.uint32, np.uint32]
    assert (again.modes, again.is_incremental, again.has_tags) == ({}, False, True)
    assert SAVED.is_incremental


def test_whether_contents_are_known_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    Baseline(has_tags=False).save(path, KEY)
    assert not Baseline.load(path, KEY).has_tags


@pytest.mark.parametrize(
    ("facts", "is_incremental"),
    [
        ({}, False),
        ({"modes": {"users": "bulk", "orgs": "bulk"}}, False),
        ({"modes": {"users": "bulk", "orgs": "delta"}}, True),
        ({"is_unchanged": True}, True),
    ],
)
def test_what_is_not_in_a_package_may_stay(facts: dict[str, Any], is_incremental: bool) -> None:
    assert Baseline(**facts).is_incremental is is_incremental


def test_an_empty_baseline_knows_nothing() -> None:
    empty = Baseline()
    assert (empty.records, empty.schools, empty.calendars, empty.rows) == ({}, [""], [ALWAYS], {})
    assert [len(array) for array in empty.crowds] == [0, 0, 0]
    assert (empty.night, empty.has_tags, empty.is_unchanged) == ("", True, False)


def first_version(path: Path, **changes: Any) -> None:
    """Write a file as the first version did."""
    facts = {
        "v": 1,
        "key": hashing.mark(KEY),
        "kinds": ["users.student", "enrollments"],
        "places": ["", "a"],
        "rows": {"users": 2, "enrollments": 1},
        "filled": {"users": {"email": 2}},
    }
    parts = {
        "0.ids": hashes(1, 2),
        "0.tags": hashes(10, 20),
        "0.places": numbers(1, 0),
        "1.ids": hashes(7),
        "1.tags": hashes(70),
        "1.places": numbers(1),
    }
    np.savez(
        path,
        told=np.frombuffer(json.dumps(facts).encode(), np.uint8),
        **{**parts, **changes},
    )


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "census.npz"
    first_version(path)
    found = Baseline.load(path, KEY)
    assert {name: rows_of(records) for name, records in found.records.items()} == {
        "users.student": [(1, 10, 1, 0, True, False, []), (2, 20, 0, 0, True, False, [])],
        "enrollments": [(7, 70, 1, 0, True, False, [])],
    }
    assert (found.schools, found.calendars) == (["", "a"], [ALWAYS])
    assert (found.rows, found.filled) == (
        {"users": 2, "enrollments": 1},
        {"users": {"email": 2}},
    )
    assert (found.has_tags, found.night, found.modes) == (False, "", {})


@pytest.mark.parametrize(
    "changes",
    [
        {"0.places": numbers(1, 2)},
        {"0.places": numbers(1)},
        {"0.tags": hashes(1, 2, 3)},
        {"0.ids": numbers(1, 2)},
        {"1.places": hashes(0)},
    ],
)
def test_a_damaged_file_of_the_first_version_is_named(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    first_version(tmp_path / "census.npz", **changes)
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(tmp_path / "census.npz", KEY)


def altered(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change what a file says. None takes a part of it away."""

    def change(parts: dict[str, Any]) -> None:
        told = {**json.loads(parts["told"].tobytes()), **changes}
        kept = {name: value for name, value in told.items() if value is not None}
        parts["told"] = np.frombuffer(json.dumps(kept).encode(), np.uint8)

    return change


def array(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda parts: parts.update({name: value})


VERSION, OTHER_KEY = (
    "was written by another version of the program",
    "was written with another key; was the host set up anew?",
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (altered(v=0), VERSION),
        (altered(v=3), VERSION),
        (altered(v=None), "is damaged (KeyError)"),
        (altered(key="0" * 16), OTHER_KEY),
        (altered(key=None), "is damaged (KeyError)"),
        (altered(kinds=["a", "b", "c"]), "is damaged"),
        (altered(kinds=None), "is damaged (KeyError)"),
        (altered(kinds=1), "is damaged (TypeError)"),
        *((altered(**{name: None}), "is damaged (KeyError)") for name in (
            "schools", "calendars", "rows", "filled", "duplicates", "sessions", "night", "has_tags",
        )),
        (altered(schools=["", "a"]), "is damaged (IndexError)"),
        (altered(calendars=[["", "", None]] * 2), "is damaged (IndexError)"),
        (altered(calendars=[["", ""]]), "is damaged"),
        (altered(sessions=[["term"]]), "is damaged (TypeError)"),
        (lambda parts: parts.pop("told"), "is damaged (KeyError)"),
        (lambda parts: parts.pop("0.ids"), "is damaged"),
        (lambda parts: parts.pop("1.tags"), "is damaged"),
        (lambda parts: parts.pop("0.when"), "is damaged"),
        (lambda parts: parts.pop("0.identity"), "is damaged"),
        (lambda parts: parts.pop("crowds.when"), "is damaged"),
        (array("crowds.when", numbers(1, 3)), "is damaged (IndexError)"),
        (array("0.when", numbers(0, 3)), "is damaged (IndexError)"),
        (array("0.schools", numbers(3, 0)), "is damaged (IndexError)"),
        (array("0.tags", hashes(1)), "is damaged (IndexError)"),
        (array("0.tags", hashes(1, 2).astype(np.float64)), "is damaged (TypeError)"),
        (array("0.identity", numbers(1, 2)), "is damaged (IndexError)"),
        (array("0.identity", numbers(1, 2).reshape(1, 2)), "is damaged (IndexError)"),
        (array("0.present", numbers(1, 0)), "is damaged (TypeError)"),
        (array("told", np.zeros(3, np.uint8)), "is damaged"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    change(parts)
    np.savez(path, **parts)
    with pytest.raises(ValueError, match=re.escape(f"{path} {told}")):
        Baseline.load(path, KEY)


def test_another_key_reads_no_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    with pytest.raises(ValueError, match="was written with another key"):
        Baseline.load(path, b"o" * 32)
    with pytest.raises(FileNotFoundError):
        Baseline.load(tmp_path / "none.npz", KEY)


def header(shape: str) -> bytes:
    """Return a numpy array's header, of an array that is not there."""
    text = f"{{'descr': '<u8', 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("content", [b"", b"PK", "half", header(str(10**15)), header(str(2**65))])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    whole = path.read_bytes()
    if isinstance(content, str):
        content = whole[: len(whole) // 2]
    elif content.startswith(b"\x93"):
        content = rosters.to_zip([("told.npy", content)])
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(path, KEY)


class Planted:
    """An object that does something as soon as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "baseline.npz", tmp_path / "trace"
    out = io.BytesIO()
    np.savez(out, told=np.array([Planted(trace)], dtype=object))
    path.write_bytes(out.getvalue())
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(path, KEY)
    assert not trace.exists()


def test_the_mark_of_a_key_stays_the_same() -> None:
    """Files on hosts carry it. With another mark, all of them would be of another key."""
    assert hashing.mark(KEY) == "c6b519658a230a05"
    assert hashing.mark(b"o" * 32) != hashing.mark(KEY)


# ---- properties ---------------------------------------------------------------------------------

DAYS = st.sampled_from(["", "2026-08-17", "2026-10-01", "2026-12-18", "2027-01-04", "2027-06-01"])


@given(DAYS, DAYS, st.none() | st.lists(st.tuples(DAYS, DAYS), max_size=3).map(tuple))
def test_what_is_over_stays_over(begin: str, end: str, sessions: Any) -> None:
    """And what was present is upcoming only in a gap between sessions."""
    calendar = Calendar(begin, end, sessions)
    days = [dt.date(2026, 8, 1) + dt.timedelta(days) for days in range(0, 365, 5)]
    states = [calendar.state(day) for day in days]
    if State.OVER in states:
        assert set(states[states.index(State.OVER) :]) == {State.OVER}
    if len(sessions or ()) <= 1 and State.PRESENT in states:
        assert State.UPCOMING not in states[states.index(State.PRESENT) :]


@given(st.lists(st.text(max_size=40), max_size=20))
def test_a_hash_does_not_depend_on_its_neighbours(values: list[str]) -> None:
    assert HASHER.of(values).tolist() == [int(HASHER.of([value])[0]) for value in values]
    sums = hashes(*(zlib.crc32(value.encode()) for value in values))
    assert HASHER.marks(1, sums).tolist() == [
        int(HASHER.marks(1, sums[n : n + 1])[0]) for n in range(len(sums))
    ]
