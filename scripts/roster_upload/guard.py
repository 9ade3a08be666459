"""The guard: compares an export with the last accepted one, and holds what would wipe a district.

The vendor takes what it gets as the truth, so a truncated export removes people. Limits are by
share and by number, for each kind of record and for each school; some things are always held. What
is held changes nothing at the vendor, and an operator who has looked can let exactly that file
through.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.census import Census, Kind
from roster_upload.config import Feed, Span

SCHOOLS_TOLD = 5
# A school that empties is told from this many records on; a column, from this share of rows on.
SCHOOL_RECORDS = 5
FILLED_PERCENT = 10
# Where so many ids are gone and as many are new, the SIS has given everyone a new one.
REKEYED_PERCENT = 50


@dataclass(frozen=True)
class Change:
    """How many records of a kind there were and are, and what became of them."""

    before: int
    now: int
    added: int
    removed: int
    changed: int

    def percent(self, count: int) -> float:
        """A number of records as a share of those that there were."""
        return 100 * count / self.before if self.before else 0.0


@dataclass(frozen=True)
class Limits:
    """The most that may be removed, added and changed, in percent; so few count as nothing."""

    removed: int
    added: int
    changed: int
    removed_count: int
    floor: int

    @classmethod
    def of(cls, feed: Feed, today: dt.date) -> Limits:
        """Those of a feed on a day: wider within its expected changes, and no longer."""
        wide = feed.expected_percent if expected(feed, today) else 0
        return cls(
            max(feed.guard_removed_percent, wide),
            max(feed.guard_added_percent, wide),
            max(feed.guard_changed_percent, wide),
            0 if wide else feed.guard_removed_count,
            feed.guard_floor,
        )


@dataclass(frozen=True)
class Verdict:
    """What has changed by kind, and each reason to hold the export as a sentence."""

    changes: Mapping[str, Change]
    reasons: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The changes as JSON values."""
        return {kind: asdict(change) for kind, change in self.changes.items()}


def expected(feed: Feed, today: dt.date) -> Span | None:
    """The window of expected change that a day lies in."""
    return next((span for span in feed.expected_changes if today in span), None)


def judge(feed: Feed, old: Census | None, new: Census, today: dt.date) -> Verdict:
    """Compares an export with the last accepted one; without one, only the minima count."""
    before = old or Census()
    changes: dict[str, Change] = {}
    reasons: list[str] = []
    limits = Limits.of(feed, today)
    after = accepted(old, new)
    for name in dict.fromkeys([*before.kinds, *after.kinds]):
        if new.is_incremental and _file(name) not in new.rows:
            continue
        comparison = Comparison(
            before.kinds.get(name, Kind.none()), after.kinds.get(name, Kind.none())
        )
        changes[name] = comparison.change
        if old:
            reasons += _of_kind(name, comparison.change, limits)
            reasons += _of_schools(name, comparison, before, after, limits)
    for name in dict.fromkeys([*before.rows, *after.rows]):
        if not any(_file(kind) == name for kind in changes):
            if new.is_incremental and name not in new.rows:
                continue
            changes[name] = _by_count(before.rows.get(name, 0), after.rows.get(name, 0))
            if old:
                reasons += _of_kind(name, changes[name], limits)
    if old:
        reasons = [*_of_files(before, new), *reasons]
    if not new.is_incremental:
        reasons += _of_minima(feed, changes)
    return Verdict(changes, tuple(reasons))


def accepted(old: Census | None, new: Census) -> Census:
    """What the vendor holds once an export is in: a delta's changes are added to what was there."""
    if not new.is_incremental:
        return new
    old = old or Census()
    places = list(old.places)
    kinds: dict[str, Kind] = {}
    for name, kind in old.kinds.items():
        if _file(name) not in new.rows:
            kinds[name] = kind
        elif _file(name) in new.delta:
            # Who is of another kind now is no longer of this one.
            told = [k.ids for n, k in new.kinds.items() if _file(n) == _file(name)]
            kinds[name] = kind.take(~np.isin(kind.ids, np.concatenate(told))) if told else kind
    for name, kind in new.kinds.items():
        shifted = Kind(kind.ids, kind.tags, kind.places + np.uint32(len(places)), kind.gone)
        kinds[name] = Kind.joined(kinds.get(name, Kind.none()), shifted.take(~shifted.gone))
    kinds = {name: kind for name, kind in kinds.items() if len(kind)}
    rows = {**old.rows, **dict.fromkeys(new.rows, 0)}
    for name, kind in kinds.items():
        if _file(name) in new.rows:
            rows[_file(name)] += len(kind)
    return Census(kinds, places + new.places, rows, {**new.filled, **old.filled})


class Comparison:
    """One kind of record, then and now."""

    def __init__(self, old: Kind, new: Kind) -> None:
        self.old, self.new = old, new
        at = np.minimum(np.searchsorted(new.ids, old.ids), max(len(new) - 1, 0))
        found = new.ids[at] == old.ids if len(new) else np.zeros(len(old), np.bool_)
        self._at = at
        self.found: npt.NDArray[np.bool_] = found
        self.removed = ~found
        stays, removed = int(found.sum()), int(self.removed.sum())
        changed = int((new.tags[at] != old.tags)[found].sum()) if len(new) else 0
        self.change = Change(len(old), len(new), len(new) - stays, removed, changed)

    def left_schools(self, old: Census, new: Census) -> Iterator[tuple[str, int, int]]:
        """Each school that lost records of this kind: its sourcedId, how many, of how many."""
        total: dict[str, int] = {}
        for place, count in enumerate(np.bincount(self.old.places, minlength=len(old.places))):
            for school in _schools(old.places[place]):
                total[school] = total.get(school, 0) + int(count)
        numbers = {text: number for number, text in enumerate(old.places)}
        same = np.array([numbers.get(text, -1) for text in new.places] or [-1], np.int64)
        places = self.new.places[self._at] if len(self.new) else np.zeros(len(self.old), np.int64)
        moved = self.removed | (self.found & (same[places] != self.old.places))
        pairs = (self.old.places[moved].astype(np.uint64) << np.uint64(32)) | np.where(
            self.removed[moved], 0, places[moved] + 1
        ).astype(np.uint64)
        lost: dict[str, int] = {}
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True):
            was, is_ = int(pair) >> 32, int(pair) & 0xFFFFFFFF
            now = _schools(new.places[is_ - 1]) if is_ else set()
            for school in _schools(old.places[was]) - now:
                lost[school] = lost.get(school, 0) + int(count)
        for school, count in lost.items():
            yield school, count, total[school]


def _file(kind: str) -> str:
    return kind.partition(".")[0]


def _schools(text: str) -> set[str]:
    return {school.strip() for school in text.split(",")} - {""}


def _by_count(before: int, now: int) -> Change:
    return Change(before, now, max(now - before, 0), max(before - now, 0), 0)


def _of_kind(name: str, change: Change, limits: Limits) -> Iterator[str]:
    if change.before and not change.now:
        yield f"{name}: all {change.before:,} are gone"
        return
    if (
        min(change.removed, change.added) > limits.floor
        and change.percent(change.removed) >= REKEYED_PERCENT
        and change.percent(change.added) >= REKEYED_PERCENT
        and change.percent(change.removed) > limits.removed
    ):
        yield (
            f"{name}: {change.removed:,} of {change.before:,} sourcedIds are gone and "
            f"{change.added:,} are new; the SIS seems to have given everyone a new sourcedId, "
            "which would make new accounts and lose the history of the old ones"
        )
        return
    for count, limit, word in (
        (change.removed, limits.removed, "would be removed"),
        (change.added, limits.added, "would be added"),
        (change.changed, limits.changed, "would be changed"),
    ):
        if count > limits.floor and change.before and change.percent(count) > limit:
            yield (
                f"{name}: {count:,} of {change.before:,} {word} ({change.percent(count):.1f} %); "
                f"the limit is {limit} %"
            )
    if 0 < limits.removed_count < change.removed:
        yield (
            f"{name}: {change.removed:,} would be removed; the limit is {limits.removed_count:,}"
        )


def _of_schools(
    name: str, comparison: Comparison, old: Census, new: Census, limits: Limits
) -> Iterator[str]:
    """A school that loses much of a kind, though it may be little of the district."""
    if not comparison.change.now:
        return  # told of the whole kind
    told = []
    for school, lost, total in comparison.left_schools(old, new):
        is_empty = lost == total >= SCHOOL_RECORDS and limits.removed < 100
        if is_empty or (lost > limits.floor and 100 * lost / total > limits.removed):
            told.append(f"{name}: the school {school} would lose {lost:,} of {total:,}")
    yield from told[:SCHOOLS_TOLD]
    if len(told) > SCHOOLS_TOLD:
        yield f"{name}: {len(told) - SCHOOLS_TOLD} more schools would lose as much"


def _of_files(old: Census, new: Census) -> Iterator[str]:
    """Files that are gone, and columns that have become empty."""
    if new.is_incremental:
        return
    for name, rows in old.rows.items():
        if rows and name not in new.rows:
            yield f"{name}.csv was in the last accepted export ({rows:,} rows) and is gone"
    for name, columns in old.filled.items():
        for column, count in columns.items():
            is_now = new.filled.get(name, {}).get(column)
            if (
                is_now == 0
                and new.rows.get(name)
                and 100 * count >= FILLED_PERCENT * old.rows[name]
            ):
                yield (
                    f"{name}.csv: the column {column} is empty in every row; {count:,} of "
                    f"{old.rows[name]:,} rows had a value"
                )


def _of_minima(feed: Feed, changes: Mapping[str, Change]) -> Iterator[str]:
    for name, least in feed.guard_minimum.items():
        if feed.format == "oneroster-1.1" or name in changes:
            now = changes[name].now if name in changes else 0
            if now < least:
                yield f"{name}: {now:,} in all; guard_minimum asks for {least:,}"
