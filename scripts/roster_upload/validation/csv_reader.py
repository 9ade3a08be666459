"""Read a CSV file of a package in batches of rows, as bytes with the offsets of their fields.

Array operations split most pieces of a file, including quoted fields, in a tenth of a CSV reader's
time. Python's CSV reader reads the unusual pieces.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NoReturn

from roster_upload.spec import spec
from roster_upload.validation.batch import Batch, Offsets, split
from roster_upload.validation.blocks import UNFINISHED, UNPACKING_ERRORS
from roster_upload.validation.findings import Findings
from roster_upload.validation.lines import Lines, stop

SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar", "~": "tilde", "^": "caret", "\x1f": "US"}
# A first line that is no header, and what writes it.
FOREIGN_FIRST = {"sep=": "Excel's sep= line", "#type": "PowerShell's #TYPE line"}
# Long lines have their own rule. The reader's own limit would be reported as a wrong quote.
csv.field_size_limit(2**31 - 1)


class CsvReader:
    """Iterate over the rows of one member in batches.

    Iteration raises Unreadable, after adding its finding, if the rest of the text cannot be read.
    Rows count as in a spreadsheet: the header is row 1.
    """

    def __init__(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, findings: Findings
    ) -> None:
        self.findings = findings
        self.name = name
        self.count = 0  # of the rows so far, including the header
        # Called with the number and the fields of each row of another width. No batch has it.
        self.on_ragged: Callable[[int, list[str]], None] = lambda _number, _row: None
        self._longest: int = spec("limits")["line_bytes"]
        self._blanks: list[int] = []  # numbers of blank lines after the last row
        self.header: list[str] = []
        try:
            stream = archive.open(info)
        except UNPACKING_ERRORS:
            stop(findings, name, "package.damaged")
        self._texts = iter(Lines(stream, name, findings))
        self._first_piece = next(self._texts, b"")
        self._rest = b""  # a row whose end is in the next piece
        self._begin()

    def _stop(self, rule: str, detail: str = "", row: int = 0) -> NoReturn:
        stop(self.findings, self.name, rule, detail, row)

    def _begin(self) -> None:
        """Read the header. Report and skip lines before it."""
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
        """Return the whole rows of a piece, at most `limit`, and the rest of the piece."""
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
        offsets = split(whole, len(self.header))
        if offsets and not self._may_hold_header(whole, *offsets):
            self._rest = b""
            self._pass_blanks()
            first = self.count + 1
            self.count += len(offsets[0])
            yield Batch(first, whole, *offsets)
            return
        yield from self._read_batches(data.decode())

    def _may_hold_header(self, data: bytes, starts: Offsets, ends: Offsets) -> bool:
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
            # The last line of a file may have any end.
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
        """Report blank lines before a row. Those at the end have their own rule."""
        for number in self._blanks:
            self.findings.add("csv.blank-line", self.name, row=number)
        self._blanks.clear()

    def _look_for_returns(self, text: str, rows: list[list[str]]) -> None:
        """Report lines that end with CR alone. A CR within quotes does not end a line."""
        inside = (value for row in rows for value in row if "\r" in value)
        if _returns_alone(text) > sum(map(_returns_alone, inside)):
            detail = "a line ends with CR instead of CR LF"
            self.findings.add("csv.line-ends", self.name, detail=detail, severity="error")

    def _look_for_stray_quotes(self, first: int, text: str, rows: list[list[str]]) -> None:
        """Report quotes inside unquoted fields.

        A properly quoted field has two quotes, and two more for each quote in its value.
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


def _returns_alone(text: str) -> int:
    return text.count("\r") - text.count("\r\n")


def _other_separator(line: str) -> str:
    """Return the name of a header's separator, "" if it is a comma or there is none."""
    bare = line.replace('"', "").strip()
    if "," in bare or _foreign_first(bare):
        return ""
    return next((word for mark, word in SEPARATORS.items() if mark in bare), "")


def _foreign_first(text: str) -> str:
    """Return the name of a first line that a program adds before the header, "" for any other."""
    start = text.lstrip("\ufeff").lower()
    return next((name for mark, name in FOREIGN_FIRST.items() if start.startswith(mark)), "")


def _after(text: str, rows: int) -> bytes:
    """Return a text without its first rows."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(iter(lines.readline, ""), strict=True)
    for _ in range(rows):
        next(reader)
    return lines.read().encode()
