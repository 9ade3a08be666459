"""The ledger: all receipts of a feed, append-only, each chained to the one before.

A run writes a `begun` line at its start, and another one before anything may reach the vendor. At
its end it writes a receipt, or an `ended` line without a receipt. A run with `begun` lines alone
was killed, unless it is still under way.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from roster_upload.host import atomic, locks
from roster_upload.host.account import open_plain, read_plain
from roster_upload.records.chain import DIGEST_KEPT, DIGESTS_KEPT, Chain, LedgerKey, Line
from roster_upload.records.history import History
from roster_upload.records.parts import KeyCheck
from roster_upload.records.plain_json import plain
from roster_upload.records.receipt import OF_A_LINE, VERSION, Outcome, Receipt
from roster_upload.records.schema import Misfit, moment

MODE = 0o640
# Pruning: the last lines tell the present time. A wrong clock removes only a few lines.
LAST_LINES = 20
PRUNED_AT_ONCE = 30


class Ledger:
    """All receipts of one feed, one JSON object a line. It holds no personal data."""

    def __init__(self, folder: Path, key: LedgerKey | None = None) -> None:
        self.path = folder / "receipts.jsonl"
        self.key = key  # None outside of the feed's units

    # ---- reading ---------------------------------------------------------------------------------

    def entries(self) -> list[Line]:
        """Return each readable line, oldest first."""
        return [line for line in self._lines() if line.values is not None]

    def _lines(self) -> list[Line]:
        """Return each line. The last one is complete even if only its newline is missing."""
        try:
            data = read_plain(self.path)
        except FileNotFoundError:
            return []
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return [Line(number, line, _read(line)) for number, line in enumerate(lines, 1)]

    def damaged(self) -> list[int]:
        """Return the numbers of unusable lines, except torn ones.

        A torn line is the beginning of a receipt. It is the last line, or the next line has the
        key `torn`.
        """
        lines = self._lines()
        found = []
        for at, (number, line, values) in enumerate(lines):
            follower = lines[at + 1].values if at + 1 < len(lines) else {"torn": True}
            is_torn = line.startswith(b"{") and b"\0" not in line and (follower or {}).get("torn")
            if not (is_torn if values is None else _is_usable(values)):
                found.append(number)
        return found

    def records(self) -> list[Receipt]:
        """Return all readable lines, oldest first, including those that are no receipts."""
        return [line.receipt for line in self.entries()]

    def receipts(self) -> list[Receipt]:
        """Return all receipts, oldest first. A killed run has one, too."""
        records = self.records()
        if not unfinished(records):
            return _ends(records, ())
        # A run that ended meanwhile has its last line now. A run under way holds its lock.
        is_busy = locks.is_held(self.path.parent)
        records = self.records()
        left = unfinished(records)
        return _ends(records, left[: -1 if is_busy else None])

    def history(self) -> History:
        """Return all receipts as a history. Raise OSError."""
        return History.of(self.receipts())

    def under_way(self) -> Receipt | None:
        """Return the last `begun` line of the run that is under way, or None without such a run."""
        is_busy = locks.is_held(self.path.parent)
        left = unfinished(self.records())
        return left[-1] if left and is_busy else None

    def accepted(self) -> list[Receipt]:
        """Return the receipts of the files that the vendor received, oldest first."""
        return [record for record in self.records() if record.is_sent]

    def approval(self, sha256: str, reset: str = "") -> Receipt | None:
        """Return the approval of a held export, unless it was used already.

        After the vendor's `reset` (its day), an approval from before it counts no longer. The
        export has to be held again first.
        """
        found, is_held = None, not reset
        for receipt in self.records():
            if receipt.outcome is Outcome.HELD and receipt.source.sha256 == sha256:
                is_held |= receipt.reset == reset
            elif receipt.outcome is Outcome.APPROVED and receipt.digest == sha256:
                found = receipt if is_held else None
            elif receipt.is_sent and receipt.source.sha256 == sha256:
                found = None
        return found

    def first_break(self) -> int | None:
        """Return the number of the first line whose chain is broken, or None."""
        return next((line.number for _, line in self.chain().broken_links()), None)

    def chain(self) -> Chain:
        """Return the chain of the lines. Raise OSError."""
        return Chain(self.entries())

    def key_check(self) -> KeyCheck | None:
        """Return the check of the lines with the key, or None without a key. Raise OSError."""
        if not self.key:
            return None
        chain = self.chain()
        return KeyCheck(chain.length, tuple(chain.keys(self.key)))

    # ---- writing ---------------------------------------------------------------------------------

    def append(self, receipt: Receipt) -> None:
        """Append a receipt that survives a power cut. Raise OSError.

        It can hold any value. Values without a form in JSON become text.
        """
        with self._opened() as out:
            descriptor = out.fileno()
            lines = self._lines()
            whole = [line for line in lines if line.values is not None]
            record = plain(receipt.to_json())
            record = {name: value for name, value in record.items() if name not in OF_A_LINE}
            record |= {"v": VERSION, "previous": whole[-1].digest if whole else ""}
            size = os.fstat(descriptor).st_size
            has_end = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
            if not has_end and lines[-1].values is None:
                record["torn"] = True
            if self.key and all(line.key != self.key.id for line in whole):
                record["new_key"] = True
            line = self._written(record, self.key)
            if size == 0:
                os.fchmod(descriptor, MODE)  # independent of the umask
            out.write(line if has_end else b"\n" + line)
            out.flush()
            os.fsync(descriptor)
        if size == 0:  # after a power cut the name leads to this file
            atomic.sync(self.path.parent)

    def _opened(self) -> BinaryIO:
        """Return the file, locked. A start that finds the feed busy writes a receipt, too."""
        while True:
            descriptor = open_plain(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            out = os.fdopen(descriptor, "ab")
            fcntl.flock(out, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return out
            out.close()  # it was replaced by a shorter one meanwhile

    def close_killed(self) -> list[Receipt]:
        """Append and return the receipts of killed runs. Raise OSError.

        The caller holds the feed's lock, so none of them is under way.
        """
        found = [begun.killed() for begun in unfinished(self.records())]
        for receipt in found:
            self.append(receipt)
        return found

    def prune(self, keep: dt.timedelta, now: dt.datetime) -> int:
        """Remove some receipts that are older than `keep`. Return their number. Raise OSError.

        The age is measured against the last lines. So one run with a wrong clock removes nothing.
        The first line then has the number of removed lines and the SHA-256 of the last one. The
        next line is chained to that. Two receipts always stay: the last one, and the last one of
        a file that the vendor received. The guard compares with that file.
        """
        with self._opened():
            atomic.remove_leftovers(self.path)
            lines = self._lines()
            count = _prunable(lines, keep, now)
            gone = Chain([line for line in lines[:count] if line.values is not None])
            if not gone.lines or (not self.key and any(line.key for line in lines)):
                return 0
            data = self._written(_mark(gone), self._key_of_mark(lines, gone.entries))
            data += b"".join(line.data + b"\n" for line in lines[count:])
            atomic.replace(self.path, data, mode=MODE)
        return len(gone.lines)

    def _key_of_mark(self, lines: Sequence[Line], gone: Sequence[Line]) -> LedgerKey | None:
        """Return the key for the mark of a pruning, or None.

        The mark vouches for what it replaces. So it has no key if that had none, or a forged one.
        """
        if not self.key or all(line.key != self.key.id for line in gone):
            return None
        entries = [line for line in lines if line.values is not None]
        is_forged = any(found.code == "start" for found in Chain(entries).keys(self.key))
        return None if is_forged else self.key

    @staticmethod
    def _written(record: Mapping[str, Any], key: LedgerKey | None) -> bytes:
        """Return the line of a record, with the MAC of a key."""
        record = {**record, "key": key.id} if key else record
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line = text.encode()
        return (key.sealed(line) if key else line) + b"\n"


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, or None without one."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _is_usable(values: Mapping[str, Any]) -> bool:
    """Return whether a line has an outcome and, if a file was sent, its digest."""
    receipt = Receipt.parse(values)
    is_known = isinstance(values.get("outcome"), str)
    return is_known and (not receipt.is_sent or bool(receipt.sent_file.sha256))


def _mark(gone: Chain) -> dict[str, Any]:
    """Return the mark in the place of pruned lines.

    Only the first line can stand for others. Any other line is one, whatever it says of itself.
    """
    digests = [*(gone.mark.removed if gone.mark else ()), *_halves(gone)]
    last = gone.lines[-1]
    return {
        "v": VERSION,
        "outcome": Outcome.PRUNED.value,
        "lines": gone.length,
        "finished": last.receipt.finished,
        "removed": digests[-DIGESTS_KEPT:],
        "previous": "",
        "continues": last.digest,
    }


def _halves(chain: Chain) -> list[str]:
    """Return the first half of each line's digest."""
    return [line.digest[:DIGEST_KEPT] for line in chain.lines]


def unfinished(records: Sequence[Receipt]) -> list[Receipt]:
    """Return the `begun` lines of each run without an end, joined, oldest first."""
    found: dict[str, Receipt] = {}
    for record in records:
        was = found.pop(record.run, None)
        if record.outcome is Outcome.BEGUN:
            found[record.run] = was.continued(record) if was else record
    return list(found.values())


def _ends(records: Sequence[Receipt], dead: Sequence[Receipt]) -> list[Receipt]:
    """Return the receipts among lines. That of a killed run is in the place of its start."""
    runs = {begun.run: begun for begun in dead if begun.run}
    found = []
    for record in records:
        if not record.is_mark:
            found.append(record)
        elif record.outcome is Outcome.BEGUN and (begun := runs.pop(record.run, None)):
            found.append(begun.killed())
    return found


def _prunable(lines: Sequence[Line], keep: dt.timedelta, now: dt.datetime) -> int:
    """Return the number of first lines that can be removed now."""
    stamps = [_finished(line.values) for line in lines]
    known = sorted(stamp for stamp in stamps[-LAST_LINES:] if stamp)
    if not known:
        return 0
    # Three quarters of the last lines have to be this late or later.
    present = min(now, known[(len(known) - 1) // 4])
    sent = [n for n, line in enumerate(lines) if line.values and line.receipt.is_sent]
    last = min([len(lines) - 1, PRUNED_AT_ONCE, *sent[-1:]])
    count = 0
    for at, stamp in enumerate(stamps[:last]):
        if stamp and stamp < present - keep:
            count = at + 1
        elif stamp and stamp <= present:
            break
        # A damaged line, or one from the future, is removed if an old line follows it.
    return count


def _finished(values: Mapping[str, Any] | None) -> dt.datetime | None:
    """Return the time at which a receipt was written, or None without one."""
    try:
        return dt.datetime.fromisoformat(moment((values or {}).get("finished")))
    except Misfit:
        return None
