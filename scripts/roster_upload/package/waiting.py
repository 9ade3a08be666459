"""Rows of the last accepted package that are kept while their removal waits.

A row waits whose sourcedId is absent tonight, and one that was in effect and is not any more: a
user who is disabled, an enrollment or a session whose days no longer contain tonight. Both packages
are judged for tonight, so what ends on schedule does not wait. A row that waits comes to the end of
its file as it was, and takes the place of tonight's row where there is one.

What a row refers to is there: it is in tonight's package, or it waits, too. Only bulk files that
are in both packages are looked at.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from roster_upload.package.edits import Edits
from roster_upload.package.graph import Arrays, Index
from roster_upload.package.repairs import Repairs
from roster_upload.package.rewrite import Added
from roster_upload.package.rows import CRLF, Part
from roster_upload.package.source import MANIFEST, Source
from roster_upload.package.values import Fields, Flags, Hashes, fields_of

AS_IT_IS = Repairs(())
DAY_BYTES = 10  # of YYYY-MM-DD
DAYS = {"enrollments": ("beginDate", "endDate"), "academicSessions": ("startDate", "endDate")}
TRUE = fields_of("true").hashes()[0]


@dataclass
class Known:
    """The rows of a file: their ids, and whether each is in effect tonight."""

    ids: Hashes
    active: Flags


@dataclass
class Waiting:
    """Rows that wait, by file: what goes from tonight's package and what comes instead."""

    gone: dict[str, Flags]
    added: dict[str, Added]
    counts: dict[str, int]

    def apply(self, name: str, part: Part, edits: Edits) -> None:
        """Take away the rows in whose place others come."""
        if name in self.gone:
            edits.gone |= self.gone[name][part.numbers]

    def finish(self, name: str) -> None:
        """Know that all parts of a file have passed."""


def rows_that_wait(previous: Source, tonight: Source, night: dt.date) -> Waiting:
    """Return which rows of the last accepted package are kept. Raise Unusable."""
    waiting = Waiting({}, {}, {})
    for name in previous.files.keys() & tonight.files.keys() - {MANIFEST}:
        if not (previous.is_bulk(name) and tonight.is_bulk(name)):
            continue
        old, new = _known(previous, name, night), _known(tonight, name, night)
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


def _known(source: Source, name: str, night: dt.date) -> Known | None:
    """Return the rows of a file, None where it cannot be taken apart."""
    table = source.table(name, AS_IT_IS)
    ids, active = Arrays(0, np.uint64), Arrays(False, np.bool_)
    places = {column["name"]: i for i, column in enumerate(source.columns(name))}
    for part in table:
        if part.has_rows:
            ids.add(part.first, part.column(0).hashes())
            active.add(part.first, _are_active(name, part, places, night))
    count = max(table.count, 2)
    return Known(ids.joined(count), active.joined(count)) if table.is_readable else None


def _are_active(name: str, part: Part, places: dict[str, int], night: dt.date) -> Flags:
    """Return which rows are in effect on a night; the last day of a row is not."""
    if name == "users":
        enabled: Flags = part.column(places["enabledUser"]).hashes() == TRUE
        return enabled
    active = np.ones(part.count, np.bool_)
    if name in DAYS:
        begin, end = (part.column(places[column]) for column in DAYS[name])
        active &= ~_are_after(begin, night) & (_are_after(end, night) | ~_are_days(end))
    return active


def _are_days(fields: Fields) -> Flags:
    lengths = fields.ends - fields.starts
    days: Flags = lengths == DAY_BYTES
    return days


def _are_after(fields: Fields, night: dt.date) -> Flags:
    """Return which values are days after a night. Anything but a day is not."""
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
    """Return what yields the kept rows of a file, in the columns of another header."""

    def rows(header: Sequence[str]) -> Iterator[bytes]:
        table = previous.table(name, AS_IT_IS)
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
    """Return rows in other columns, by their names."""
    places = [old.index(name) if name in old else -1 for name in new]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in csv.reader(io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")):
        writer.writerow([row[place] if place >= 0 else "" for place in places])
    return out.getvalue().encode("utf-8", "surrogateescape")
