"""Makes the package that is sent from the export, by the steps that the feed declares.

The steps have a fixed order: repairs, scope, faulty rows, removals that wait. The same export, feed
and last accepted package give the same bytes. The export itself is never changed.

An export that cannot be opened, or would unpack to too much, becomes the package unchanged, so that
validation reports what is wrong. An unreadable file in it (another header, another separator,
broken quotes) is copied unchanged, except for its byte order mark. A scope cannot be applied to
either. `Built.unscoped` names them, and the package must not be sent then, even if the feed lowers
the severity of the findings.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from roster_upload.package.built import Built, Report
from roster_upload.package.graph import Graph, Selection
from roster_upload.package.repairs import Repairs
from roster_upload.package.rewrite import Changes, Done, rewrite
from roster_upload.package.rows import Part
from roster_upload.package.scope import InScope, Scope, ScopeFacts, chooses_rows
from roster_upload.package.source import MANIFEST, Source, Unusable
from roster_upload.package.values import Flags
from roster_upload.package.waiting import rows_that_wait

THE_PACKAGE = "the package"
ANOTHER_FILE = "another file"
LEAVE_OUT, WAIT = "leave-out", "wait"
# Setting of a scope: the file that it requires.
NEEDED = {"schools": "orgs", "courses": "courses", "enrolled_only": "enrollments"}


class Feed(Protocol):
    """The part of a feed's configuration that declares the steps."""

    @property
    def scope(self) -> Scope:
        """Return the scope: the records that the vendor receives."""

    @property
    def repairs(self) -> tuple[str, ...]:
        """Return the names of the repairs."""

    @property
    def faulty_rows(self) -> str:
        """Return LEAVE_OUT if rows with faults are excluded."""

    @property
    def removals(self) -> str:
        """Return WAIT if removals above the limit wait, instead of the package being held."""


Check = Callable[[Path], Report]


def build(
    feed: Feed,
    export: Path,
    out: Path,
    previous: Path | None = None,
    *,
    check: Check,
    night: dt.date,
) -> Built | None:
    """Return the package `out`, or None if the feed declares no step.

    `previous` is the last accepted package, if removals wait tonight. `check` validates a package.
    It is called only if faulty rows are excluded. `out` appears only when it is complete. Raise
    OSError if the export cannot be read, or if `out` exists or cannot be written.
    """
    waits = previous is not None and feed.removals == WAIT
    if (
        feed.scope.is_everything
        and not feed.repairs
        and feed.faulty_rows != LEAVE_OUT
        and not waits
    ):
        return None
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".package-") as folder:
        work = _Work(feed, Path(folder), export)
        try:
            if feed.repairs or not feed.scope.is_everything:
                work.repair_and_scope()
            if feed.faulty_rows == LEAVE_OUT:
                work.exclude_faulty(check)
            if waits and previous:
                work.keep_waiting(previous, night)
        except Unusable:
            unscoped = () if feed.scope.is_everything else (THE_PACKAGE,)
            return Built(export, *_size_and_digest(export), {}, unscoped)
        path = export
        if work.package != export:
            os.link(work.package, out)
            path = out
        return Built(path, *_size_and_digest(path), work.steps, work.unscoped, work.report)


class _Work:
    """The steps of one package. Each turns one file into the next."""

    def __init__(self, feed: Feed, folder: Path, export: Path) -> None:
        self.package = export
        self.steps: dict[str, Any] = {}
        self.unscoped: tuple[str, ...] = ()
        self.report: Report | None = None
        self._feed, self._folder = feed, folder

    def repair_and_scope(self) -> None:
        """Repair the export and apply the feed's scope."""
        out = self._folder / "scoped"
        repairs = Repairs(self._feed.repairs)
        with Source(self.package, self._feed.repairs) as source:
            self.unscoped = self._scope(source, out, repairs, self.steps)
        self._add("repairs", repairs.counts)
        self.package = out

    def _scope(
        self, source: Source, out: Path, repairs: Repairs, steps: dict[str, Any]
    ) -> tuple[str, ...]:
        """Write a package in scope. Return the files to which it could not be applied."""
        scope = self._feed.scope
        facts = ScopeFacts(scope)
        selection = InScope(scope, Graph(source, facts)) if chooses_rows(scope) else None
        blanked = _blanked_columns(source, scope.blank)
        changes = Changes(selection, blanked, keeps_foreign=scope.is_everything)
        done = rewrite(source, out, repairs, changes)
        if selection:
            _add(steps, "scope", selection.gone)
            _add(steps, "references", selection.references)
            _add(steps, "unmatched", facts.unmatched)
        _add(steps, "blanked", done.blanked)
        return () if scope.is_everything else _unscoped_files(source, scope, done)

    def exclude_faulty(self, check: Check) -> None:
        """Exclude rows with faults, and rows that depend on them, within the budget.

        A package that is not accepted stays unchanged, and is refused with its findings later.
        """
        self.report = check(self.package)
        if not self.report.accepted:
            return
        out = self._folder / "faultless"
        with Source(self.package) as source:
            faulty = {name: self.report.findings.faulty(f"{name}.csv") for name in source.files}
            if not any(flags.any() for flags in faulty.values()):
                return
            selection = _exclude(faulty, Graph(source, _no_facts))
            rewrite(source, out, Repairs(()), Changes(selection))
        self._add("faulty_rows", selection.gone)
        self.package, self.report = out, None

    def keep_waiting(self, previous: Path, night: dt.date) -> None:
        """Keep rows of the last accepted package whose removal waits."""
        out = self._folder / "waiting"
        with Source(self._in_scope(previous)) as old, Source(self.package) as source:
            waiting = rows_that_wait(old, source, night)
            if not waiting.counts:
                return
            rewrite(source, out, Repairs(()), Changes(waiting, added=waiting.added))
        self._add("waiting", waiting.counts)
        self.package, self.report = out, None

    def _in_scope(self, previous: Path) -> Path:
        """Return the last accepted package, reduced to the feed's present scope."""
        if self._feed.scope.is_everything:
            return previous
        out = self._folder / "previous"
        with Source(previous) as source:
            unscoped = self._scope(source, out, Repairs(()), {})
        self.unscoped = tuple(dict.fromkeys((*self.unscoped, *unscoped)))
        return out

    def _add(self, step: str, counts: Mapping[str, Any]) -> None:
        _add(self.steps, step, counts)


def _add(steps: dict[str, Any], step: str, counts: Mapping[str, Any]) -> None:
    """Add the counts of a step, if there are any."""
    counts = {name: count for name, count in sorted(counts.items()) if count}
    if counts:
        steps[step] = counts


def _exclude(faulty: Mapping[str, Flags], graph: Graph) -> Selection:
    """Return all rows except the faulty ones and those that depend on them."""
    keep = graph.all_rows()
    for name, flags in faulty.items():
        if name in keep:
            size = min(len(flags), len(keep[name]))
            keep[name][:size] &= ~flags[:size]
        else:
            keep[name] = ~flags
    return Selection(graph, keep)


def _no_facts(_file: str, _part: Part) -> dict[str, Flags]:
    return {}


def _blanked_columns(source: Source, columns: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the numbers of the columns that are emptied, by file."""
    blanked: dict[str, list[int]] = {}
    for name in source.files:
        names = [column["name"] for column in source.columns(name)]
        numbers = [i for i, column in enumerate(names) if f"{name}.{column}" in columns]
        if numbers:
            blanked[name] = numbers
    return blanked


def _unscoped_files(source: Source, scope: Scope, done: Done) -> tuple[str, ...]:
    """Return the files that may hold records beyond the scope."""
    files = [name for name in source.files if name != MANIFEST]
    found = [name for name in done.unreadable if name != MANIFEST]
    if chooses_rows(scope):
        # Delta files refer to records that are not in the package.
        found += [name for name in files if source.modes.get(name) == "delta"]
        found += [to for part, to in NEEDED.items() if getattr(scope, part) and to not in files]
    if any(source.is_stray(info) for info in source.others):
        found.append(ANOTHER_FILE)
    return tuple(dict.fromkeys(found)) if files or source.others else ()


def _size_and_digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest
