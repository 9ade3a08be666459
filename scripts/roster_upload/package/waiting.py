"""Rows of the last accepted package that are kept while their removal waits.

A row waits if its sourcedId is absent tonight. A row also waits if it was in effect and no longer
is: a disabled user, or an enrollment or session whose days no longer contain tonight. Both packages
are judged for tonight, so rows that end on schedule do not wait. A waiting row is appended to its
file unchanged, and replaces tonight's row if there is one.

References of a waiting row stay valid: the target is in tonight's package, or it waits, too. Only
bulk files that are in both packages are compared.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from roster_upload.package.edits import Edits
from roster_upload.package.graph import ColumnValues, Index
from roster_upload.package.repairs import Repairs
from roster_upload.package.rewrite import Added
from roster_upload.package.rows import CRLF, Part
from roster_upload.package.source import MANIFEST, Source
from roster_upload.package.values import Fields, Flags, Hashes, fields_of

NO_REPAIRS = Repairs(())
DAY_BYTES = 10  # of YYYY-MM-DD
DAYS = {"enrollments": ("beginDate", "endDate"), "academicSessions": ("startDate", "endDate")}
TRUE = fields_of("true").hashes()[0]


@dataclass
class FileRows:
    """The rows of a file: their ids, and whether each is in effect tonight."""

    ids: Hashes
    active: Flags


@dataclass
class Waiting:
    """Waiting rows, by file: rows removed from tonight's package, and rows added to it."""

    gone: dict[str, Flags]
    added: dict[str, Added]
    counts: dict[str, int]

    def apply(self, name: str, part: Part, edits: Edits) -> None:
        """Remove the rows that waiting ones replace."""
        if name in self.gone:
            edits.gone |= self.gone[name][part.numbers]

    def finish(self, name: str) -> None:
        """Note that all parts of a file have been copied."""


def rows_that_wait(previous: Source, tonight: Source, night: dt.date) -> Waiting:
    """Return the rows of the last accepted package that are kept. Raise Unusable."""
    waiting = Waiting({}, {}, {})
    for name in previous.files.keys() & tonight.files.keys() - {MANIFEST}:
        if not (previous.is_bulk(name) and tonight.is_bulk(name)):
            continue
        old, new = _read_rows(previous, name, night), _read_rows(tonight, name, night)
        if old is None or new is None:
            continue
        index = Index(new.ids)
        found = index.find(old.ids)
        has_lapsed = (found >= 0) & old.active & ~new.active[np.maximum(found, 0)]
        kept = (old.ids != 0) & ((found < 0) | has_lapsed)
        if not kept.any():
            continue
        gone = np.zeros(len(new.ids), np.bool_)
        gone[found[has_lapsed]] = True
        twins, firsts = index.twins
        gone[twins] = gone[firsts]
        waiting.gone[name] = gone
        waiting.added[name] = _rows_of(previous, name, kept)
        waiting.counts[name] = int(np.count_nonzero(kept))
    waiting.counts = dict(sorted(waiting.counts.items()))
    return waiting


def _read_rows(source: Source, name: str, night: dt.date) -> FileRows | None:
    """Return the rows of a file, None if it is unreadable."""
    table = source.table(name, NO_REPAIRS)
    ids, active = ColumnValues(0, np.uint64), ColumnValues(False, np.bool_)
    numbers = {column["name"]: i for i, column in enumerate(source.columns(name))}
    for part in table:
        if part.has_rows:
            ids.add(part.first, part.column(0).hashes())
            active.add(part.first, _are_active(name, part, numbers, night))
    count = max(table.count, 2)
    return FileRows(ids.joined(count), active.joined(count)) if table.is_readable else None


def _are_active(name: str, part: Part, numbers: dict[str, int], night: dt.date) -> Flags:
    """Return which rows are in effect on a night. A row's last day is excluded."""
    if name == "users":
        enabled: Flags = part.column(numbers["enabledUser"]).hashes() == TRUE
        return enabled
    active = np.ones(part.count, np.bool_)
    if name in DAYS:
        begin, end = (part.column(numbers[column]) for column in DAYS[name])
        active &= ~_are_after(begin, night) & (_are_after(end, night) | ~_are_days(end))
    return active


def _are_days(fields: Fields) -> Flags:
    lengths = fields.ends - fields.starts
    days: Flags = lengths == DAY_BYTES
    return days


def _are_after(fields: Fields, night: dt.date) -> Flags:
    """Return which values are days after a night. Values that are not days are not."""
    text = night.isoformat().encode()
    after = np.zeros(len(fields), np.bool_)
    which = np.flatnonzero(_are_days(fields))
    starts = fields.starts[which]
    words = fields.words(starts).byteswap()
    rest = fields.words(starts + 2).byteswap()  # the last eight of the ten
    now, now_rest = int.from_bytes(text[:8], "big"), int.from_bytes(text[2:], "big")
    after[which] = (words > now) | ((words == now) & (rest > now_rest))
    return after


def _rows_of(previous: Source, name: str, kept: Flags) -> Added:
    """Return a function that yields the kept rows of a file, in the columns of a header."""

    def rows(header: Sequence[str]) -> Iterator[bytes]:
        table = previous.table(name, NO_REPAIRS)
        for part in table:
            if part.has_rows:
                edits = Edits(part)
                edits.gone |= ~kept[part.numbers]
                text = edits.result()
                if text and table.header != list(header):
                    text = _in_columns(text, table.header, header)
                yield text if text.endswith(b"\n") or not text else text + CRLF

    return rows


def _in_columns(text: bytes, old: Sequence[str], new: Sequence[str]) -> bytes:
    """Return rows rearranged to other columns, by the columns' names."""
    numbers = [old.index(name) if name in old else -1 for name in new]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in csv.reader(io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")):
        writer.writerow([row[number] if number >= 0 else "" for number in numbers])
    return out.getvalue().encode("utf-8", "surrogateescape")
