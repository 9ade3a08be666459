"""Records as arrays: collected, joined, taken, duplicates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from roster_upload.guard.calendar import Calendar, State
from roster_upload.guard.record_sets import (
    ChunkedArray,
    DuplicateFinder,
    RecordBatch,
    RecordCollector,
    RecordSet,
    ValueIndex,
)
from support.baselines import Record, baseline
from unit.guard.test_calendar import AUTUMN, SPRING
from unit.guard.test_hashing import HASHER, hash_of, hashes, tag_of

Row = tuple[int, int, int, int, bool, bool, list[int]]


ONE: list[Row] = [(2, 20, 1, 3, True, False, [7, 8]), (5, 50, 2, 4, False, True, [0, 9])]
OTHER: list[Row] = [
    (1, 11, 3, 5, False, True, []),
    (2, 21, 4, 6, True, True, []),
    (9, 91, 5, 7, True, False, []),
]


# RecordBatch of a file: number, id, content, school, days, whether present, whether gone, kind.
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


NO_FAULTS = np.zeros(0, np.bool_)


def numbers(*values: int) -> Any:
    return np.array(values, np.uint32)


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


def batch(found: Sequence[Any]) -> RecordBatch:
    at, ids, sums, schools, when, present, gone, kinds = zip(*found, strict=True)
    return RecordBatch(
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
