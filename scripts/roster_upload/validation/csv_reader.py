"""A CSV file of a package, in batches of rows, as bytes and the places of their fields.

A piece of a file is taken apart by array operations, quotes included, which takes a tenth of the
time of a CSV reader. A piece in which something is unusual is read by Python's CSV reader.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import functools
import io
import lzma
import queue
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, NoReturn

import numpy as np
import numpy.typing as npt

from roster_upload.host.memory import start_thread
from roster_upload.spec import spec
from roster_upload.validation.findings import Findings
from roster_upload.validation.zip_layout import Ambiguous

BLOCK_BYTES = 1 << 20  # unpacked at once
PIECE_BYTES = 1 << 18  # looked at at once, so that a batch stays in the processor's cache
BLOCKS_AHEAD = 4
LOOK_SECONDS = 0.5  # between two looks at whether a thread lives
FIRST_BYTES = 1 << 12  # that tell how lines end
LONGEST_WINDOW = 256  # bytes of a value that are looked at as an array
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OSError,
    ValueError,  # a member's place or name that cannot be one
)
# How the CSV reader says that a text ends within a quoted field.
UNFINISHED = "unexpected end of data"
COMMA, LINE_FEED, RETURN, QUOTE = b',\n\r"'
END_MARK = b"\x1a"  # Ctrl-Z, by which old systems end a text
MARKED_LINE = (b"\x1a\r\n", b"\x1a\n")
SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar", "~": "tilde", "^": "caret", "\x1f": "US"}
# A first line that is no header, and what writes it.
FOREIGN_FIRST = {"sep=": "Excel's sep= line", "#type": "PowerShell's #TYPE line"}
# What is too long is told by its line; the reader's own limit would be told as a wrong quote.
csv.field_size_limit(2**31 - 1)

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


class Unreadable(Exception):
    """A file that cannot be read on. The finding is made already."""


@dataclass(frozen=True)
class Batch:
    """Some rows, all as wide as the header.

    first         the number of the first row; the others follow without a gap
    data          UTF-8, in which the fields lie
    starts, ends  where each field begins and ends in `data`, by row and column
    """

    first: int
    data: bytes
    starts: Places
    ends: Places

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
        """The bytes of `data`."""
        return np.frombuffer(self.data, np.uint8)

    @functools.cached_property
    def padded(self) -> Bytes:
        """The bytes of `data`, and zeros behind them, so that a window fits at each place."""
        return np.append(self.buffer, np.zeros(LONGEST_WINDOW, np.uint8))

    @property
    def numbers(self) -> npt.NDArray[np.uint32]:
        """The numbers of the rows in their file."""
        return np.arange(self.first, self.first + len(self), dtype=np.uint32)

    def values(self, column: int) -> list[str]:
        """Return the values of a column."""
        data, starts, ends = self.data, self.starts[:, column], self.ends[:, column]
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        return [data[start:end].decode() for start, end in places]

    def value(self, row: int, column: int) -> str:
        """Return one value; `row` counts from 0 in this batch."""
        return self.data[self.starts[row, column] : self.ends[row, column]].decode()

    def lines(self) -> list[str]:
        """Return the rows as text, quotes taken away, commas between."""
        columns = [self.values(column) for column in range(self.starts.shape[1])]
        return list(map(",".join, zip(*columns, strict=True)))


def split(data: bytes, width: int) -> tuple[Places, Places] | None:
    """Return where the fields of rows of that width begin and end.

    `data` is whole lines that end with a line feed. Return None where it is anything but plain
    rows of that width: other widths, a line break in a field, quotes that are not around a field,
    line ends of several kinds.
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
        # A line feed at the very beginning has the last byte of all before it, which is another.
        if returns != rows or not (buffer[ends[:, -1] - 1] == RETURN).all():
            return None
        ends[:, -1] -= 1
    if quotes:
        is_quoted = (buffer[starts] == QUOTE) & (buffer[ends - 1] == QUOTE) & (ends - starts > 1)
        if 2 * np.count_nonzero(is_quoted) != quotes:
            return None
        starts, ends = starts + is_quoted, ends - is_quoted
    return starts, ends


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes, unpacked ahead by a thread, since that leaves the interpreter free.

    A short stream needs no thread. Raise what the reading raises, and MemoryError where the thread
    has too little.
    """
    first = stream.read(BLOCK_BYTES)
    if first:
        yield first
    if len(first) == BLOCK_BYTES:
        yield from _blocks_ahead(stream)


def _blocks_ahead(stream: IO[bytes]) -> Iterator[bytes]:
    waiting: queue.Queue[bytes | Exception] = queue.Queue(BLOCKS_AHEAD)
    is_over = threading.Event()

    def put(item: bytes | Exception) -> bool:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def read() -> None:
        try:
            while put(block := stream.read(BLOCK_BYTES)) and block:
                pass
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            put(error)

    reader = threading.Thread(target=read, daemon=True)
    start_thread(reader)
    try:
        while block := _next(waiting, reader):
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        is_over.set()
        reader.join()


def _next(waiting: queue.Queue[bytes | Exception], reader: threading.Thread) -> bytes | Exception:
    """Return what comes next. Raise MemoryError where a thread has ended without a word."""
    while True:
        is_alive = reader.is_alive()
        with contextlib.suppress(queue.Empty):
            return waiting.get(timeout=LOOK_SECONDS if is_alive else 0)
        if not is_alive:
            raise MemoryError


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes in pieces of a convenient size."""
    for block in blocks(stream):
        for start in range(0, len(block), PIECE_BYTES):
            yield block[start : start + PIECE_BYTES]


class Rows:
    """The rows of one member, in batches.

    Iteration raises Unreadable, with its finding made, where the text cannot be read on. Rows count
    as in a spreadsheet: the header is row 1.
    """

    def __init__(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, findings: Findings
    ) -> None:
        self.findings = findings
        self.name = name
        self.count = 0  # of the rows so far, the header among them
        # Called with the number and the fields of each row of another width, which is left out.
        self.on_ragged: Callable[[int, list[str]], None] = lambda _number, _row: None
        self._longest: int = spec("limits")["line_bytes"]
        self._blanks: list[int] = []  # numbers of blank lines behind the last row
        self.header: list[str] = []
        try:
            self._texts = self._checked(archive.open(info))
        except UNPACKING_ERRORS:
            self._stop("package.damaged")
        self._first_piece = next(self._texts, b"")
        self._rest = b""  # a row whose end is in the next piece
        self._begin()

    def _stop(self, rule: str, detail: str = "", row: int = 0) -> NoReturn:
        self.findings.add(rule, self.name, detail=detail, row=row)
        raise Unreadable

    # ---- bytes ----------------------------------------------------------------------------------

    def _checked(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield pieces of whole lines: UTF-8, no NUL, no endless line, no endless quote."""
        rest, line = b"", 1
        source = self._with_plain_ends(self._pieces(stream))
        while True:
            data = next(source, b"")
            rest += data
            if not data and rest.rstrip(b"\r\n").endswith(END_MARK):
                row = line + rest.rstrip(b"\r\n").count(b"\n")
                self.findings.add("csv.end-mark", self.name, row=row)
                rest = rest.rstrip(b"\r\n").rstrip(END_MARK)
            end = rest.rfind(b"\n") + 1 if data else len(rest)
            if data and rest.endswith(MARKED_LINE, 0, end):  # which may be the last one
                end = rest.rfind(b"\n", 0, end - 1) + 1
            # An odd number of quotes: the piece may end within a field.
            if data and rest.count(b'"', 0, end) % 2 and len(rest) <= self._longest:
                continue
            if end:
                yield self._text(rest[:end], line)
                line += int(np.count_nonzero(np.frombuffer(rest, np.uint8, end) == LINE_FEED))
                rest = rest[end:]
            if len(rest) > self._longest:
                self._stop("csv.line-length", row=line)
            if not data:
                return

    def _pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
        source = pieces(stream)
        while True:
            try:
                data = next(source, b"")
            except Ambiguous as error:
                self._stop("package.ambiguous", str(error))
            except UNPACKING_ERRORS:
                self._stop("package.damaged")
            if not data:
                return
            yield data

    def _with_plain_ends(self, source: Iterator[bytes]) -> Iterator[bytes]:
        """Yield pieces without a byte order mark, and with line ends that are none made to be some.

        Such line ends refuse the file. It is read on, so that all faults are told at once.
        """
        first = b""
        for data in source:
            first += data
            if len(first) >= FIRST_BYTES:
                break
        first = self._without_mark(first)
        ends = self._line_ends(first[:FIRST_BYTES])
        if ends not in ("CR", "CR CR LF"):
            yield first
            yield from source
            return
        rest = b""
        for data in chain([first], source):
            text = rest + data
            kept = len(text[-2:]) - len(text[-2:].rstrip(b"\r"))  # may go on in the next piece
            text, rest = text[: len(text) - kept], text[len(text) - kept :]
            yield _with_feeds(text, ends)
        yield _with_feeds(rest, ends)

    def _without_mark(self, data: bytes) -> bytes:
        """Return the first bytes without a byte order mark."""
        start = data[:200]
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or (
            start.count(b"\0") > len(start) // 3
        ):
            is_wide = start[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
            self._stop("csv.encoding", f"it looks like UTF-{32 if is_wide else 16}")
        if data.startswith(codecs.BOM_UTF8):
            self.findings.add("csv.bom", self.name)
            return data[len(codecs.BOM_UTF8) :]
        return data

    def _line_ends(self, data: bytes) -> str:
        """Return how the first lines end, with a finding where it is not by CRLF."""
        double = data.count(b"\r\r\n")
        pairs = data.count(b"\r\n") - double
        alone = data.count(b"\r") - pairs - 2 * double - data.endswith(b"\r")
        if b"\n" not in data:
            alone += data.endswith(b"\r")
        lines = data.count(b"\n") - pairs - double
        kinds = {"CRLF": pairs, "LF": lines, "CR": alone, "CR CR LF": double}
        found = [name for name, count in kinds.items() if count]
        if len(found) > 1 and alone:
            found.remove("CR")  # told of the line, unless it stands within quotes
        ends = " and ".join(found)
        if found in (["CR"], ["CR CR LF"]):
            detail = f"they end with {ends}; write CR LF"
            self.findings.add("csv.line-ends", self.name, detail=detail, severity="error")
        elif ends not in ("", "CRLF"):
            self.findings.add("csv.line-ends", self.name, detail=f"they are {ends}")
        return ends

    def _text(self, data: bytes, line: int) -> bytes:
        if b"\0" in data:
            self._stop("csv.nul", row=line + data.count(b"\n", 0, data.index(b"\0")))
        if data.isascii():
            return data
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            row = line + data.count(b"\n", 0, error.start)
            is_split = re.match(rb"\xed[\xa0-\xbf]", data[error.start : error.start + 2])
            cause = "CESU-8, as some databases write it" if is_split else "Windows-1252"
            self._stop("csv.encoding", f"it may be {cause}", row)
        return data

    # ---- rows -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Read the header. What stands before it is told and passed over."""
        while self._first_piece:
            if word := _other_separator(self._first_piece.split(b"\n", 1)[0].decode()):
                self._stop("csv.separator", f"it is a {word}", self.count + 1)
            text = self._first_piece.decode()
            rows, self._first_piece = self._parsed(text, limit=1)
            if not rows:
                self._stop("csv.quotes", row=1)
            self._look_for_returns(text.removesuffix(self._first_piece.decode()), rows)
            self.count += 1
            if _is_blank(rows[0]):
                self.findings.add("csv.blank-line", self.name, row=self.count)
            elif foreign := _foreign_first(rows[0][0]):
                self.findings.add("csv.no-header", self.name, detail=foreign, row=self.count)
            else:
                self.header = rows[0]
                break

    def _parsed(self, text: str, limit: int | None = None) -> tuple[list[list[str]], bytes]:
        """Return the whole rows of a piece, or the first of them, and what is left."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows: list[list[str]] = []
        try:
            rows.extend(islice(reader, limit))
        except csv.Error as error:
            if str(error) != UNFINISHED:
                self._stop("csv.quotes", row=self.count + len(rows) + 1)
            return rows, _after(text, len(rows))
        return rows, b"" if limit is None else _after(text, limit)

    def __iter__(self) -> Iterator[Batch]:
        if not self.header:
            self._stop("csv.empty")
        data, self._first_piece = self._first_piece, b""
        if data:
            yield from self._batches(data)
        for data in self._texts:
            yield from self._batches(self._rest + data)
        if self._rest:
            self._stop("csv.quotes", row=self.count + 1)
        for number in self._blanks:
            self.findings.add("csv.blank-end", self.name, row=number)
        self.count -= len(self._blanks)

    def _batches(self, data: bytes) -> Iterator[Batch]:
        whole = data if data.endswith(b"\n") else data + (b"\r\n" if b"\r" in data else b"\n")
        places = split(whole, len(self.header))
        if places and not self._may_hold_header(whole, *places):
            self._rest = b""
            self._pass_blanks()
            first = self.count + 1
            self.count += len(places[0])
            yield Batch(first, whole, *places)
            return
        yield from self._read_batches(data.decode())

    def _may_hold_header(self, data: bytes, starts: Places, ends: Places) -> bool:
        """Return whether a row begins as the header does."""
        name = self.header[0].encode()
        begins = starts[ends[:, 0] - starts[:, 0] == len(name), 0]
        return any(data.startswith(name, at) for at in begins.tolist())

    def _read_batches(self, text: str) -> Iterator[Batch]:
        first = self.count + 1
        rows, self._rest = self._parsed(text)
        self.count += len(rows)
        if len(self._rest) > self._longest:
            self._stop("csv.quotes", row=self.count + 1)
        if "\r" in text:
            # The last line of a file may end anyhow.
            self._look_for_returns(text.removesuffix(self._rest.decode()).removesuffix("\r"), rows)
        if '"' in text:
            self._look_for_stray_quotes(first, text, rows)
        run: list[list[str]] = []
        for number, row in enumerate(rows, first):
            if self._is_plain(row):
                self._pass_blanks()
                run.append(row)
                continue
            if run:
                yield self._batch(number - len(run), run)
                run = []
            if _is_blank(row):
                self._blanks.append(number)
                continue
            self._pass_blanks()
            if row == self.header:
                self.findings.add("csv.header-again", self.name, row=number)
                continue
            # A row of another width would put its values into the wrong columns.
            self.findings.add("csv.row-width", self.name, row=number)
            self.on_ragged(number, row)
        if run:
            yield self._batch(first + len(rows) - len(run), run)

    def _is_plain(self, row: list[str]) -> bool:
        """Return whether a row is as wide as the header, and neither the header nor blank."""
        return len(row) == len(self.header) and row != self.header and not _is_blank(row)

    def _pass_blanks(self) -> None:
        """Tell of the blank lines before a row, which are not those at the end."""
        for number in self._blanks:
            self.findings.add("csv.blank-line", self.name, row=number)
        self._blanks.clear()

    def _look_for_returns(self, text: str, rows: list[list[str]]) -> None:
        """Tell of lines that end with CR alone. One within quotes ends no line."""
        inside = (value for row in rows for value in row if "\r" in value)
        if _returns_alone(text) > sum(map(_returns_alone, inside)):
            detail = "a line ends with CR alone; write CR LF"
            self.findings.add("csv.line-ends", self.name, detail=detail, severity="error")

    def _look_for_stray_quotes(self, first: int, text: str, rows: list[list[str]]) -> None:
        """Tell of quotes inside fields that do not begin with one.

        A field that is quoted as it should be has two quotes, and two for each one in it.
        """
        lines = text.removesuffix("\n").split("\n")
        if len(lines) != len(rows):  # a field holds a line break
            return
        for number, (line, row) in enumerate(zip(lines, rows, strict=True), first):
            needed = sum(2 + 2 * value.count('"') for value in row if '"' in value)
            if needed and (line.count('"') % 2 or line.count('"') < needed):
                self.findings.add("csv.quotes-inside", self.name, row=number)

    def _batch(self, first: int, rows: list[list[str]]) -> Batch:
        for number, row in enumerate(rows, first):
            text = "".join(row)
            if "\n" in text or "\r" in text:
                self.findings.add("csv.line-break", self.name, row=number)
        return Batch.of_rows(first, rows)


def _is_blank(row: Sequence[str]) -> bool:
    """Return whether a row is a line of nothing but white space."""
    return not row or (len(row) == 1 and not row[0].strip())


def _with_feeds(data: bytes, ends: str) -> bytes:
    """Return a text whose line ends are CR alone, or CR CR LF, with line feeds."""
    if ends == "CR":
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\r\r\n", b"\n")


def _returns_alone(text: str) -> int:
    return text.count("\r") - text.count("\r\n")


def _other_separator(line: str) -> str:
    """Return what separates the names of a header that has no comma, "" where nothing does."""
    bare = line.replace('"', "").strip()
    if "," in bare or _foreign_first(bare):
        return ""
    return next((word for mark, word in SEPARATORS.items() if mark in bare), "")


def _foreign_first(text: str) -> str:
    """Return what has written a first line that is no header, "" for any other."""
    start = text.lstrip("\ufeff").lower()
    return next((name for mark, name in FOREIGN_FIRST.items() if start.startswith(mark)), "")


def _after(text: str, rows: int) -> bytes:
    """Return a text without its first rows."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(iter(lines.readline, ""), strict=True)
    for _ in range(rows):
        next(reader)
    return lines.read().encode()
