"""Renames the temporary file to the final name, and so replaces the old file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from roster_upload.exits import Exit, Failure
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import Holds
from roster_upload.transfer.messages import (
    BROKEN,
    FAILURE,
    NO_SUCH_FILE,
    POSIX_RENAME,
    SftpStatusError,
)
from roster_upload.transfer.profile import MOVE_ASIDE


class Renaming:
    """One renaming, by the first method that works.

    `tried` has the methods that the server refused. `seen` and `left` are requests for the
    attributes of the final and of the temporary name, sent right after the renaming. Their answers
    show whether it was done.
    """

    def __init__(self, directory: RemoteDirectory, temporary: str, first: str) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.info = directory.info
        self.temporary = temporary
        self.first = first
        self.tried: set[str] = set()
        self.seen: int | None = None
        self.left: int | None = None

    def run(self) -> str:
        """Rename and return the method. Raise SftpStatusError or Failure."""
        refused = SftpStatusError(FAILURE, "")
        for method in self._methods():
            try:
                if method == MOVE_ASIDE:
                    self._move_aside_and_rename()
                else:
                    self._rename_and_look(method)
            except SftpStatusError as reason:  # some servers offer posix-rename and refuse it
                refused = reason
                self.tried.add(method)
            else:
                return method
            if refused.code == NO_SUCH_FILE and not self.sftp.exists(self.temporary):
                raise Failure(
                    Exit.VERIFY,
                    f"{self.directory.feed.remote_host} removed the temporary file as soon as it "
                    "was closed. Ask the vendor to leave temporary files alone",
                )
        raise refused

    def _rename_and_look(self, method: str) -> None:
        """Rename, and request the attributes of both names without waiting in between."""
        post = {"posix-rename": self.sftp.post_posix_rename, "rename": self.sftp.post_rename}
        self.info.holds = Holds.UNKNOWN
        renamed = post[method](self.temporary, self.directory.final)
        seen, left = map(self.sftp.post_stat, (self.directory.final, self.temporary))
        try:
            self.sftp.take(renamed)
        except SftpStatusError:
            self.info.holds = Holds.OLD
            raise
        self.info.holds = Holds.NEW
        self.seen, self.left = seen, left

    def _methods(self) -> Iterator[str]:
        """Yield the methods that may work, beginning with `first`."""
        final = self.directory.final
        if self.first == "posix-rename" and POSIX_RENAME in self.sftp.extensions:
            yield "posix-rename"
        if self.first != MOVE_ASIDE or not self.sftp.exists(final):
            yield "rename"
        if self.sftp.exists(final):  # otherwise there is nothing to move
            self._require_no_folder()
            yield MOVE_ASIDE

    def _require_no_folder(self) -> None:
        """Raise Failure if the final name is a folder's. It must not be moved."""
        with contextlib.suppress(SftpStatusError):
            if self.sftp.stat(self.directory.final).is_folder:
                raise Failure(
                    Exit.REMOTE_PATH,
                    f"{self.directory.final} is a folder on {self.directory.feed.remote_host}. "
                    "Compare remote_name with the file name that the vendor gave you",
                )

    def _move_aside_and_rename(self) -> None:
        """Move the old file aside and rename the new one. Put the old one back if that fails."""
        final, aside = self.directory.final, self.directory.aside
        self.info.holds = Holds.NOTHING
        try:
            try:
                self.sftp.rename(final, aside)
            except SftpStatusError as refused:
                self._replace_aside(refused)
        except SftpStatusError:
            self.info.holds = Holds.OLD
            raise
        try:
            self.sftp.rename(self.temporary, final)
        except BaseException:
            with contextlib.suppress(SftpStatusError, *BROKEN):  # the next try puts it back, too
                self.sftp.hurry()
                self.sftp.rename(aside, final)
                self.info.holds = Holds.OLD
            raise
        self.info.holds = Holds.NEW
        self.left = self.sftp.post_stat(self.temporary)
        with contextlib.suppress(SftpStatusError):
            self.sftp.remove(aside)

    def _replace_aside(self, refused: SftpStatusError) -> None:
        """Move the old file aside although a broken run has left another one there.

        Raise the refusal if it had another cause.
        """
        try:
            self.sftp.stat(self.directory.final)  # without it, the other one is the only whole file
            self.sftp.remove(self.directory.aside)
            self.sftp.rename(self.directory.final, self.directory.aside)
        except SftpStatusError:
            raise refused from None
