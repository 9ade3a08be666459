"""Batches of rows, taken apart by array operations."""

from __future__ import annotations

import pytest
from roster_upload.validation.batch import Batch, split


def taken_apart(data: bytes, width: int) -> list[list[bytes]] | None:
    """Return the fields of whole lines, None if they are not plain."""
    places = split(data, width)
    if places is None:
        return None
    return [
        [data[start:end] for start, end in zip(*row, strict=True)]
        for row in zip(*places, strict=True)
    ]


# ---- whole lines at once ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "width", "rows"),
    [
        (b"a,b\n1,2\n", 2, [[b"a", b"b"], [b"1", b"2"]]),
        (b"a,b\r\n,\r\n", 2, [[b"a", b"b"], [b"", b""]]),
        (b'"a,b",c\n', 2, [[b"a,b", b"c"]]),
        (b'"",""\r\n"a"," "\r\n', 2, [[b"", b""], [b"a", b" "]]),
        (b'a,"b"\r\n', 2, [[b"a", b"b"]]),
    ],
)
def test_plain_rows_are_taken_apart(data: bytes, width: int, rows: list[list[bytes]]) -> None:
    assert taken_apart(data, width) == rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\n1\n",
        b"a,b,c\n",
        b"a,b\n1,2,3\n4\n",  # as many separators as two rows of two fields and one more have
        b'"a\nb",c\n',
        b'"a\n,b\n',
        b'a"b,c\n',
        b'a",b"\n',
        b'"a""b",c\n',
        b'"a"b,c\n',
        b'a"b",c\n',
        b'",\n',
        b"a,b\r\n1,2\n",
        b"a\r,b\n1,2\r\n",
        b"a\rb,c\n",
        b"a,b\r\n1\r,2\r\n",
    ],
)
def test_anything_else_is_left_to_the_csv_reader(data: bytes) -> None:
    assert split(data, 2) is None


def test_a_batch_of_text_has_its_places() -> None:
    batch = Batch.of_rows(7, [["é", ""], ["b,c", "d"]])
    assert (batch.values(0), batch.values(1)) == (["é", "b,c"], ["", "d"])
    assert batch.value(1, 0) == "b,c"
    assert batch.numbers.tolist() == [7, 8]
    assert batch.lines() == ["é,", "b,c,d"]
