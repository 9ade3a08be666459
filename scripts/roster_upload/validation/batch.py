"""Batches of rows: the offsets of all fields in a buffer of UTF-8."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

COMMA, LINE_FEED, RETURN, QUOTE = b',\n\r"'
LONGEST_WINDOW = 256  # bytes of a value that are compared as an array

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]  # of bytes in a buffer
Indices = npt.NDArray[np.int64]  # of rows in a batch, or of records


@dataclass(frozen=True)
class Batch:
    """Some rows, all as wide as the header.

    first         the number of the first row. The others follow without a gap
    data          the UTF-8 text of the fields
    starts, ends  the offsets of each field in `data`, by row and column
    """

    first: int
    data: bytes
    starts: Offsets
    ends: Offsets

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def of_rows(cls, first: int, rows: Sequence[Sequence[str]]) -> Batch:
        """Return a batch of rows of text."""
        values = [value.encode() for value in chain.from_iterable(rows)]
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        ends = np.cumsum(lengths + 1) - 1
        shape = (len(rows), -1)
        data = b"\n".join(values) + b"\n"
        return cls(first, data, (ends - lengths).reshape(shape), ends.reshape(shape))

    @functools.cached_property
    def buffer(self) -> Bytes:
        """Return the bytes of `data`."""
        return np.frombuffer(self.data, np.uint8)

    @functools.cached_property
    def padded(self) -> Bytes:
        """Return the bytes of `data`, then zeros, so that a window fits at each offset."""
        return np.append(self.buffer, np.zeros(LONGEST_WINDOW, np.uint8))

    @property
    def numbers(self) -> npt.NDArray[np.uint32]:
        """Return the numbers of the rows in their file."""
        return np.arange(self.first, self.first + len(self), dtype=np.uint32)

    def values(self, column: int) -> list[str]:
        """Return the values of a column."""
        data, starts, ends = self.data, self.starts[:, column], self.ends[:, column]
        offsets = zip(starts.tolist(), ends.tolist(), strict=True)
        return [data[start:end].decode() for start, end in offsets]

    def value(self, row: int, column: int) -> str:
        """Return one value. `row` counts from 0 in this batch."""
        return self.data[self.starts[row, column] : self.ends[row, column]].decode()

    def lines(self) -> list[str]:
        """Return the rows as text, with commas between the fields and without quotes."""
        columns = [self.values(column) for column in range(self.starts.shape[1])]
        return list(map(",".join, zip(*columns, strict=True)))


def split(data: bytes, width: int) -> tuple[Offsets, Offsets] | None:
    """Return the offsets at which the fields of rows of that width begin and end.

    `data` is whole lines that end with a line feed. Return None if it is not plain rows of that
    width. Not plain are other widths, line breaks in fields, quotes that are not around a field,
    and mixed line ends.
    """
    buffer = np.frombuffer(data, np.uint8)
    is_feed = buffer == LINE_FEED
    separates = (buffer == COMMA) | is_feed
    quotes = data.count(b'"')
    if quotes:
        inside = np.bitwise_xor.accumulate((buffer == QUOTE).view(np.uint8))
        separates &= inside == 0
    at = np.flatnonzero(separates)
    rows = np.count_nonzero(is_feed)
    if not rows or len(at) != rows * width:
        return None
    ends = at.reshape(-1, width)
    if not (buffer[ends[:, -1]] == LINE_FEED).all():
        return None
    starts = (np.append(-1, at[:-1]) + 1).reshape(-1, width)
    if returns := np.count_nonzero(buffer == RETURN):
        # For a line feed at the very beginning, index -1 is the last byte, which is not a return.
        if returns != rows or not (buffer[ends[:, -1] - 1] == RETURN).all():
            return None
        ends[:, -1] -= 1
    if quotes:
        is_quoted = (buffer[starts] == QUOTE) & (buffer[ends - 1] == QUOTE) & (ends - starts > 1)
        if 2 * np.count_nonzero(is_quoted) != quotes:
            return None
        starts, ends = starts + is_quoted, ends - is_quoted
    return starts, ends
