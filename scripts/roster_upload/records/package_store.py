"""The last accepted packages of a feed, encrypted, so that one of them can be sent again.

A file is a random prefix, then blocks of AES-256-GCM: the nonce is the prefix and the block's
number, and the last block is marked as such, so that none can be changed, moved or cut off.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from roster_upload.host import atomic

BLOCK_BYTES = 1 << 20
PREFIX_BYTES = 8
TAG_BYTES = 16
STAMP = "%Y%m%dT%H%M%S%fZ"  # when a package was accepted, in its name


class Damaged(Exception):
    """A package that cannot be decrypted: another key, or another content."""


@dataclass(frozen=True)
class Entry:
    """A kept package: where it lies, when it was accepted (UTC), and its SHA-256."""

    path: Path
    accepted: str
    sha256: str


class PackageStore:
    """The packages in a folder, the newest `keep` of them."""

    def __init__(self, folder: Path, key: bytes, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self._cipher = AESGCM(hashlib.blake2b(b"ring", key=key, digest_size=32).digest())

    def entries(self) -> list[Entry]:
        """Return all kept packages, the oldest first."""
        found = []
        for path in sorted(self.folder.glob("*.package")):
            accepted, _, sha256 = path.stem.partition("-")
            found.append(Entry(path, accepted, sha256))
        return found

    def add(self, package: Path, sha256: str) -> None:
        """Keep a package, and no more than `keep` in all. Raise OSError.

        It becomes the newest one, also where a wrong clock has given another a later time.
        """
        for left in (*self.folder.glob("*.new"), *self.folder.glob(".*.package.*")):
            left.unlink(missing_ok=True)  # of a run that was killed
        if self.keep:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            entries = self.entries()
            same = [entry for entry in entries if entry.sha256 == sha256]
            path = self.folder / f"{_next_stamp(entries)}-{sha256}.package"
            # A part of one must not fill the disk on which receipts are written.
            with atomic.replacing(path) as out:
                self._encrypt(package, out)
            for entry in same:
                entry.path.unlink()
        for entry in self.entries()[: -self.keep or None]:
            entry.path.unlink()

    def _encrypt(self, package: Path, out: BinaryIO) -> None:
        prefix = secrets.token_bytes(PREFIX_BYTES)
        with package.open("rb") as source:
            out.write(prefix)
            number, block = 0, source.read(BLOCK_BYTES)
            while True:
                further = source.read(BLOCK_BYTES)
                out.write(self._cipher.encrypt(*_framed(prefix, number, block, not further)))
                if not further:
                    break
                number, block = number + 1, further

    def decrypt(self, entry: Entry, path: Path) -> None:
        """Write a kept package unencrypted. Raise Damaged or OSError."""
        digest = hashlib.sha256()
        with entry.path.open("rb") as source, path.open("xb") as out:
            os.fchmod(out.fileno(), 0o600)
            prefix = source.read(PREFIX_BYTES)
            number, block = 0, source.read(BLOCK_BYTES + TAG_BYTES)
            while True:
                further = source.read(BLOCK_BYTES + TAG_BYTES)
                try:
                    text = self._cipher.decrypt(*_framed(prefix, number, block, not further))
                except (InvalidTag, ValueError):
                    raise Damaged(f"{entry.path} cannot be decrypted") from None
                digest.update(text)
                out.write(text)
                if not further:
                    break
                number, block = number + 1, further
        if digest.hexdigest() != entry.sha256:
            raise Damaged(f"{entry.path} is another package than its name says")


def _next_stamp(entries: list[Entry]) -> str:
    """Return the time of now, or one behind that of the newest package."""
    now = dt.datetime.now(dt.UTC).strftime(STAMP)
    if not entries or entries[-1].accepted < now:
        return now
    with contextlib.suppress(ValueError, OverflowError):
        newest = dt.datetime.strptime(entries[-1].accepted, STAMP)
        return (newest + dt.timedelta(microseconds=1)).strftime(STAMP)
    return now


def _framed(prefix: bytes, number: int, data: bytes, is_last: bool) -> tuple[bytes, bytes, bytes]:
    return prefix + number.to_bytes(4, "big"), data, b"last" if is_last else b"more"
