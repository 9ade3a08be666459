"""Reads a OneRoster package as rows with named columns, straight from its zip.

The zip is not trusted. `spec/limits.toml` limits its members and lines.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from roster_upload.exits import Exit, Failure
from roster_upload.guard.calendar import Calendar, State
from roster_upload.guard.record_sets import Flags
from roster_upload.spec import spec
from roster_upload.spec.formats import ONEROSTER
from roster_upload.validation.enrollments import day_after
from roster_upload.validation.zip_package import ZipPackage

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    csv.Error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OSError,
    ValueError,
)
Row = Sequence[str]
NO_ROWS = np.zeros(0, np.bool_)


class Columns:
    """Columns of a file, by name. A missing column is empty in every row."""

    def __init__(self, header: Row) -> None:
        self.names = tuple(header)
        self._at = {name: at for at, name in enumerate(header)}

    def value(self, row: Row, name: str) -> str:
        """Return a row's value in a column."""
        at = self._at.get(name, len(row))
        return row[at] if at < len(row) else ""

    def values(self, row: Row, names: Sequence[str]) -> tuple[str, ...]:
        """Return a row's values in several columns."""
        return tuple(self.value(row, name) for name in names)


class Package:
    """A package, judged for the `night`."""

    def __init__(
        self,
        path: Path,
        title: str,
        night: dt.date,
        faulty: Callable[[str], Flags] = lambda _file: NO_ROWS,
    ) -> None:
        """Read the small files. Raise Failure.

        `title` is the package's name in messages. `faulty` returns flags of the faulty rows of
        `FILE.csv`, by the row's number. The header is row 1. Faulty rows do not count as present.
        """
        self.title = title
        self.night = night
        self._faulty = faulty
        self._path = path
        with self._readable(), ZipPackage(path) as archive:
            members = archive.infolist()
        known = {
            f"{file}.csv".lower(): file for file in (*spec(ONEROSTER)["data_files"], "manifest")
        }
        self.files = {
            known[name]: member
            for member in members
            if (name := PurePosixPath(member.filename).name.lower()) in known
        }
        manifest = self.files.pop("manifest", None)
        rows = list(self._lines(manifest)) if manifest else []
        self.modes = {row[0].removeprefix("file."): row[1].strip() for row in rows if len(row) > 1}
        self._states: dict[tuple[Any, ...], State] = {}
        self._sessions: dict[str, tuple[str, str]] = {}
        self.classes: dict[str, tuple[str, tuple[tuple[str, str], ...] | None]] = {}
        self.orgs: dict[str, tuple[str, str]] = {}  # sourcedId: name, identifier
        self._look_up()

    @property
    def is_incremental(self) -> bool:
        """Return whether records that are not in the package stay unchanged."""
        return not self.files or any(self.is_delta(file) for file in self.files)

    def is_delta(self, file: str) -> bool:
        """Return whether a file lists changes only."""
        return self.modes.get(file) == "delta"

    def rows(self, file: str) -> Iterator[tuple[Columns, Row]]:
        """Return each row of a file with the file's columns."""
        return ((columns, row) for columns, row, _ in self.judged(file))

    def judged(self, file: str) -> Iterator[tuple[Columns, Row, bool]]:
        """Return each row of a file with the file's columns, and whether it has a fault."""
        lines = self._lines(self.files[file]) if file in self.files else iter(())
        columns = Columns(next(lines, []))
        faulty = self._faulty(f"{file}.csv")
        for number, row in enumerate(lines, 2):
            if row:
                yield columns, row, number < len(faulty) and bool(faulty[number])

    def header(self, file: str) -> tuple[str, ...]:
        """Return the names of a file's columns."""
        lines = self._lines(self.files[file]) if file in self.files else iter(())
        return tuple(next(lines, []))

    def state(self, file: str, columns: Columns, row: Row) -> State:
        """Return a record's state on the night."""
        if columns.value(row, "status") == "tobedeleted":
            return State.OVER
        if file == "users":
            is_enabled = columns.value(row, "enabledUser") == "true"
            return State.PRESENT if is_enabled else State.OVER
        if file == "enrollments":  # they end on the day before endDate, as in the guard
            begin, end, of = columns.values(row, ("beginDate", "endDate", "classSourcedId"))
            return self._state(begin, end, self.classes.get(of, ("", None))[1])
        return State.PRESENT

    def _state(self, *days: Any) -> State:
        if days not in self._states:  # millions of rows share few combinations of days
            self._states[days] = Calendar(*days).state(self.night)
        return self._states[days]

    def _look_up(self) -> None:
        for columns, row in self.rows("academicSessions"):
            sourced_id, first, last = columns.values(row, ("sourcedId", "startDate", "endDate"))
            self._sessions[sourced_id] = (first, day_after(last))
        for columns, row in self.rows("orgs"):
            sourced_id, *named = columns.values(row, ("sourcedId", "name", "identifier"))
            self.orgs[sourced_id] = (named[0], named[1])
        for columns, row in self.rows("classes"):
            sourced_id, title, terms = columns.values(row, ("sourcedId", "title", "termSourcedIds"))
            days = [self._sessions.get(term) for term in terms.split(",")]
            # A class with an unknown session has no limits.
            is_bounded = None not in days
            self.classes[sourced_id] = (title, tuple(filter(None, days)) if is_bounded else None)

    def _lines(self, member: zipfile.ZipInfo) -> Iterator[Row]:
        """Yield a member's lines, beginning with the header. Raise Failure."""
        with self._readable(), ZipPackage(self._path) as archive, archive.open(member) as raw:
            if member.file_size > spec("limits")["member_bytes"]:
                raise zipfile.BadZipFile
            text = io.TextIOWrapper(raw, "utf-8-sig", "backslashreplace", newline="")
            yield from csv.reader(_bounded(text))

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise Failure(
                Exit.REFUSED,
                f"{self.title} cannot be read ({type(error).__name__}). Run `roster-upload check` "
                "on it",
            ) from None


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield a text's lines. Raise ValueError for one that is too long."""
    limit = spec("limits")["line_bytes"]
    while line := text.readline(limit):
        if len(line) >= limit:
            raise ValueError
        yield line
