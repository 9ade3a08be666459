"""The chain of a ledger: each line's position and digest, the host's key, and what breaks them.

A line has the SHA-256 of the line before. A line that the feed's unit writes also has a MAC over
itself, with a key that is derived from the key of the feed's state. So whoever lacks that key can
edit a line only by leaving a break.

A position counts the lines since the feed's first one, those that were pruned included.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from roster_upload.exits import Failure
from roster_upload.host.credentials import credential
from roster_upload.records.night import night_name
from roster_upload.records.parts import Break
from roster_upload.records.receipt import Outcome, Receipt

FIRST_KEYED_VERSION = 3  # of the table of receipts
DIGESTS_KEPT = 200  # of pruned lines, so that a control node can compare what it saw last
DIGEST_KEPT = 32  # characters
MOST_BREAKS = 50
MOST_LINES = 1 << 53
MAC = re.compile(rb',"mac":"([0-9a-f]{64})"}')
MAC_LENGTH = 74  # bytes of the text that MAC matches
# Outcomes of lines that are also written where nobody has the key: approvals, starts, and the
# reports of watcher and alarm.
WITHOUT_KEY = (Outcome.APPROVED, Outcome.BEGUN, Outcome.FAILED)


class Line(NamedTuple):
    """A line of the file: its number, its bytes, and its JSON object, or None without one."""

    number: int
    data: bytes
    values: dict[str, Any] | None

    @property
    def receipt(self) -> Receipt:
        """Return the line as a receipt."""
        return Receipt.parse(self.values or {})

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the line."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def key(self) -> object:
        """Return the id of the key in the line, or None without one."""
        return (self.values or {}).get("key")

    @property
    def has_new_key(self) -> bool:
        """Return whether the program knew of no line before with the key of this one."""
        return (self.values or {}).get("new_key") is True

    @property
    def removed(self) -> list[str]:
        """Return the first halves of the last pruned lines' digests, in the mark of a pruning."""
        found = (self.values or {}).get("removed")
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    @property
    def is_mark(self) -> bool:
        """Return whether the line stands for pruned lines."""
        return (self.values or {}).get("outcome") == Outcome.PRUNED.value


class LedgerKey:
    """The key of a ledger's lines. Nothing else uses it."""

    def __init__(self, state_key: bytes) -> None:
        self._key = hashlib.blake2b(b"ledger", key=state_key, digest_size=32).digest()
        self.id = hashlib.blake2b(b"ledger id", key=state_key, digest_size=8).hexdigest()

    @classmethod
    def of_unit(cls, feed: str) -> Self | None:
        """Return the key of a feed, or None outside of a unit that has it."""
        try:
            state_key = credential(feed, "state")
        except Failure:
            return None
        return cls(state_key) if state_key else None

    def sealed(self, line: bytes) -> bytes:
        """Return a line, a JSON object, with its MAC as the last value."""
        return line[:-1] + b',"mac":"' + self._mac(line).encode() + b'"}'

    def has_sealed(self, line: bytes) -> bool:
        """Return whether a line has the MAC of this key."""
        found = MAC.fullmatch(line[-MAC_LENGTH:])
        if not found:
            return False
        return hmac.compare_digest(self._mac(line[:-MAC_LENGTH] + b"}"), found[1].decode())

    def _mac(self, line: bytes) -> str:
        return hmac.new(self._key, line, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Chain:
    """The readable lines of a ledger, oldest first. The first one may be the mark of a pruning."""

    entries: Sequence[Line]

    @cached_property
    def mark(self) -> Line | None:
        """Return the mark of a pruning, or None without one."""
        return self.entries[0] if self.entries and self.entries[0].is_mark else None

    @cached_property
    def lines(self) -> Sequence[Line]:
        """Return the lines without the mark."""
        return self.entries[1:] if self.mark else self.entries

    @cached_property
    def pruned(self) -> int:
        """Return the number of pruned lines, as the mark has it."""
        count = self.mark.receipt.lines if self.mark else 0
        return count if count is not None and 0 <= count < MOST_LINES else 0

    @property
    def length(self) -> int:
        """Return the position of the last line."""
        return self.pruned + len(self.lines)

    def digest_at(self, position: int) -> str:
        """Return the SHA-256 of a line, its first half for a pruned one, or "" if it is unknown."""
        if self.pruned < position <= self.length:
            return self.lines[position - self.pruned - 1].digest
        if not self.mark or not 0 < position <= self.pruned:
            return ""
        if position == self.pruned:
            return self.mark.receipt.continues
        kept = self.mark.removed
        back = self.pruned - position
        return kept[-back - 1] if back < len(kept) else ""

    # ---- breaks ----------------------------------------------------------------------------------

    def broken_links(self) -> Iterator[tuple[int, Line]]:
        """Yield each line that is not chained to the one before, with its index.

        Only the mark of a pruning can stand for other lines.
        """
        previous: object = ""
        for index, line in enumerate(self.entries):
            values = line.values or {}
            if values.get("previous") != previous:
                yield index, line
            previous = values.get("continues") if line is self.mark else line.digest

    def links(self) -> list[Break]:
        """Return the breaks that show without the key."""
        found = itertools.islice(self.broken_links(), MOST_BREAKS)
        return [self._break("link", index, line) for index, line in found]

    def keys(self, key: LedgerKey) -> list[Break]:
        """Return the breaks that only the key shows."""
        return list(itertools.islice(self._wrong_keys(key), MOST_BREAKS))

    def _wrong_keys(self, key: LedgerKey) -> Iterator[Break]:
        """Yield the lines that the key does not fit.

        Lines before the first one with this key count as history without a key. That one has the
        mark `new_key`, or is the mark of a pruning.
        """
        is_begun = False  # a line before has this key
        for index, line in enumerate(self.entries):
            if line.key != key.id:
                if (is_begun or _is_newer(line)) and (code := _lack(line)):
                    yield self._break(code, index, line)
            elif not key.has_sealed(line.data):
                yield self._break("mac", index, line)
            else:
                if not (is_begun or line is self.mark or line.has_new_key):
                    yield Break(code="start", night=line.receipt.night)
                is_begun = True

    def _break(self, code: str, index: int, line: Line) -> Break:
        """Return the break at a line."""
        position = self.pruned + index + (0 if self.mark else 1)
        return Break(code=code, position=position, night=line.receipt.night)

    def number_of(self, position: int) -> int:
        """Return the number of a position's line in the file, or 0 if it was pruned."""
        if self.pruned < position <= self.length:
            return self.lines[position - self.pruned - 1].number
        return 0


def _is_newer(line: Line) -> bool:
    """Return whether a program that keys its lines has written a line without any key."""
    version = (line.values or {}).get("v")
    is_newer = type(version) is int and version >= FIRST_KEYED_VERSION
    return is_newer and line.key is None and not line.is_mark


def _lack(line: Line) -> str:
    """Return why a line without the feed's key is a break, or "" if it needs no key."""
    if line.key is not None:
        return "other_key"
    return "" if line.receipt.outcome in WITHOUT_KEY else "no_key"


# ---- for people ----------------------------------------------------------------------------------

WORDS = {
    "link": "is not chained to the line before it",
    "mac": "was changed: its key does not fit",
    "no_key": "has no key, though the program gives it one",
    "other_key": "has the key of another host",
}
START = "the lines before the first one with this host's key were replaced"


def break_text(found: Break, number: int) -> str:
    """Return what is wrong at a break. `number` is the line's number in the file, or 0."""
    if found.code == "start":
        return START
    night = f" ({night_name(found.night)})" if found.night else ""
    return f"line {number or found.position}{night} {WORDS.get(found.code, 'was changed')}"
