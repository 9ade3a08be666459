"""A CSV file of a package, in batches of rows turned into columns; what no such file should be.

A piece of text without quotes needs no CSV reader: it is split at once, which takes a third of the
time. A piece with quotes is read by one.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import lzma
import queue
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, NoReturn

from roster_upload.findings import Findings, spec

BLOCK_BYTES = 1 << 20  # unpacked at once
PIECE_BYTES = 1 << 16  # looked at at once, so that a batch stays in the processor's cache
BLOCKS_AHEAD = 4
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
# What is too long is told by its line; the reader's own limit would be told as a wrong quote.
csv.field_size_limit(2**31 - 1)


class Unreadable(Exception):
    """A file that cannot be read on; the finding is made already."""


@dataclass(frozen=True)
class Batch:
    """Some rows, all as wide as the header: the first one's number, their values by column.

    `lines` are the rows as text, quotes taken away, commas between.
    """

    first: int
    columns: Sequence[Sequence[str]]
    lines: Sequence[str]

    def __len__(self) -> int:
        return len(self.lines)


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream's bytes, unpacked ahead by a thread, since that leaves the interpreter free.

    Raises what the reading raises.
    """
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
    reader.start()
    try:
        while block := waiting.get():
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        is_over.set()
        reader.join()


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream's bytes in pieces of a convenient size."""
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
        self.count = 0
        self.line_ends = ""  # as the first lines have them
        # Called with the number and the fields of each row of another width, which is left out.
        self.on_ragged: Callable[[int, list[str]], None] = lambda _number, _row: None
        self._longest: int = spec("limits")["line_bytes"]
        self.header: list[str] = []
        try:
            self._texts = self._decoded(archive.open(info))
        except UNPACKING_ERRORS:
            self._stop("package.damaged")
        self._first_text = next(self._texts, "")
        self._rest = ""  # a row whose end is in the next piece
        self._begin()

    def _stop(self, rule: str, detail: str = "", row: int = 0) -> NoReturn:
        self.findings.add(rule, self.name, detail=detail, row=row)
        raise Unreadable

    def _decoded(self, stream: IO[bytes]) -> Iterator[str]:
        """The text in pieces of whole lines: UTF-8, no NUL, no endless line, no endless quote."""
        rest, line = b"", 1
        source = pieces(stream)
        while True:
            try:
                data = next(source, b"")
            except UNPACKING_ERRORS:
                self._stop("package.damaged")
            rest += self._without_mark(data) if line == 1 and not rest else data
            end = rest.rfind(b"\n") + 1 if data else len(rest)
            # An odd number of quotes: the piece may end within a field.
            if data and rest.count(b'"', 0, end) % 2 and len(rest) <= self._longest:
                continue
            if end:
                yield self._text(rest[:end], line)
                line += rest.count(b"\n", 0, end)
                rest = rest[end:]
            if len(rest) > self._longest:
                self._stop("csv.line-length", row=line)
            if not data:
                return

    def _text(self, data: bytes, line: int) -> str:
        if b"\0" in data:
            self._stop("csv.nul", row=line + data.count(b"\n", 0, data.index(b"\0")))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            row = line + data.count(b"\n", 0, error.start)
            self._stop("csv.encoding", "it may be Windows-1252", row)

    def _without_mark(self, data: bytes) -> bytes:
        """The first bytes, without a byte order mark; how their lines end is known then."""
        start = data[:200]
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or (
            start.count(b"\0") > len(start) // 3
        ):
            self._stop("csv.encoding", "it looks like UTF-16")
        pairs = data.count(b"\r\n")
        alone = data.count(b"\r") - pairs - data.endswith(b"\r")
        kinds = (("CRLF", pairs), ("LF", data.count(b"\n") - pairs), ("CR", alone))
        ends = " and ".join(name for name, count in kinds if count)
        if ends not in ("", "CRLF"):
            self.findings.add("csv.line-ends", self.name, detail=f"they are {ends}")
        if data.startswith(codecs.BOM_UTF8):
            self.findings.add("csv.bom", self.name)
            return data[len(codecs.BOM_UTF8) :]
        return data

    def _begin(self) -> None:
        """Reads the header."""
        if self._first_text:
            rows, self._first_text = self._parsed(self._first_text, limit=1)
            if not rows:
                self._stop("csv.quotes", row=1)
            self.header = rows[0]
            self.count = 1

    def _parsed(self, text: str, limit: int | None = None) -> tuple[list[list[str]], str]:
        """The whole rows of a piece, by the CSV reader, or the first of them; and what is left."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows: list[list[str]] = []
        try:
            rows.extend(islice(reader, limit))
        except csv.Error as error:
            if str(error) != UNFINISHED:
                self._stop("csv.quotes", row=self.count + len(rows) + 1)
            limit = len(rows)
        return rows, "" if limit is None else _after(text, limit)

    def __iter__(self) -> Iterator[Batch]:
        if not self.header:
            self._stop("csv.empty")
        text, self._first_text = self._first_text, ""
        if text:
            yield from self._batches(text)
        for text in self._texts:
            yield from self._batches(self._rest + text)
        if self._rest:
            self._stop("csv.quotes", row=self.count + 1)

    def _batches(self, text: str) -> Iterator[Batch]:
        first, width = self.count + 1, len(self.header)
        if '"' not in text:
            plain = text.replace("\r\n", "\n").removesuffix("\n")
            lines = plain.split("\n")
            if "\r" not in plain and {line.count(",") for line in lines} == {width - 1}:
                self.count += len(lines)
                fields = plain.replace("\n", ",").split(",")
                yield Batch(first, [fields[at::width] for at in range(width)], lines)
                return
        rows, self._rest = self._parsed(text)
        self.count += len(rows)
        if len(self._rest) > self._longest:
            self._stop("csv.quotes", row=self.count + 1)
        run: list[list[str]] = []
        for number, row in enumerate(rows, first):
            if len(row) == width:
                run.append(row)
                continue
            # A row of another width would put its values into the wrong columns.
            self.findings.add("csv.row-width", self.name, row=number)
            self.on_ragged(number, row)
            if run:
                yield self._batch(number - len(run), run)
                run = []
        if run:
            yield self._batch(first + len(rows) - len(run), run)

    def _batch(self, first: int, rows: list[list[str]]) -> Batch:
        lines = list(map(",".join, rows))
        text = "".join(lines)
        if "\n" in text or "\r" in text:
            for number, line in enumerate(lines, first):
                if "\n" in line or "\r" in line:
                    self.findings.add("csv.line-break", self.name, row=number)
        return Batch(first, list(zip(*rows, strict=True)), lines)


def _after(text: str, rows: int) -> str:
    """A text without its first rows."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(iter(lines.readline, ""), strict=True)
    for _ in range(rows):
        next(reader)
    return lines.read()
