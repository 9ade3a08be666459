"""Receipts: the record of each delivery of a feed, append-only, each chained to the one before."""

from __future__ import annotations

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

    def lines(self) -> list[bytes]:
        """The whole lines; a last one that a power cut has torn is left out."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return [line for line in data.split(b"\n")[:-1] if line]

    def receipts(self) -> list[dict[str, Any]]:
        """All receipts, the oldest first; a line that is not one is left out."""
        found = []
        for line in self.lines():
            try:
                receipt = json.loads(line)
            except ValueError:
                continue
            if isinstance(receipt, dict):
                found.append(receipt)
        return found

    def append(self, receipt: Mapping[str, Any]) -> None:
        """Adds a receipt so that it outlives a power cut; raises OSError where it cannot."""
        lines = self.lines()
        previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
        record = {"v": VERSION, **receipt, "previous": previous}
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, MODE)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            os.write(descriptor, b"\n" + line if torn else line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def first_break(self) -> int | None:
        """Number of the first line (from 1) whose chain is broken; None where all is whole."""
        previous = ""
        for number, line in enumerate(self.lines(), 1):
            try:
                chained = json.loads(line)["previous"]
            except (ValueError, KeyError, TypeError):
                return number
            if chained != previous:
                return number
            previous = hashlib.sha256(line).hexdigest()
        return None
