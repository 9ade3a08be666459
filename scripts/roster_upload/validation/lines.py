"""Read the text of a CSV file in pieces of whole lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO, NoReturn

import numpy as np

from roster_upload.spec import spec
from roster_upload.validation.batch import LINE_FEED
from roster_upload.validation.blocks import UNPACKING_ERRORS, pieces
from roster_upload.validation.findings import Findings
from roster_upload.validation.zip_layout import Ambiguous

FIRST_BYTES = 1 << 12  # that show the kind of line ends
END_MARK = b"\x1a"  # Ctrl-Z, by which old systems end a text
MARKED_LINE = (b"\x1a\r\n", b"\x1a\n")


class Unreadable(Exception):
    """A file whose rest cannot be read. The finding has been added already."""


def stop(findings: Findings, name: str, rule: str, detail: str = "", row: int = 0) -> NoReturn:
    """Add the finding that ends the reading of a file, and raise Unreadable."""
    findings.add(rule, name, detail=detail, row=row)
    raise Unreadable


class Lines:
    """Iterate over pieces of whole lines: UTF-8, no NUL, no endless line, no endless quote.

    Iteration raises Unreadable, after adding its finding, if the rest of the text cannot be read.
    """

    def __init__(self, stream: IO[bytes], name: str, findings: Findings) -> None:
        self.findings = findings
        self.name = name
        self._stream = stream
        self._longest: int = spec("limits")["line_bytes"]

    def _stop(self, rule: str, detail: str = "", row: int = 0) -> NoReturn:
        stop(self.findings, self.name, rule, detail, row)

    def __iter__(self) -> Iterator[bytes]:
        rest, line = b"", 1
        source = self._with_plain_ends(self._pieces())
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

    def _pieces(self) -> Iterator[bytes]:
        source = pieces(self._stream)
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
        """Yield pieces without a byte order mark, and with line feeds instead of CR or CR CR LF.

        Such line ends refuse the file. The rest is read, so that one run reports all faults.
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
            kept = len(text[-2:]) - len(text[-2:].rstrip(b"\r"))  # may continue in the next piece
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
        """Return the kinds of line ends. Report them if they are not CRLF."""
        double = data.count(b"\r\r\n")
        pairs = data.count(b"\r\n") - double
        alone = data.count(b"\r") - pairs - 2 * double - data.endswith(b"\r")
        if b"\n" not in data:
            alone += data.endswith(b"\r")
        lines = data.count(b"\n") - pairs - double
        kinds = {"CRLF": pairs, "LF": lines, "CR": alone, "CR CR LF": double}
        found = [name for name, count in kinds.items() if count]
        if len(found) > 1 and alone:
            found.remove("CR")  # reported for the line itself, unless it is within quotes
        ends = " and ".join(found)
        if found in (["CR"], ["CR CR LF"]):
            detail = f"they end with {ends} instead of CR LF"
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


def _with_feeds(data: bytes, ends: str) -> bytes:
    """Return a text whose line ends are CR alone, or CR CR LF, with line feeds."""
    if ends == "CR":
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\r\r\n", b"\n")
