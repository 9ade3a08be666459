"""The rows of a file as bytes that can be copied, and the offsets of their fields.

Validation's reader returns values only. Copying needs the bytes of each line, too, with quotes and
line ends. `batch.split` finds the fields of plain lines. All other lines are read field by field.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import functools
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from roster_upload.package.values import Fields, padded
from roster_upload.spec import spec
from roster_upload.validation.batch import Bytes, Offsets, split
from roster_upload.validation.text import plain

FIELD = re.compile(rb'(?:"([^"]*(?:""[^"]*)*)"|((?:[^",\r\n][^,\r\n]*)?))(,|\r\n|\n|\r|\Z)')
# A quoted value with any line breaks in it, or the end of a line.
LINE_END = re.compile(rb'"[^"]*"|\r{0,2}\n|\r')
NO_PLACES = np.zeros((0, 0), np.int64)
CRLF = b"\r\n"
CARRIAGE_RETURN = CRLF[0]


@dataclass(frozen=True)
class Part:
    """Adjacent whole rows.

    first         number of the first row
    count         number of rows
    data          bytes of the rows
    starts, ends  offsets of each field in `data`, by row and column
    bounds        offsets of each row in `data`, and of the end of the last one
    is_plain      whether each row is one line
    is_blank      whether the lines hold only white space

    Lines whose number of fields differs from the header's have no offsets. They are copied
    unchanged.
    """

    first: int
    count: int
    data: bytes
    starts: Offsets = field(default_factory=lambda: NO_PLACES)
    ends: Offsets = field(default_factory=lambda: NO_PLACES)
    bounds: Offsets = field(default_factory=NO_PLACES.ravel)
    is_plain: bool = False
    is_blank: bool = False

    @property
    def has_rows(self) -> bool:
        """Return whether the offsets of the fields are known."""
        return bool(self.starts.size)

    @property
    def numbers(self) -> slice:
        """Return the rows' numbers as a slice of arrays that are indexed by them."""
        return slice(self.first, self.first + self.count)

    @functools.cached_property
    def buffer(self) -> Bytes:
        """Return the bytes of `data` as an array, with padding."""
        return padded(self.data)

    def column(self, number: int) -> Fields:
        """Return the fields of a column."""
        return Fields(self.data, self.buffer, self.starts[:, number], self.ends[:, number])

    def all_fields(self) -> Fields:
        """Return the fields of all columns, row by row."""
        return Fields(self.data, self.buffer, self.starts.ravel(), self.ends.ravel())

    def with_fields(self, fields: Fields) -> Part:
        """Return the part with other offsets of all its fields."""
        shape = self.starts.shape
        return dataclasses.replace(
            self, starts=fields.starts.reshape(shape), ends=fields.ends.reshape(shape)
        )


class Table:
    """A file of a package, read once from its chunks.

    header       the names of its columns
    begin        the bytes of the header's line, including a byte order mark
    is_mended    whether a line end was replaced by CRLF
    is_readable  becomes false if the rest of the file cannot be read as rows. Then the rest comes
                 in parts without offsets.
    """

    def __init__(
        self, chunks: Iterable[bytes], columns: Sequence[str], *, mends_line_ends: bool = False
    ) -> None:
        """Read the header. A file is unreadable without the format's `columns` in its header."""
        self._mends_line_ends = mends_line_ends
        self.is_mended = False
        self._chunks = iter(chunks)
        self._longest: int = spec("limits")["line_bytes"]
        self._rest = self._until_line_end()
        self._next = 2
        end = self._rest.find(b"\n") + 1 or len(self._rest)
        self.begin, self.header = self._rest[:end], header_names(self._rest[:end])
        self.is_readable = trimmed_names(self.header)[: len(columns)] == list(columns)
        if self.is_readable:
            self._rest = self._rest[end:]
            self.begin = self._mended(self.begin)
        else:
            self.begin = b""

    def _mended(self, lines: bytes) -> bytes:
        """Return lines with CRLF at their ends, if that was requested."""
        if not self._mends_line_ends:
            return lines
        mended = with_crlf(lines)
        self.is_mended = self.is_mended or mended != lines
        return mended

    def _until_line_end(self) -> bytes:
        start = b""
        while (
            b"\n" not in start
            and len(start) <= self._longest
            and (chunk := next(self._chunks, b""))
        ):
            start += chunk
        return start

    @property
    def count(self) -> int:
        """Return the number after that of the last row read."""
        return self._next

    def __iter__(self) -> Iterator[Part]:
        while self.is_readable:
            end = self._rest.rfind(b"\n") + 1
            if end:
                yield from self._parts(end, is_last=False)
            self.is_readable = len(self._rest) <= self._longest
            chunk = next(self._chunks, b"")
            if not chunk and self._rest:
                yield from self._parts(len(self._rest), is_last=True)
                self.is_readable = self.is_readable and not self._rest
            if not chunk:
                break
            self._rest += chunk
        if self._rest:
            yield Part(self._next, 0, self._rest)
            yield from (Part(self._next, 0, chunk) for chunk in self._chunks)

    def _parts(self, end: int, *, is_last: bool) -> Iterator[Part]:
        """Yield the whole rows in the first bytes. Keep the rest for later."""
        data, self._rest = self._rest[:end], self._rest[end:]
        part = self._plain(data)
        if self._mends_line_ends and not (part and part.data.endswith(CRLF)):
            if data.count(b'"') % 2 and not is_last and len(data) <= self._longest:
                self._rest = data + self._rest  # a quoted value may continue
                return
            data = self._mended(data)
            part = self._plain(data)
        if part:
            self._next += part.count
            yield part
            return
        done = yield from self._slow_parts(data, is_last=is_last)
        self._rest = data[done:] + self._rest

    def _plain(self, data: bytes) -> Part | None:
        """Return lines as a part, None unless each is one row and all line ends are equal."""
        returns = data.count(b"\r")
        offsets = None
        if data.endswith(b"\n"):
            offsets = split(data, len(self.header))
        if offsets is None or returns not in (0, len(offsets[0])):
            return None
        starts, ends = offsets
        first = Fields(data, padded(data), starts[:, 0], ends[:, 0])
        bounds = np.append(first.starts - first.are_quoted, len(data))
        if returns and not (first.buffer[bounds[1:] - 2] == CARRIAGE_RETURN).all():
            return None
        return Part(self._next, len(starts), data, starts, ends, bounds, is_plain=True)

    def _slow_parts(self, data: bytes, *, is_last: bool) -> Generator[Part, None, int]:
        """Yield parts with rows of one kind each. Return the number of bytes in them."""
        run: list[list[tuple[int, int]]] = []
        bounds = [0]
        kind = ""
        for row, end in _rows(data, is_last=is_last):
            of = "row" if len(row) == len(self.header) else "ragged"
            start = bounds[-1]
            if len(row) == 1 and not data[start:end].decode("utf-8", "replace").strip():
                of = "blank"
            if run and of != kind:
                yield self._run(data, kind, run, bounds)
                run, bounds = [], [start]
            kind = of
            run.append(row)
            bounds.append(end)
        if run:
            yield self._run(data, kind, run, bounds)
        return bounds[-1]

    def _run(
        self, data: bytes, kind: str, rows: list[list[tuple[int, int]]], bounds: list[int]
    ) -> Part:
        text = data[bounds[0] : bounds[-1]]
        first, self._next = self._next, self._next + len(rows)
        if kind != "row":
            return Part(first, len(rows), text, is_blank=kind == "blank")
        offsets = np.array(rows, np.int64) - bounds[0]
        starts = np.ascontiguousarray(offsets[:, :, 0])
        ends = np.ascontiguousarray(offsets[:, :, 1])
        return Part(first, len(rows), text, starts, ends, np.array(bounds) - bounds[0])


def _rows(data: bytes, *, is_last: bool) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Yield the offsets of each whole row's fields, and of the row's end."""
    at = 0
    row: list[tuple[int, int]] = []
    while at < len(data) or row:
        found = FIELD.match(data, at)
        if not found or (not found[3] and not is_last):
            return
        row.append(found.span(1) if found[1] is not None else found.span(2))
        at = found.end()
        if found[3] != b",":
            yield row, at
            row = []


def with_crlf(text: bytes) -> bytes:
    """Return whole lines with CRLF instead of any other line end."""
    if b"\r" not in text and b'"' not in text:
        return text.replace(b"\n", CRLF)
    return LINE_END.sub(lambda found: found[0] if found[0][:1] == b'"' else CRLF, text)


def header_names(line: bytes) -> list[str]:
    """Return the columns' names in a header's line."""
    text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n")
    return next(csv.reader([text]), []) if "\0" not in text else []


def trimmed_names(names: Sequence[str]) -> list[str]:
    """Return names without blanks at their edges."""
    return list(map(plain, names))
