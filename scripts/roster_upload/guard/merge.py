"""Merge a package into the last baseline, as the vendor applies it.

A whole file replaces the old records, a delta changes them, and an absent file keeps them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Session
from roster_upload.guard.hashing import Numbers
from roster_upload.guard.limits import file_of
from roster_upload.guard.record_sets import RecordSet

DELTA = "delta"


def is_bulk(package: Baseline, file: str) -> bool:
    """Return whether a package has the whole file, not a delta."""
    return file in package.rows and package.modes.get(file) != DELTA


def accepted(old: Baseline | None, new: Baseline) -> Baseline:
    """Return the vendor's roster after a package, as a baseline of whole files."""
    old = old or Baseline()
    if new.is_unchanged:
        return old
    if not new.is_incremental:
        return new
    schools, school_numbers = _united(old.schools, new.schools)
    calendars, calendar_numbers = _united(old.calendars, new.calendars)
    renumbered = {
        kind: replace(
            found, schools=school_numbers[found.schools], when=calendar_numbers[found.when]
        )
        for kind, found in new.records.items()
    }
    records = _records(old, new, renumbered)
    crowds = old.crowds
    if is_bulk(new, "enrollments"):
        crowds = (new.crowds[0], calendar_numbers[new.crowds[1]], new.crowds[2])
    return Baseline(
        records,
        schools,
        calendars,
        _rows(old, new, records),
        {**new.filled, **_kept(old.filled, new)},
        {},
        crowds,
        {**new.duplicates, **_kept(old.duplicates, new)},
        _sessions(old, new),
        new.night,
        old.has_tags and new.has_tags,
    )


def _united(old: list[Any], new: list[Any]) -> tuple[list[Any], Numbers]:
    """Return the items of both lists, and the position of each new item among them."""
    numbers = {item: number for number, item in enumerate(old)}
    at = [numbers.setdefault(item, len(numbers)) for item in new]
    return list(numbers), np.array(at, np.uint32)


def _kept(values: dict[str, Any], new: Baseline) -> dict[str, Any]:
    """Return the old values of the files that a package does not replace."""
    return {name: value for name, value in values.items() if not is_bulk(new, file_of(name))}


def _records(old: Baseline, new: Baseline, changes: dict[str, RecordSet]) -> dict[str, RecordSet]:
    """Return the records by kind. A record of another kind now leaves its old kind."""
    records = {}
    for kind, found in _kept(old.records, new).items():
        listed = [one.ids for name, one in changes.items() if file_of(name) == file_of(kind)]
        records[kind] = found.take(~np.isin(found.ids, np.concatenate(listed))) if listed else found
    for kind, found in changes.items():
        stays = found.take(~found.gone)
        records[kind] = RecordSet.joined([records.get(kind, RecordSet.none()), stays])
    return {kind: found for kind, found in records.items() if len(found)}


def _rows(old: Baseline, new: Baseline, records: dict[str, RecordSet]) -> dict[str, int]:
    rows = {**old.rows, **new.rows}
    for file in new.rows:
        if not is_bulk(new, file):
            rows[file] = sum(len(one) for kind, one in records.items() if file_of(kind) == file)
    return rows


def _sessions(old: Baseline, new: Baseline) -> list[Session]:
    """Return the sessions. Classes that are not replaced refer to the same ones as before."""
    listed = new.sessions
    if not is_bulk(new, "academicSessions"):
        listed = [*old.sessions, *new.sessions]
    used = {one[:3] for one in new.sessions if one.is_used}
    if not is_bulk(new, "classes") or not is_bulk(new, "academicSessions"):
        used |= {one[:3] for one in old.sessions if one.is_used}
    return [Session(*days, days in used) for days in dict.fromkeys(one[:3] for one in listed)]
