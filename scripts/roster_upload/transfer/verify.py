"""Verifies that the server has the file that was sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from roster_upload.exits import Exit, Failure
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.messages import ATTRS, SftpStatusError
from roster_upload.transfer.protocol import Sftp

# Time for a file's closing or renaming, added to `Times.finish`.
BYTES_A_SECOND = 1_000_000
# Some servers report an outdated size for a moment.
LOOK_AGAIN_SECONDS = (0.0, 0.5, 2.0)


@contextlib.contextmanager
def finishing(sftp: Sftp, size: int) -> Iterator[None]:
    """Allow the server time to read a file of `size` bytes before it answers in the block."""
    seconds = sftp.watchdog.times.finish + size / BYTES_A_SECOND
    with sftp.watchdog.allowing(seconds):
        yield


class Verification:
    """Compares the server's file with the sent one, by `size` in bytes and by `sha256`."""

    def __init__(self, directory: RemoteDirectory, size: int, sha256: str) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.bytes = size
        self.sha256 = sha256  # hexadecimal, "" if the server does not compute it

    def size(self, asked: int | None, path: str) -> int | None:
        """Return the size that the request `asked` is about. Raise SftpStatusError.

        If it is not the expected one, ask again. Servers must answer requests about one file as if
        each had waited for the one before (filexfer-02, section 4.1), but some do not. Others know
        a file's size only after the closing.
        """
        there = None
        if asked is not None:
            with contextlib.suppress(SftpStatusError):
                there = self.sftp.take_size(asked)
                if there in (None, self.bytes):
                    return there
        for seconds in LOOK_AGAIN_SECONDS:
            time.sleep(seconds)
            there = self.sftp.size(path)
            if there in (None, self.bytes):
                break
        return there

    def is_renamed(self, left: int | None, temporary: str) -> bool:
        """Return whether the temporary name is gone, as far as the server shows it.

        `left` is a request for its attributes, sent right after the renaming. Some servers answer
        it too early, so a second request follows.
        """
        if left is None:
            return True
        for asked in (left, None):
            number = self.sftp.post_stat(temporary) if asked is None else asked
            try:
                self.sftp.take(number, ATTRS)
            except SftpStatusError:
                return True
        return False

    def is_hashed(self, path: str) -> bool:
        """Return whether the server computed the right hash. Raise Failure for a wrong one."""
        if not self.sha256:
            return False
        with self.directory.step("verify"), finishing(self.sftp, 0):
            computed = self.sftp.sha256(path)
        if computed is None or computed == self.sha256:
            return computed is not None
        raise Failure(
            Exit.VERIFY,
            f"{path} has the SHA-256 {computed} on {self.directory.feed.remote_host}, "
            f"{self.sha256} was sent: the server has changed or damaged it",
        )

    def check_size(self, there: int | None, name: str) -> None:
        """Raise Failure if the server has another number of bytes than were sent."""
        if there is None or there == self.bytes:
            return
        why = "is full, or cut it short" if there < self.bytes else "appended to an existing file"
        raise Failure(
            Exit.VERIFY,
            f"{name} has {there} bytes on the server, {self.bytes} were sent: the server {why}",
        )
