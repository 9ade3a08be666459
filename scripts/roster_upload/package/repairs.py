"""Mechanical repairs. Each is done only if the feed names it."""

from __future__ import annotations

import codecs
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from roster_upload.package.edits import Edits
from roster_upload.package.rows import Part, Table, header_names, trimmed_names, with_crlf
from roster_upload.package.values import MASKS, Fields, fields_of, may_hold_blanks
from roster_upload.spec import spec

BYTE_ORDER_MARK = codecs.BOM_UTF8
ODD_CASE = {len(word): int.from_bytes(word, "little") for word in (b"true", b"false")}
LARGE_T, LARGE_F = b"TF"
ALL_SMALL = np.uint64(0x2020202020202020)
ACTIVE, DELETED = fields_of("active", "tobedeleted").hashes()


class Repairs:
    """The repairs of one feed. `counts` has the number of changes, by the repair's name."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.counts: Counter[str] = Counter()

    def chunks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield a file's bytes without a byte order mark and with CRLF at line ends."""
        if "byte-order-mark" in self.names:
            chunks = self._without_mark(chunks)
        if "line-ends" in self.names:
            chunks = self._with_feeds(chunks)
        return chunks

    def _without_mark(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        start = b""
        while len(start) < len(BYTE_ORDER_MARK) and (chunk := next(chunks, b"")):
            start += chunk
        if start.startswith(BYTE_ORDER_MARK):
            self.counts["byte-order-mark"] += 1
            start = start.removeprefix(BYTE_ORDER_MARK)
        yield start
        yield from chunks

    def _with_feeds(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield a file with CRLF if its lines end with a lone CR. `Table` mends other line ends."""
        start = next(chunks, b"")
        if b"\n" in start or b"\r" not in start:
            yield start
            yield from chunks
            return
        self.counts["line-ends"] += 1
        longest: int = spec("limits")["line_bytes"]
        rest = b""
        for chunk in itertools.chain([start], chunks):
            text = rest + chunk
            # A line end or a quoted value may continue in the next chunk.
            end = len(text.rstrip(b"\r\n")) if len(text) <= longest else len(text)
            if len(text) <= longest and text.count(b'"', 0, end) % 2:
                rest = text
                continue
            yield with_crlf(text[:end])
            rest = text[end:]
        yield with_crlf(rest)

    def header(self, table: Table) -> bytes:
        """Return the repaired line of the header."""
        if "edge-blanks" not in self.names:
            return table.begin
        names = header_names(table.begin)
        bare = trimmed_names(names)
        if names == bare:
            return table.begin
        self.counts["edge-blanks"] += sum(a != b for a, b in zip(names, bare, strict=True))
        mark = BYTE_ORDER_MARK if table.begin.startswith(BYTE_ORDER_MARK) else b""
        end = table.begin[len(table.begin.rstrip(b"\r\n")) :]
        return mark + ",".join(bare).encode() + end

    def parts(self, table: Table) -> Iterator[Part]:
        """Yield the parts of a file, without blank lines at its end."""
        if "blank-lines" not in self.names:
            yield from table
            self.counts["line-ends"] += table.is_mended
            return
        blanks: list[Part] = []
        for part in table:
            if part.is_blank:
                blanks.append(part)
                continue
            yield from blanks
            blanks.clear()
            yield part
        self.counts["line-ends"] += table.is_mended
        self.counts["blank-lines"] += sum(part.count for part in blanks)

    def of_columns(
        self, columns: Sequence[Any], *, is_bulk: bool
    ) -> Callable[[Part], tuple[Part, Edits]]:
        """Return a function that repairs the values of a file with these columns."""
        booleans = [i for i, one in enumerate(columns) if one.get("enum") == "boolean"]
        lists = [i for i, one in enumerate(columns) if one.get("type", "").endswith("-list")]
        names = [one["name"] for one in columns]
        stamps = [i for i, name in enumerate(names) if name in ("status", "dateLastModified")]

        def repair(part: Part) -> tuple[Part, Edits]:
            edits = Edits(part)
            if not part.has_rows:
                return part, edits
            if "edge-blanks" in self.names:
                part = self._edge_blanks(part, edits)
            if "list-blanks" in self.names:
                for column in lists:
                    self._list_blanks(part.column(column), edits)
            if "booleans" in self.names:
                for column in booleans:
                    self._booleans(part.column(column), edits)
            if "bulk-status" in self.names and is_bulk and len(stamps) == 2:
                self._bulk_status([part.column(column) for column in stamps], edits)
            return part, edits

        return repair

    def _edge_blanks(self, part: Part, edits: Edits) -> Part:
        if part.is_plain and not may_hold_blanks(part.data):
            return part
        old = part.all_fields()
        new = old.trimmed()
        if new is old:
            return part
        self.counts["edge-blanks"] += int(np.count_nonzero(edits.trim(old, new)))
        return part.with_fields(new)

    def _list_blanks(self, lists: Fields, edits: Edits) -> None:
        """Remove blanks at commas, but not at the edges of the whole list."""
        owners, items = lists.items()
        if items is lists:
            return
        bare = items.trimmed()
        is_first = np.append(True, owners[1:] != owners[:-1])
        is_last = np.append(owners[1:] != owners[:-1], True)
        starts = np.where(is_first, items.starts, bare.starts)
        ends = np.where(is_last, items.ends, np.maximum(bare.ends, starts))
        changed = edits.trim(items, Fields(lists.data, lists.buffer, starts, ends))
        self.counts["list-blanks"] += len(np.unique(owners[changed]))

    def _booleans(self, fields: Fields, edits: Edits) -> None:
        first = fields.buffer[fields.starts]
        if not ((first == LARGE_T) | (first == LARGE_F)).any():
            return
        lengths = fields.ends - fields.starts
        for length, small in ODD_CASE.items():
            which = np.flatnonzero(lengths == length)
            words = fields.words(fields.starts[which]) & MASKS[length]
            odd = ((words | (ALL_SMALL & MASKS[length])) == small) & (words != small)
            if odd.any():
                self.counts["booleans"] += int(np.count_nonzero(odd))
                edits.lower(fields.at(which[odd]), length)

    def _bulk_status(self, columns: list[Fields], edits: Edits) -> None:
        """Empty status and date of active rows, and remove rows that are to be deleted."""
        if not any((fields.ends > fields.starts).any() for fields in columns):
            return
        status = columns[0].hashes()
        edits.gone |= status == DELETED
        is_active = (status == ACTIVE) | (status == 0)
        changed = edits.gone.copy()
        for fields in columns:
            which = np.flatnonzero(is_active & (fields.ends > fields.starts))
            edits.blank(fields.at(which))
            changed[which] = True
        self.counts["bulk-status"] += int(np.count_nonzero(changed))
