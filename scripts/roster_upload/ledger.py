"""Receipts: the record of each delivery of a feed, append-only, each chained to the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from roster_upload.account import open_plain, read_plain

VERSION = 2
MODE = 0o640


class Ledger:
    """All receipts of one feed, one JSON object a line; no personal data is ever in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "receipts.jsonl"

    def entries(self) -> list[tuple[int, bytes, dict[str, Any]]]:
        """Number, bytes and content of each receipt, the oldest first.

        A line that a power cut has torn is none: it is left out, and nothing is chained to it.
        """
        try:
            data = read_plain(self.path)
        except FileNotFoundError:
            return []
        found = []
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                receipt = json.loads(line)
            except ValueError:
                continue
            if isinstance(receipt, dict):
                found.append((number, line, receipt))
        return found

    def receipts(self) -> list[dict[str, Any]]:
        """All receipts, the oldest first; the mark of those that were taken away is none."""
        return [r for _, _, r in self.entries() if r.get("outcome") != "pruned"]

    def accepted(self) -> list[dict[str, Any]]:
        """The receipts of what the vendor has got, the oldest first."""
        return [receipt for receipt in self.receipts() if receipt.get("outcome") == "sent"]

    def approval(self, sha256: str) -> dict[str, Any] | None:
        """The approval of an export that was held, unless it was used already."""
        found = None
        for receipt in self.receipts():
            if receipt.get("outcome") == "approved" and receipt.get("digest") == sha256:
                found = receipt
            elif (
                receipt.get("outcome") == "sent"
                and receipt.get("source", {}).get("sha256") == sha256
            ):
                found = None
        return found

    def append(self, receipt: Mapping[str, Any]) -> None:
        """Adds a receipt so that it outlives a power cut; raises OSError where it cannot."""
        with self._opened() as out:
            descriptor = out.fileno()
            entries = self.entries()
            previous = hashlib.sha256(entries[-1][1]).hexdigest() if entries else ""
            record = {"v": VERSION, **receipt, "previous": previous}
            line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            if size == 0:
                os.fchmod(descriptor, MODE)  # whatever the umask of the first start
            out.write(b"\n" + line if is_torn else line)
            out.flush()
            os.fsync(descriptor)
        if size == 0:
            self._sync_folder()

    def _sync_folder(self) -> None:
        """Sees to it that a power cut brings no other file back under the ledger's name."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _opened(self) -> BinaryIO:
        """The file, locked: a start that finds the feed busy leaves a receipt, too."""
        while True:
            descriptor = open_plain(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            out = os.fdopen(descriptor, "ab")
            fcntl.flock(out, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return out
            out.close()  # it was replaced by a shorter one meanwhile

    def prune(self, before: str) -> int:
        """Takes away the receipts that finished before a moment (ISO 8601); returns how many.

        The first line then says how many lines are gone, and the SHA-256 of the last of them, to
        which the next one is chained. The last receipt always stays, and the last of what the
        vendor has got, since the guard compares with that.
        """
        with self._opened():
            entries = self.entries()
            accepted = [n for n, (_, _, r) in enumerate(entries) if r.get("outcome") == "sent"]
            last = min([len(entries) - 1, *accepted[-1:]])
            count = 0
            while count < last and entries[count][2].get("finished", "") < before:
                count += 1
            gone = [receipt for _, _, receipt in entries[:count]]
            receipts = [receipt for receipt in gone if receipt.get("outcome") != "pruned"]
            if not receipts:
                return 0
            total = sum(int(receipt.get("lines", 1)) for receipt in gone)
            mark = {
                "v": VERSION,
                "outcome": "pruned",
                "lines": total,
                "finished": gone[-1].get("finished", ""),
                "previous": "",
                "continues": hashlib.sha256(entries[count - 1][1]).hexdigest(),
            }
            lines = [json.dumps(mark, separators=(",", ":")).encode()]
            lines += [line for _, line, _ in entries[count:]]
            temporary = self.path.with_suffix(".new")
            with temporary.open("wb") as out:
                os.fchmod(out.fileno(), MODE)
                out.write(b"\n".join(lines) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self.path)
            self._sync_folder()
        return len(receipts)

    def first_break(self) -> int | None:
        """Number of the first line (from 1) whose chain is broken; None where all is whole."""
        previous = ""
        for number, line, receipt in self.entries():
            if receipt.get("previous") != previous:
                return number
            previous = receipt.get("continues") or hashlib.sha256(line).hexdigest()
        return None
