"""Receipts: the record of each delivery of a feed, append-only, each chained to the one before.

A run has two kinds of lines. `begun` lines say what it is about to do: one at its start, one
before anything may reach the vendor. Its receipt says how it ended, or an `ended` line where there
is nothing to say. A run with a `begun` line alone was killed, unless it is still under way.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from roster_upload.exits import Exit
from roster_upload.host import atomic, locks
from roster_upload.host.account import open_plain, read_plain
from roster_upload.records.receipts import sent_sha256
from roster_upload.records.record import Misfit, healed, moment, plain

VERSION = 2
MODE = 0o640
BEGUN, ENDED, PRUNED = "begun", "ended", "pruned"
MARKS = (BEGUN, ENDED, PRUNED)  # outcomes of lines that are no receipts
# Pruning: the last lines agree on the present, and a wrong clock costs no more than a few lines.
LAST_LINES = 20
PRUNED_AT_ONCE = 30
KILLED = "the run of {started} was killed before its end: by the system (out of memory), a signal, "
KILLED += "or a power cut; {holds}"
NOTHING_SENT = "nothing was sent"
MAY_HOLD = "the vendor may hold its file"

Entry = tuple[int, bytes, dict[str, Any]]


class Ledger:
    """All receipts of one feed, one JSON object a line; no personal data is ever in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "receipts.jsonl"

    def entries(self) -> list[Entry]:
        """Number, bytes and content of each line that can be read, the oldest first."""
        return [(n, line, receipt) for n, line, receipt in self._lines() if receipt is not None]

    def _lines(self) -> list[tuple[int, bytes, dict[str, Any] | None]]:
        """Number, bytes and content of each line; the content is None where it is no receipt.

        The last line counts as whole where only its newline is torn off.
        """
        try:
            data = read_plain(self.path)
        except FileNotFoundError:
            return []
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return [(number, line, _read(line)) for number, line in enumerate(lines, 1)]

    def damaged(self) -> list[int]:
        """Return the numbers of lines that cannot be used as receipts, but for torn ones.

        A torn line is the beginning of a receipt. It is the last one, or the next says that it was
        torn.
        """
        lines = self._lines()
        found = []
        for at, (number, line, receipt) in enumerate(lines):
            follower = lines[at + 1][2] if at + 1 < len(lines) else {"torn": True}
            is_torn = line.startswith(b"{") and b"\0" not in line and (follower or {}).get("torn")
            if not (is_torn if receipt is None else _is_usable(receipt)):
                found.append(number)
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return all lines that can be read, the oldest first, with the types of receipts."""
        return [healed(receipt) for _, _, receipt in self.entries()]

    def receipts(self) -> list[dict[str, Any]]:
        """Return all receipts, the oldest first. A run that was killed has one, too."""
        records = self.records()
        if not unfinished(records):
            return _ends(records, ())
        # Who looked before it ended finds its end now; who looks while it runs finds its lock.
        is_busy = locks.is_held(self.path.parent)
        records = self.records()
        left = unfinished(records)
        return _ends(records, left[: -1 if is_busy else None])

    def under_way(self) -> dict[str, Any] | None:
        """Return the last `begun` line of the run that is under way. None where none is."""
        is_busy = locks.is_held(self.path.parent)
        left = unfinished(self.records())
        return left[-1] if left and is_busy else None

    def close_killed(self) -> list[dict[str, Any]]:
        """Add and return the receipts of runs that were killed. Raise OSError.

        The caller holds the feed's lock, so none of them is under way.
        """
        found = [killed(begun) for begun in unfinished(self.records())]
        for receipt in found:
            self.append(receipt)
        return found

    def accepted(self) -> list[dict[str, Any]]:
        """The receipts of what the vendor has got, the oldest first."""
        return [record for record in self.records() if record["outcome"] == "sent"]

    def approval(self, sha256: str) -> dict[str, Any] | None:
        """The approval of an export that was held, unless it was used already."""
        found = None
        for receipt in self.records():
            if receipt["outcome"] == "approved" and receipt.get("digest") == sha256:
                found = receipt
            elif receipt["outcome"] == "sent" and receipt["source"].get("sha256") == sha256:
                found = None
        return found

    def append(self, receipt: Mapping[str, Any]) -> None:
        """Adds a receipt so that it outlives a power cut; raises OSError where it cannot.

        Any value can be in it: what JSON cannot say becomes text.
        """
        with self._opened() as out:
            descriptor = out.fileno()
            lines = self._lines()
            whole = [line for _, line, receipt in lines if receipt is not None]
            previous = hashlib.sha256(whole[-1]).hexdigest() if whole else ""
            record = {"v": VERSION, **plain(receipt), "previous": previous}
            record.pop("torn", None)
            size = os.fstat(descriptor).st_size
            has_end = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
            if not has_end and lines[-1][2] is None:
                record["torn"] = True
            line = _written(record)
            if size == 0:
                os.fchmod(descriptor, MODE)  # whatever the umask of the first start
            out.write(line if has_end else b"\n" + line)
            out.flush()
            os.fsync(descriptor)
        if size == 0:  # a power cut brings no other file back under the ledger's name
            atomic.sync(self.path.parent)

    def _opened(self) -> BinaryIO:
        """The file, locked: a start that finds the feed busy leaves a receipt, too."""
        while True:
            descriptor = open_plain(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            out = os.fdopen(descriptor, "ab")
            fcntl.flock(out, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return out
            out.close()  # it was replaced by a shorter one meanwhile

    def prune(self, keep: dt.timedelta, now: dt.datetime) -> int:
        """Take away some receipts that are older than `keep`; return how many. Raise OSError.

        The age is measured against the last lines, so that one run with a wrong clock takes nothing
        away. The first line then says how many lines are gone, and the SHA-256 of the last of them,
        to which the next one is chained. The last receipt always stays, and the last of what the
        vendor has got, since the guard compares with that.
        """
        with self._opened():
            atomic.remove_leftovers(self.path)
            lines = self._lines()
            count = _prunable(lines, keep, now)
            gone = [receipt for _, _, receipt in lines[:count] if receipt]
            receipts = [receipt for receipt in gone if receipt.get("outcome") != PRUNED]
            if not receipts:
                return 0
            mark = {
                "v": VERSION,
                "outcome": PRUNED,
                "lines": sum(healed(receipt).get("lines", 1) for receipt in gone),
                "finished": healed(gone[-1])["finished"],
                "previous": "",
                "continues": hashlib.sha256(lines[count - 1][1]).hexdigest(),
            }
            data = _written(mark) + b"".join(line + b"\n" for _, line, _ in lines[count:])
            atomic.replace(self.path, data, mode=MODE)
        return len(receipts)

    def first_break(self) -> int | None:
        """Number of the first line (from 1) whose chain is broken; None where all is whole."""
        previous = ""
        for number, line, receipt in self.entries():
            if receipt.get("previous") != previous:
                return number
            previous = receipt.get("continues") or hashlib.sha256(line).hexdigest()
        return None


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the object that a line holds. None where it holds none."""
    try:
        receipt = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return receipt if isinstance(receipt, dict) else None


def _is_usable(receipt: Mapping[str, Any]) -> bool:
    """Return whether a line says what became of a run, and what was sent."""
    whole = healed(receipt)
    is_known = isinstance(receipt.get("outcome"), str)
    return is_known and (whole["outcome"] != "sent" or bool(sent_sha256(whole)))


def _written(record: Mapping[str, Any]) -> bytes:
    """Return the line of a record."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def unfinished(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the last `begun` line of each run that has no end, the oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        run = record.get("run", "")
        was = found.pop(run, None)
        if record["outcome"] == BEGUN:
            found[run] = {**(was or {}), **record}
    return list(found.values())


def _ends(
    records: Sequence[Mapping[str, Any]], dead: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the receipts among lines. Runs that were killed have theirs where they began."""
    runs = {begun["run"]: begun for begun in dead if "run" in begun}
    found = []
    for record in records:
        if record["outcome"] not in MARKS:
            found.append(dict(record))
        elif record["outcome"] == BEGUN and (begun := runs.pop(record.get("run", ""), None)):
            found.append(killed(begun))
    return found


def killed(begun: Mapping[str, Any]) -> dict[str, Any]:
    """Return the receipt of a run that was killed behind its `begun` line."""
    holds = MAY_HOLD if begun.get("at_vendor") else NOTHING_SENT
    return {
        **{key: value for key, value in begun.items() if key not in ("previous", "v", "torn")},
        "outcome": "failed",
        "exit_code": int(Exit.KILLED),
        "message": KILLED.format(started=begun["started"], holds=holds),
    }


def _prunable(
    lines: Sequence[tuple[int, bytes, Mapping[str, Any] | None]],
    keep: dt.timedelta,
    now: dt.datetime,
) -> int:
    """Return how many of the first lines may go now."""
    stamps = [_finished(receipt) for _, _, receipt in lines]
    known = sorted(stamp for stamp in stamps[-LAST_LINES:] if stamp)
    if not known:
        return 0
    # Three quarters of the last lines have to say that it is so late.
    present = min(now, known[(len(known) - 1) // 4])
    sent = [n for n, (_, _, r) in enumerate(lines) if r and r.get("outcome") == "sent"]
    last = min([len(lines) - 1, PRUNED_AT_ONCE, *sent[-1:]])
    count = 0
    for at, stamp in enumerate(stamps[:last]):
        if stamp and stamp < present - keep:
            count = at + 1
        elif stamp and stamp <= present:
            break
        # A damaged line, or one whose stamp lies ahead, goes with an old one behind it.
    return count


def _finished(receipt: Mapping[str, Any] | None) -> dt.datetime | None:
    """Return when a receipt was written. None where it does not say it."""
    try:
        return dt.datetime.fromisoformat(moment((receipt or {}).get("finished")))
    except Misfit:
        return None
