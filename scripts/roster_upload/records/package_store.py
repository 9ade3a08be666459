"""The last accepted packages of a feed, encrypted. `resend` can send them again.

A file is a random prefix and blocks of AES-256-GCM. The nonce of a block is the prefix and the
block's number. The last block is marked. So no block can be changed, moved or cut off.
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
STAMP = "%Y%m%dT%H%M%S%fZ"  # time of acceptance, in the name of the file


class Damaged(Exception):
    """A package that cannot be decrypted, because of its key or its content."""


@dataclass(frozen=True)
class Entry:
    """A stored package: its path, the time of acceptance (UTC), and its SHA-256."""

    path: Path
    accepted: str
    sha256: str


class PackageStore:
    """The newest `keep` packages, in a folder."""

    def __init__(self, folder: Path, key: bytes, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self._cipher = AESGCM(hashlib.blake2b(b"ring", key=key, digest_size=32).digest())

    def entries(self) -> list[Entry]:
        """Return all stored packages, oldest first."""
        found = []
        for path in sorted(self.folder.glob("*.package")):
            accepted, _, sha256 = path.stem.partition("-")
            found.append(Entry(path, accepted, sha256))
        return found

    def add(self, package: Path, sha256: str) -> None:
        """Store a package, and remove all but the newest `keep`. Raise OSError.

        It becomes the newest one, even if a wrong clock has given another one a later time.
        """
        for left in (*self.folder.glob("*.new"), *self.folder.glob(".*.package.*")):
            left.unlink(missing_ok=True)  # of a run that was killed
        if self.keep:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            entries = self.entries()
            same = [entry for entry in entries if entry.sha256 == sha256]
            path = self.folder / f"{_next_stamp(entries)}-{sha256}.package"
            # A partial file must not fill the disk, which receipts need, too.
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
        """Decrypt a stored package to `path`. Raise Damaged or OSError."""
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
            raise Damaged(f"the content of {entry.path} does not match the digest in its name")


def _next_stamp(entries: list[Entry]) -> str:
    """Return the present time, or a later one than that of the newest package."""
    now = dt.datetime.now(dt.UTC).strftime(STAMP)
    if not entries or entries[-1].accepted < now:
        return now
    with contextlib.suppress(ValueError, OverflowError):
        newest = dt.datetime.strptime(entries[-1].accepted, STAMP)
        return (newest + dt.timedelta(microseconds=1)).strftime(STAMP)
    return now


def _framed(prefix: bytes, number: int, data: bytes, is_last: bool) -> tuple[bytes, bytes, bytes]:
    return prefix + number.to_bytes(4, "big"), data, b"last" if is_last else b"more"
