"""Compare the records of one kind in the last export and the new one, both as of tonight."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import State
from roster_upload.guard.hashing import Hashes, Numbers
from roster_upload.guard.limits import file_of
from roster_upload.guard.record_sets import Flags, RecordSet
from roster_upload.guard.verdict import Change

Positions = npt.NDArray[np.uint32]
States = npt.NDArray[np.uint8]
AT_ONCE = 1 << 18
RANK = np.uint64(0x9E3779B97F4A7C15)  # odd, so that each multiple is another number


@dataclass(frozen=True)
class JudgedRecords:
    """Records of one kind, ordered by their ids, and the `State` of each tonight.

    `begins` is true for records whose sessions began after the last accepted night. `names` has the
    schools by number. The other arrays are those of the `RecordSet`.
    """

    ids: Hashes
    tags: Hashes
    schools: Numbers
    identity: Numbers
    states: States
    begins: Flags
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def by_school(self) -> Counter[str]:
        """Return the number of present records of each school."""
        totals: Counter[str] = Counter()
        counts = np.zeros(len(self.names), np.int64)
        for part in _parts(len(self)):
            present = self.states[part] == State.PRESENT
            counts += np.bincount(self.schools[part][present], minlength=len(counts))
        for text, count in zip(self.names, counts.tolist(), strict=True):
            for school in _schools_of(text) if count else ():
                totals[school] += count
        return totals

    def by_content(self) -> JudgedRecords:
        """Return the same records with ids made of their tags.

        Equal tags are numbered, present records first, so that each record matches one other.
        """
        order = np.lexsort((np.uint8(State.PRESENT) - self.states, self.tags))
        ids = self.tags[order]
        is_repeated = ids[1:] == ids[:-1]
        if is_repeated.any():
            ranks = np.arange(len(ids), dtype=np.uint32)
            firsts = ranks.copy()
            firsts[1:][is_repeated] = 0
            ranks -= np.maximum.accumulate(firsts, out=firsts)
            ids += ranks * RANK
            again = np.argsort(ids)
            order, ids = order[again], ids[again]
        return replace(
            self,
            ids=ids,
            tags=ids,  # matching records have the same content
            schools=self.schools[order],
            identity=self.identity[order],
            states=self.states[order],
            begins=self.begins[order],
        )


class Roster:
    """A baseline with the states of its records tonight."""

    def __init__(
        self, baseline: Baseline, night: dt.date, last: dt.date | None, *, has_tags: bool
    ) -> None:
        """`last` is the last accepted night. Without tags, all records count as present."""
        self.baseline = baseline
        self._night, self._last, self._has_tags = night, last, has_tags

    @functools.cached_property
    def states(self) -> States:
        """Return the `State` of each calendar tonight."""
        return self.baseline.states(self._night)

    @functools.cached_property
    def _begins(self) -> Flags:
        """Return which calendars began after the last accepted night."""
        if self._last is None:
            return np.zeros(len(self.baseline.calendars), np.bool_)
        begins: Flags = self.baseline.states(self._last) == State.UPCOMING
        return begins

    def count(self, kind: str, least: State) -> int:
        """Return the number of records of a kind, or of a file, in a state or above tonight."""
        sets = self.baseline.records
        found = [sets[name] for name in sets if kind in (name, file_of(name))]
        return sum(int((one.at(self.states) >= least).sum()) for one in found)

    def records(self, kind: str) -> JudgedRecords:
        """Return the records of a kind."""
        return self.judged(self.baseline.records.get(kind, RecordSet.none()))

    def judged(self, found: RecordSet) -> JudgedRecords:
        """Return records with their states tonight."""
        begins = self._begins[found.when]
        if self._has_tags:
            states = found.at(self.states)
        else:
            states = np.full(len(found), State.PRESENT, np.uint8)
        return JudgedRecords(
            found.ids,
            found.tags,
            found.schools,
            found.identity,
            states,
            begins,
            self.baseline.schools,
        )

    def joined(self, file: str) -> JudgedRecords:
        """Return the records of all kinds of a file."""
        sets = self.baseline.records.items()
        return self.judged(RecordSet.joined([one for name, one in sets if file_of(name) == file]))


@dataclass(frozen=True)
class Difference:
    """The changes of the records of a kind.

    change     the numbers of records
    foreseen   number of added records whose sessions began after the last accepted night
    listed     number of removed records that are still in the export
    upcoming   number of records that were to begin later
    cancelled  number of upcoming records that are gone or over
    schools    number of lost records and of all records, by school
    """

    change: Change
    foreseen: int
    listed: int
    upcoming: int
    cancelled: int
    schools: Mapping[str, tuple[int, int]]

    @property
    def unforeseen(self) -> int:
        """Return the number of added records that limits apply to."""
        return self.change.added - self.foreseen

    def __add__(self, other: Difference) -> Difference:
        """Return the difference of two kinds together."""
        schools = dict(self.schools)
        for school, (lost, total) in other.schools.items():
            was_lost, was = schools.get(school, (0, 0))
            schools[school] = was_lost + lost, was + total
        return Difference(
            self.change + other.change,
            self.foreseen + other.foreseen,
            self.listed + other.listed,
            self.upcoming + other.upcoming,
            self.cancelled + other.cancelled,
            schools,
        )


class Comparison:
    """The records of one kind in two exports.

    removed, cancelled   flags of old records that are no longer present, or no longer upcoming
    added                flags of new records that were not present
    """

    def __init__(self, old: JudgedRecords, new: JudgedRecords, *, has_tags: bool) -> None:
        self.old, self.new, self._has_tags = old, new, has_tags
        self._at, found = find(old.ids, new.ids)
        now = np.where(found, self._now(new.states), np.uint8(State.OVER))
        was = old.states == State.PRESENT
        self.stays: Flags = was & (now == State.PRESENT)
        self.removed: Flags = was & (now != State.PRESENT)
        self.cancelled: Flags = (old.states == State.UPCOMING) & (now == State.OVER)
        self.added: Flags = new.states == State.PRESENT
        self.added[self._at[self.stays]] = False
        self._found, self._reunited = found, 0

    def _now(self, values: npt.NDArray[Any], part: slice = slice(None)) -> npt.NDArray[Any]:
        """Return the new value of each old record. The value of an absent record is arbitrary."""
        at = self._at[part]
        return values[at] if len(values) else np.zeros(len(at), values.dtype)

    def reunite(self, other: Comparison) -> None:
        """Count records that are now of another kind as changed, as after a change of role."""
        lost = np.flatnonzero(self.removed | self.cancelled)
        at, found = find(self.old.ids[lost], other.new.ids)
        lost, at = lost[found], at[found]
        again = self.removed[lost] & other.added[at]
        other.added[at[again]] = False
        self.removed[lost[again]] = False
        self._reunited += int(again.sum())
        self.cancelled[lost[other.new.states[at] != State.OVER]] = False

    def difference(self) -> Difference:
        """Return the changes of the records."""
        old, new = self.old, self.new
        changed = 0
        if self._has_tags:
            changed = self._reunited + sum(map(self._changed, _parts(len(old))))
        change = Change(
            int((old.states == State.PRESENT).sum()),
            int((new.states == State.PRESENT).sum()),
            int(self.added.sum()),
            int(self.removed.sum()),
            changed,
        )
        return Difference(
            change,
            int((self.added & new.begins).sum()),
            int((self.removed & self._found).sum()),
            int((old.states == State.UPCOMING).sum()),
            int(self.cancelled.sum()),
            self._schools(),
        )

    def _changed(self, part: slice) -> int:
        """Return the number of records of a part that stay with another content."""
        stays = self.stays[part]
        at = self._at[part][stays]
        return int((self.new.tags[at] != self.old.tags[part][stays]).sum()) if len(at) else 0

    def _schools(self) -> dict[str, tuple[int, int]]:
        """Return the lost and all present records of each school. A move is a loss."""
        old, new = self.old, self.new
        totals = old.by_school()
        lost: Counter[str] = Counter()
        moves = itertools.chain.from_iterable(map(self._moves, _parts(len(old))))
        for was, now, count in moves:
            stays = _schools_of(new.names[now]) if now >= 0 else set()
            for school in _schools_of(old.names[was]) - stays:
                lost[school] += count
        return {school: (lost[school], total) for school, total in totals.items()}

    @functools.cached_property
    def _same_schools(self) -> npt.NDArray[np.int64]:
        """Return the old number of each school of the new export, -1 for new schools."""
        of_text = {text: number for number, text in enumerate(self.old.names)}
        return np.array([of_text.get(text, -1) for text in self.new.names], np.int64)

    def _moves(self, part: slice) -> Iterable[tuple[int, int, int]]:
        """Yield the schools' numbers before and now (-1 for none), and the number of records."""
        was, removed = self.old.schools[part], self.removed[part]
        now = self._now(self.new.schools, part)
        moved = removed | (self.stays[part] & (self._same_schools[now] != was))
        after = np.where(removed[moved], np.int64(-1), now[moved].astype(np.int64))
        pairs = (was[moved].astype(np.int64) << 32) | (after + 1)
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True):
            yield int(pair) >> 32, (int(pair) & 0xFFFFFFFF) - 1, int(count)


def _parts(count: int) -> Iterator[slice]:
    """Yield slices of arrays. Millions of records at once need too much memory."""
    for start in range(0, count, AT_ONCE):
        yield slice(start, start + AT_ONCE)


def find(ids: Hashes, among: Hashes) -> tuple[Positions, Flags]:
    """Return the position of each id among ordered ids, and whether it is one of them."""
    at, found = np.zeros(len(ids), np.uint32), np.zeros(len(ids), np.bool_)
    if len(among):
        for part in _parts(len(ids)):
            at[part] = positions = np.minimum(np.searchsorted(among, ids[part]), len(among) - 1)
            found[part] = among[positions] == ids[part]
    return at, found


def come_back(comparisons: Sequence[Comparison]) -> int:
    """Return the number of removed records that are added again under another id."""
    gone = np.concatenate([one.old.tags[one.removed] for one in comparisons])
    new = np.concatenate([one.new.tags[one.added] for one in comparisons])
    tags, counts = np.unique(gone, return_counts=True)
    new_tags, new_counts = np.unique(new, return_counts=True)
    _, at, new_at = np.intersect1d(tags, new_tags, assume_unique=True, return_indices=True)
    return int(np.minimum(counts[at], new_counts[new_at]).sum())


def _schools_of(text: str) -> set[str]:
    """Return the schools that a record names, exactly as it names them."""
    return {school for school in text.split(",") if school.strip()}
