"""Copies a package with the rows that a step removes or adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from roster_upload.package.edits import Edits
from roster_upload.package.repairs import Repairs
from roster_upload.package.rows import CRLF, Part
from roster_upload.package.source import MANIFEST, Source
from roster_upload.package.writer import PackageWriter
from roster_upload.spec import spec

# Enrollments decide on users, and users on demographics.
LATE = ["users", "demographics"]
# Yields rows for a file with these columns.
Added = Callable[[Sequence[str]], Iterator[bytes]]


def _order() -> list[str]:
    files = [MANIFEST, *spec("oneroster-1.1")["data_files"]]
    files = [name for name in files if name not in LATE]
    after = files.index("enrollments") + 1
    return [*files[:after], *LATE, *files[after:]]


class Choice(Protocol):
    """Decides which rows stay."""

    def apply(self, name: str, part: Part, edits: Edits) -> None:
        """Remove the rows of a part that do not stay."""

    def finish(self, name: str) -> None:
        """Note that all parts of a file have been copied."""


@dataclass
class Changes:
    """Changes of a package in addition to its repairs.

    selection      decides which rows stay
    blanked        file: the numbers of the emptied columns
    added          file: rows that are appended
    keeps_foreign  whether members stay that are not files of the format
    """

    selection: Choice | None = None
    blanked: Mapping[str, Sequence[int]] = field(default_factory=dict)
    added: Mapping[str, Added] = field(default_factory=dict)
    keeps_foreign: bool = True


@dataclass
class Done:
    """Counts of emptied values, by `file.column`, and unreadable files."""

    blanked: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


def rewrite(source: Source, out: Path, repairs: Repairs, changes: Changes) -> Done:
    """Write the package `out`. Raise Unusable, or OSError."""
    done = Done()
    with PackageWriter(out) as writer:
        for name in _order():
            if name not in source.files:
                continue
            info = source.files[name]
            rows = _FileCopy(source, name, repairs, changes, done).parts()
            writer.add(f"{name}.csv", rows, 2 * info.file_size)
        for info in source.others:
            if changes.keeps_foreign or source.is_stray(info):
                writer.add(info.filename, source.chunks(info), info.file_size)
    repairs.counts.update(source.counts)
    return done


class _FileCopy:
    """One file that is copied from the source to the package."""

    def __init__(
        self, source: Source, name: str, repairs: Repairs, changes: Changes, done: Done
    ) -> None:
        self._source, self._name, self._repairs = source, name, repairs
        self._selection = changes.selection
        self._blanked = changes.blanked.get(name, ())
        self._added = changes.added.get(name)
        self._columns = source.columns(name)
        self._done = done

    def parts(self) -> Iterator[bytes]:
        """Yield the file's bytes."""
        table = self._source.table(self._name, self._repairs)
        repair = self._repairs.of_columns(self._columns, is_bulk=self._source.is_bulk(self._name))
        last = self._repairs.header(table)
        yield last
        for part in self._repairs.parts(table):
            repaired, edits = repair(part)
            if repaired.has_rows:
                self._change(repaired, edits)
            text = edits.result()
            last = text or last
            yield text
        if self._selection:
            self._selection.finish(self._name)
        if not table.is_readable:
            self._done.unreadable.append(self._name)
        elif self._added:
            yield b"" if last.endswith(b"\n") else CRLF
            yield from self._added(table.header)

    def _change(self, part: Part, edits: Edits) -> None:
        if self._selection:
            self._selection.apply(self._name, part, edits)
        for number in self._blanked:
            fields = part.column(number)
            which = np.flatnonzero((fields.ends > fields.starts) & ~edits.gone)
            edits.blank(fields.at(which))
            self._done.blanked[f"{self._name}.{self._columns[number]['name']}"] += len(which)
