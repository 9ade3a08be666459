"""Save and load the baseline of a package: keyed hashes, states and counts.

It holds no value of a row.
"""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.calendar import ALWAYS, Calendar, Session
from roster_upload.guard.hashing import Hashes, Numbers, mark
from roster_upload.guard.record_sets import RecordSet
from roster_upload.host import atomic

VERSION = 2


class Foreign(ValueError):
    """A baseline of another program or of another host."""


# Names of a record set's arrays in a file.
ARRAYS = ("ids", "tags", "schools", "when", "present", "identity")


@dataclass
class Baseline:
    """The hashes, states and counts of a package.

    records     kind of record (`users.student`, `enrollments.teacher`, `classes`): its records
    schools     the schools of a record: no, one or several sourcedIds, with commas between
    calendars   the days of records. The first is for records without days
    rows        file: its rows
    filled      file: column: rows with more than white space in it
    modes       file: `bulk` or `delta`, of the files in the package
    crowds      enrollments of each class: hash of the class, calendar, their number
    duplicates  `users.username`, …: rows whose value also appears in an earlier row
    sessions    the academic sessions
    night       the day of the delivery (ISO 8601), "" if not known
    has_tags    whether contents, days and identities are known. Version 1 has none
    """

    records: dict[str, RecordSet] = field(default_factory=dict)
    schools: list[str] = field(default_factory=lambda: [""])
    calendars: list[Calendar] = field(default_factory=lambda: [ALWAYS])
    rows: dict[str, int] = field(default_factory=dict)
    filled: dict[str, dict[str, int]] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    crowds: tuple[Hashes, Numbers, Numbers] = field(
        default_factory=lambda: (np.zeros(0, np.uint64), *(np.zeros(0, np.uint32),) * 2)
    )
    duplicates: dict[str, int] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    night: str = ""
    has_tags: bool = True
    is_unchanged: bool = False  # a manifest alone, which announces no change

    @property
    def is_incremental(self) -> bool:
        """Return whether records outside of the package stay as they were."""
        return self.is_unchanged or "delta" in self.modes.values()

    def states(self, day: dt.date) -> npt.NDArray[np.uint8]:
        """Return the `State` of each calendar on a day."""
        return np.array([calendar.state(day) for calendar in self.calendars], np.uint8)

    def save(self, path: Path, key: bytes) -> None:
        """Write the baseline and a mark of its key to a file, safely against power cuts.

        Raise OSError.
        """
        arrays: dict[str, Any] = {}
        for number, records in enumerate(self.records.values()):
            for name in ARRAYS:
                arrays[f"{number}.{name}"] = getattr(records, name)
        for name, array in zip(("ids", "when", "counts"), self.crowds, strict=True):
            arrays[f"crowds.{name}"] = array
        facts = {
            "v": VERSION,
            "key": mark(key),
            "kinds": list(self.records),
            "schools": self.schools,
            "calendars": self.calendars,
            "rows": self.rows,
            "filled": self.filled,
            "duplicates": self.duplicates,
            "sessions": self.sessions,
            "night": self.night,
            "has_tags": self.has_tags,
        }
        arrays["told"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        with atomic.replacing(path) as out:
            np.savez(out, **arrays)

    @classmethod
    def load(cls, path: Path, key: bytes) -> Baseline:
        """Return the baseline of a file. Raise OSError, or ValueError if the file is unusable."""
        try:
            return cls._load(path, key)
        except Foreign:
            raise
        except (
            zipfile.BadZipFile,
            ValueError,
            EOFError,
            RuntimeError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            MemoryError,
            NotImplementedError,
        ) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__})") from None

    @classmethod
    def _load(cls, path: Path, key: bytes) -> Baseline:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            facts: dict[str, Any] = json.loads(stored["told"].tobytes())
            if facts["v"] not in (1, VERSION):
                raise Foreign(f"{path} was written by another version of the program")
            if facts["key"] != mark(key):
                raise Foreign(f"{path} was written with another key. Was the host set up again?")
            if facts["v"] == 1:
                return _of_version_1(facts, stored)
            records = {
                name: _checked(*(stored[f"{number}.{array}"] for array in ARRAYS))
                for number, name in enumerate(facts["kinds"])
            }
            crowds = tuple(stored[f"crowds.{name}"] for name in ("ids", "when", "counts"))
        calendars = [
            Calendar(begin, end, None if days is None else tuple((a, b) for a, b in days))
            for begin, end, days in facts["calendars"]
        ]
        for one in records.values():
            if len(one) and (
                one.when.max() >= len(calendars) or one.schools.max() >= len(facts["schools"])
            ):
                raise IndexError
        if len(crowds[1]) and crowds[1].max() >= len(calendars):
            raise IndexError
        return cls(
            records,
            facts["schools"],
            calendars,
            facts["rows"],
            facts["filled"],
            {},
            (
                crowds[0].astype(np.uint64),
                crowds[1].astype(np.uint32),
                crowds[2].astype(np.uint32),
            ),
            facts["duplicates"],
            [Session(*session) for session in facts["sessions"]],
            facts["night"],
            facts["has_tags"],
        )


def _checked(
    ids: Any, tags: Any, schools: Any, when: Any, present: Any, identity: Any
) -> RecordSet:
    """Return a record set of stored arrays. Raise TypeError or IndexError if they do not fit."""
    count = len(ids)
    if any(array.shape != (count,) for array in (ids, tags, schools, when, present)) or (
        identity.ndim != 2 or len(identity) != count
    ):
        raise IndexError
    number = (np.uint16, np.uint32)
    wanted = ((np.uint64,), (np.uint64,), number, number, (np.bool_,), (np.uint32,))
    arrays = (ids, tags, schools, when, present, identity)
    if any(array.dtype not in kinds for array, kinds in zip(arrays, wanted, strict=True)):
        raise TypeError
    return RecordSet(ids, tags, schools, when, present, np.zeros(count, np.bool_), identity)


def _of_version_1(facts: Mapping[str, Any], stored: Any) -> Baseline:
    """Return the baseline of a file of version 1: ids and schools, without days and contents."""
    records = {}
    for number, name in enumerate(facts["kinds"]):
        ids, tags = stored[f"{number}.ids"], stored[f"{number}.tags"]
        zeros = np.zeros(len(ids), np.uint32)
        schools, nobody = stored[f"{number}.places"], np.zeros((len(ids), 0), np.uint32)
        records[name] = _checked(ids, tags, schools, zeros, np.ones(len(ids), np.bool_), nobody)
        if len(ids) and schools.max() >= len(facts["places"]):
            raise IndexError
    return Baseline(records, facts["places"], rows=facts["rows"], filled=facts["filled"],
                    has_tags=False)  # fmt: skip
