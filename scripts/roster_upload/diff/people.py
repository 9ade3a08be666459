"""Finds the people that are removed, added and changed between two packages.

Each file is read twice. The first pass turns each row into two hashes and a state, in arrays. The
second pass keeps the rows that differ. So memory depends on the changes more than on the roster.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from roster_upload.diff.package import Columns, Package
from roster_upload.exits import Exit, Failure
from roster_upload.guard.calendar import State
from roster_upload.spec import spec
from roster_upload.spec.formats import ONEROSTER, ROLES

# A cancelled record would have begun later. The guard counts it separately, too.
ACTIONS = ("removed", "cancelled", "added", "changed")
# Columns that are not compared, and columns whose values are never shown.
IGNORED = ("status", "dateLastModified")
SECRET = ("password",)
# File: the column with a record's schools.
SCHOOLS = {
    "orgs": "sourcedId",
    "courses": "orgSourcedId",
    "classes": "schoolSourcedId",
    "users": "orgSourcedIds",
    "enrollments": "schoolSourcedId",
}
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Wish:
    """A query. Without a kind it asks for all people, without a school for all schools."""

    school: str = ""  # sourcedId or identifier
    kind: str = ""

    def lists(self, file: str) -> bool:
        """Return whether records of a file are listed one by one."""
        return file == (self.kind.partition(".")[0] or "users")


@dataclass(frozen=True)
class Record:
    """A record that differs. `why` is the reason if it is removed but in tonight's export."""

    action: str
    kind: str
    sourced_id: str
    name: str
    schools: str
    grades: str
    changes: tuple[tuple[str, str, str], ...] = ()  # column, before, tonight
    why: str = ""


@dataclass
class Diff:
    """The requested records, the numbers of all by kind, and notes on files not compared."""

    records: list[Record] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # kind: action: number
    notes: list[str] = field(default_factory=list)


def between(old: Package, new: Package, wish: Wish) -> Diff:
    """Return the changes that `new` makes for a vendor who has `old`. Raise Failure."""
    schools = _schools(old, new, wish.school)
    diff = Diff()
    counts: Counter[tuple[str, str]] = Counter()
    for file in spec(ONEROSTER)["data_files"]:
        if file not in old.files and file not in new.files:
            continue
        if new.is_incremental and file not in new.files:
            continue  # the file stays unchanged
        if old.is_incremental and (old.is_delta(file) or file not in old.files):
            diff.notes.append(
                f"{file}: not compared, since the last accepted package lists changes only"
            )
            continue
        if schools is not None and file not in SCHOOLS:
            continue
        for record in _records(old, new, file, is_listed=wish.lists(file)):
            if schools is not None and schools.isdisjoint(record.schools.split(",")):
                continue
            if _is_of(record, wish.kind):
                counts[record.kind, record.action] += 1
                diff.records += [record] if wish.lists(file) else []
    diff.records.sort(key=lambda r: (ACTIONS.index(r.action), r.kind, r.name, r.sourced_id))
    for kind in sorted({kind for kind, _ in counts}):
        diff.counts[kind] = {action: counts[kind, action] for action in ACTIONS}
    return diff


def _is_of(record: Record, kind: str) -> bool:
    """Return whether a record is of a kind, or was before a change of its role."""
    roles = [before for column, before, _ in record.changes if column == "role"]
    file = record.kind.partition(".")[0]
    return kind in ("", file, record.kind, *(f"{file}.{role}" for role in roles))


def _schools(old: Package, new: Package, wanted: str) -> set[str] | None:
    """Return the sourcedIds of a school, None for all schools. Raise Failure if it is unknown."""
    if not wanted:
        return None
    found = {
        sourced_id
        for package in (old, new)
        for sourced_id, (_, identifier) in package.orgs.items()
        if wanted in (sourced_id, identifier)
    }
    if not found:
        raise Failure(
            Exit.USAGE,
            "no org in either package has the sourcedId or identifier given by --school. Compare "
            "it with orgs.csv",
        )
    return found


class Scan:
    """Hashes of the ids and contents of a file's rows, and their states, ordered by id."""

    def __init__(self, package: Package, file: str, names: Sequence[str]) -> None:
        ids, contents, states = array("q"), array("q"), bytearray()
        for columns, row, is_faulty in package.judged(file):
            ids.append(hash(columns.value(row, "sourcedId")))
            contents.append(hash(columns.values(row, names)))
            states.append(State.OVER if is_faulty else package.state(file, columns, row))
        self.ids, first = np.unique(np.array(ids, np.int64), return_index=True)
        self.contents = np.array(contents, np.int64)[first]
        self.states = np.frombuffer(bytes(states), np.uint8)[first]

    def at(self, ids: Integers) -> tuple[npt.NDArray[np.bool_], Integers, npt.NDArray[np.uint8]]:
        """Return whether each id exists, its content and its state. A missing id is over."""
        if not len(self.ids):
            zeros = np.zeros(len(ids), np.int64)
            return zeros != 0, zeros, np.full(len(ids), State.OVER, np.uint8)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        is_there = self.ids[at] == ids
        states = np.where(is_there, self.states[at], np.uint8(State.OVER))
        return is_there, self.contents[at], states


def _actions(old: Scan, new: Scan, *, is_delta: bool) -> dict[int, str]:
    """Return the action for each record that differs, by the hash of its id."""
    ids = np.union1d(old.ids, new.ids)
    _, had, was = old.at(ids)
    is_there, has, now = new.at(ids)
    if is_delta:  # records that are not in it stay unchanged
        now, has = np.where(is_there, now, was), np.where(is_there, has, had)
    was_present, is_present = was == State.PRESENT, now == State.PRESENT
    masks = (
        was_present & ~is_present,
        (was == State.UPCOMING) & (now == State.OVER),
        is_present & ~was_present,
        is_present & was_present & (has != had),
    )
    return {
        int(one): action for action, mask in zip(ACTIONS, masks, strict=True) for one in ids[mask]
    }


def _records(old: Package, new: Package, file: str, *, is_listed: bool) -> Iterator[Record]:
    """Yield the records of a file that differ, in full or reduced to the counted fields."""
    names = sorted({*old.header(file), *new.header(file)} - {"sourcedId", *IGNORED})
    actions = _actions(Scan(old, file, names), Scan(new, file, names), is_delta=new.is_delta(file))
    if not is_listed:
        yield from _counted(old, file, actions, ("removed", "cancelled", "changed"))
        yield from _counted(new, file, actions, ("added",))
        return
    before, after = _chosen(old, file, actions), _chosen(new, file, actions)
    people = _people(old, new, [*before.values(), *after.values()])
    titles = {key: title for package in (old, new) for key, (title, _) in package.classes.items()}
    for key, action in actions.items():
        was, now = before.get(key), after.get(key)
        # An added record was not present before, whatever its row said.
        row = (now if action == "added" else was) or {}
        changes = () if action == "added" or not was or not now else _changes(names, was, now)
        yield Record(
            action,
            _kind(file, row.get("role", "")),
            row.get("sourcedId", ""),
            _name(file, row, people, titles),
            _united(*((one or {}).get(SCHOOLS.get(file, ""), "") for one in (was, now))),
            row.get("grades", ""),
            changes,
            _why(file, new, now) if now and action in ("removed", "cancelled") else "",
        )


def _counted(
    package: Package, file: str, actions: Mapping[int, str], wanted: Sequence[str]
) -> Iterator[Record]:
    """Yield the counted fields of the records with some actions, without keeping a row."""
    for columns, row in package.rows(file):
        action = actions.get(hash(columns.value(row, "sourcedId")))
        if action in wanted:
            role, schools = columns.values(row, ("role", SCHOOLS.get(file, "")))
            yield Record(str(action), _kind(file, role), "", "", schools, "")


def _chosen(package: Package, file: str, wanted: Mapping[int, str]) -> dict[int, dict[str, str]]:
    """Return the rows of a file that are wanted, by the hash of their id."""
    found: dict[int, dict[str, str]] = {}
    for columns, row in package.rows(file):
        key = hash(columns.value(row, "sourcedId"))
        if key in wanted and key not in found:
            found[key] = dict(zip(columns.names, row, strict=False))
    return found


def _changes(
    names: Sequence[str], was: Mapping[str, str], now: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    """Return each changed column with its value before and now."""
    pairs = ((name, was.get(name, ""), now.get(name, "")) for name in names)
    return tuple(
        (name, "", "") if name in SECRET else (name, before, after)
        for name, before, after in pairs
        if before != after
    )


def _why(file: str, new: Package, now: Mapping[str, str]) -> str:
    """Return the reason why a record is removed although tonight's export has its row."""
    if now.get("status") == "tobedeleted":
        return "deleted"
    if new.state(file, Columns(list(now)), list(now.values())) is State.PRESENT:
        return "faulty"
    return "disabled" if file == "users" else "days"


def _kind(file: str, role: str) -> str:
    return f"{file}.{role}" if file in ROLES else file


def _united(*texts: str) -> str:
    """Return the distinct items of lists, joined by commas."""
    return ",".join(dict.fromkeys(item for text in texts for item in text.split(",") if item))


def _people(old: Package, new: Package, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the names of the people in rows of enrollments, by sourcedId."""
    wanted = {row["userSourcedId"] for row in rows if "userSourcedId" in row}
    found: dict[str, str] = {}
    for package in (old, new) if wanted else ():
        for columns, row in package.rows("users"):
            sourced_id, *names = columns.values(row, ("sourcedId", "givenName", "familyName"))
            if sourced_id in wanted:
                found[sourced_id] = " ".join(names)
    return found


def _name(
    file: str, row: Mapping[str, str], people: Mapping[str, str], titles: Mapping[str, str]
) -> str:
    """Return a record's name for people."""
    if file == "users":
        return f"{row.get('givenName', '')} {row.get('familyName', '')}"
    if file == "enrollments":
        person, of = row.get("userSourcedId", ""), row.get("classSourcedId", "")
        return f"{people.get(person, person)}, {titles.get(of, of)}"
    return row.get("title", "") or row.get("name", "")
