"""The names in a remote folder."""

from __future__ import annotations

import time
from collections.abc import Iterator

from roster_upload.transfer.messages import (
    CLOSE,
    EOF,
    FAILURE,
    HANDLE,
    NAME,
    OPENDIR,
    READDIR,
    Attributes,
    SftpStatusError,
    entries_in,
    packed,
)
from roster_upload.transfer.session import Session

# A folder beyond these limits counts as one that cannot be listed.
MOST_NAMES = 100_000
MOST_LISTED_BYTES = 32 << 20


def _endless(most: str) -> SftpStatusError:
    return SftpStatusError(FAILURE, f"the folder's listing takes {most}")


class Listing:
    """Names in a remote folder. Other requests can be sent while they are read."""

    def __init__(self, sftp: Session, folder: str) -> None:
        self.sftp = sftp
        self._opened = sftp.post(OPENDIR, packed(folder))
        self._handle = b""
        self._reads: list[int] = []

    def begin(self) -> None:
        """Request the names. Raise SftpStatusError if the folder cannot be listed."""
        self._handle = self.sftp.take(self._opened, HANDLE)
        # Most folders need two answers: one with all names, and one that marks the end.
        self._reads = [self.sftp.post(READDIR, self._handle) for _ in range(2)]

    def names(self) -> list[str]:
        """Return the names. Raise SftpStatusError, also for an endless listing."""
        return [name.decode("utf-8", "replace") for name, _ in self.entries()]

    def entries(self) -> list[tuple[bytes, Attributes]]:
        """Return the names and what the server reports of each. Raise SftpStatusError."""
        if not self._handle:
            self.begin()
        found: list[tuple[bytes, Attributes]] = []
        try:
            for answers, body in enumerate(self._answers(), 1):
                found += entries_in(body)
                if len(found) + answers > MOST_NAMES:
                    raise _endless(f"more than {MOST_NAMES:,} names and answers")
        except SftpStatusError:
            self._close()
            raise
        self._close()
        return found

    def _close(self) -> None:
        """Close the folder. Nobody waits for the answer."""
        self.sftp.post(CLOSE, self._handle)

    def _answers(self) -> Iterator[bytes]:
        """Yield the answers that hold names. Raise SftpStatusError."""
        seconds = self.sftp.watchdog.times.listing
        ends = time.monotonic() + seconds
        size = 0
        while True:
            number = self._reads.pop(0) if self._reads else self.sftp.post(READDIR, self._handle)
            try:
                body = self.sftp.take(number, NAME)
            except SftpStatusError as refused:
                if refused.code != EOF:
                    raise
                return
            size += len(body)
            if size > MOST_LISTED_BYTES:
                raise _endless(f"more than {MOST_LISTED_BYTES:,} bytes")
            if time.monotonic() > ends:
                raise _endless(f"more than {seconds:g} s")
            yield body
