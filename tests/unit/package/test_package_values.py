"""Many fields at once: the same answers as for one text at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload.package.rows import Part, Table
from roster_upload.package.values import fields_of
from roster_upload.validation.text import plain
from support import share

BLANKS = " \t\u00a0\u1680\u2009\u202f\u3000\x85"
TEXTS = st.text(st.sampled_from("ab,-é\u200b" + BLANKS), max_size=30)


@settings(max_examples=share.of(100))
@given(values=st.lists(st.text("ab\0", max_size=40), max_size=30))
def test_hashes_are_equal_where_values_are(values: list[str]) -> None:
    hashes = fields_of(*values).hashes().tolist()
    assert len(set(hashes)) == len(set(values))
    assert [one == 0 for one in hashes] == [not value for value in values]
    # A value's hash does not depend on its place.
    assert fields_of("x", *values).hashes()[1:].tolist() == hashes


def test_all_bytes_of_a_value_count() -> None:
    values = [f"{'x' * before}{mark}{'y' * 20}" for before in range(30) for mark in "ab"]
    assert len(set(fields_of(*values).hashes().tolist())) == len(values)


@settings(max_examples=share.of(100))
@given(values=st.lists(TEXTS, min_size=1, max_size=20))
def test_trimmed_is_stripped(values: list[str]) -> None:
    bare = fields_of(*values).trimmed()
    assert [bare.value(i).decode() for i in range(len(values))] == [*map(plain, values)]


def part_of(rows: list[tuple[str, ...]]) -> Part:
    """Return rows, with each value quoted that contains a comma."""
    lines = [",".join(f'"{v}"' if "," in v else v for v in row) for row in rows]
    text = "a,b\r\n" + "".join(f"{line}\r\n" for line in lines)
    (part,) = Table(iter([text.encode()]), ["a", "b"])
    return part


@settings(max_examples=share.of(100))
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_items_are_those_between_commas(rows: list[tuple[str, ...]]) -> None:
    for column in (0, 1):
        owners, items = part_of(rows).column(column).items()
        expected = [(i, item) for i, row in enumerate(rows) for item in row[column].split(",")]
        found = [items.value(i).decode() for i in range(len(items))]
        assert list(zip(owners.tolist(), found, strict=True)) == expected
        assert np.all(np.diff(items.starts) >= 0)
