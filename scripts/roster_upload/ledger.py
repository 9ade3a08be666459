"""Receipts: the record of each delivery of a feed, append-only, each chained to the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 1
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
            data = self.path.read_bytes()
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
        """All receipts, the oldest first."""
        return [receipt for _, _, receipt in self.entries()]

    def append(self, receipt: Mapping[str, Any]) -> None:
        """Adds a receipt so that it outlives a power cut; raises OSError where it cannot."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
        with os.fdopen(descriptor, "ab") as out:
            # A start that finds the feed busy leaves a receipt, too.
            fcntl.flock(out, fcntl.LOCK_EX)
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
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def first_break(self) -> int | None:
        """Number of the first line (from 1) whose chain is broken; None where all is whole."""
        previous = ""
        for number, line, receipt in self.entries():
            if receipt.get("previous") != previous:
                return number
            previous = hashlib.sha256(line).hexdigest()
        return None
