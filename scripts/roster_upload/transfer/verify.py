"""Verification: whether the server has the file that was sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from roster_upload.exits import Exit, Failure
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.messages import ATTRS, SftpStatusError
from roster_upload.transfer.protocol import Sftp

# A server may take so long for a file's closing or renaming, beside the seconds of the setting.
BYTES_A_SECOND = 1_000_000
# Some servers tell the size of before for a moment.
LOOK_AGAIN_SECONDS = (0.0, 0.5, 2.0)


@contextlib.contextmanager
def finishing(sftp: Sftp, size: int) -> Iterator[None]:
    """Allow the server to look through a file of `size` bytes before it answers."""
    seconds = sftp.watchdog.times.finish + size / BYTES_A_SECOND
    with sftp.watchdog.allowing(seconds):
        yield


class Verification:
    """Compares what the server has with what was sent: `size` bytes, and `sha256` where it asks."""

    def __init__(self, directory: RemoteDirectory, size: int, sha256: str) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.bytes = size
        self.sha256 = sha256  # hexadecimal, "" where the server computes none

    def size(self, asked: int | None, path: str) -> int | None:
        """Return a size that was asked for ahead, or asked again where it is not the one wanted.

        Requests of one file are to be answered as if each had waited for the one before
        (filexfer-02, section 4.1), but not every server keeps that, and some know a file's size
        only once it is closed. Raise SftpStatusError.
        """
        there = None
        if asked is not None:
            with contextlib.suppress(SftpStatusError):
                there = self.sftp.size_told(asked)
                if there in (None, self.bytes):
                    return there
        for seconds in LOOK_AGAIN_SECONDS:
            time.sleep(seconds)
            there = self.sftp.size(path)
            if there in (None, self.bytes):
                break
        return there

    def is_renamed(self, left: int | None, temporary: str) -> bool:
        """Return whether the temporary name is gone, as far as the server tells.

        `left` is a request for its attributes that was made behind the renaming. Some servers
        answer it too early, so the name is asked for once more.
        """
        if left is None:
            return True
        for asked in (left, None):
            number = self.sftp.post_look(temporary) if asked is None else asked
            try:
                self.sftp.take(number, ATTRS)
            except SftpStatusError:
                return True
        return False

    def is_hashed(self, path: str) -> bool:
        """Return whether the server has computed the hash of what was sent."""
        if not self.sha256:
            return False
        with self.directory.step("verify"), finishing(self.sftp, 0):
            told = self.sftp.sha256(path)
        if told is None or told == self.sha256:
            return told is not None
        raise Failure(
            Exit.VERIFY,
            f"{path} has the SHA-256 {told} on {self.directory.feed.remote_host}, {self.sha256} "
            "was sent: the server has changed or damaged it",
        )

    def check_size(self, there: int | None, what: str) -> None:
        """Raise Failure where the server has another number of bytes than were sent."""
        if there is None or there == self.bytes:
            return
        why = "is full, or cut it short" if there < self.bytes else "added to what was there"
        raise Failure(
            Exit.VERIFY,
            f"{what} has {there} bytes on the server, {self.bytes} were sent: the server {why}",
        )
