"""Renaming: how a temporary file takes the place of the old one."""

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


class Renaming:
    """One renaming, by the first of the server's ways that works.

    `tried` are the ways that the server refused. `seen` and `left` are requests for the attributes
    of the final and of the temporary name behind it: their answers show whether it was done.
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
        """Rename; return by which way. Raise SftpStatusError or Failure."""
        refused = SftpStatusError(FAILURE, "")
        for way in self._ways():
            try:
                if way == "aside":
                    self._rename_aside()
                else:
                    self._rename_and_look(way)
            except SftpStatusError as reason:  # some servers offer posix-rename and refuse it
                refused = reason
                self.tried.add(way)
            else:
                return way
            if refused.code == NO_SUCH_FILE and not self.sftp.is_there(self.temporary):
                raise Failure(
                    Exit.VERIFY,
                    f"{self.directory.feed.remote_host} took the file away under its temporary "
                    "name as soon as it was closed",
                )
        raise refused

    def _rename_and_look(self, way: str) -> None:
        """Rename, and ask for the size of what is there then, without waiting in between."""
        by = {"posix-rename": self.sftp.post_posix_rename, "rename": self.sftp.post_rename}
        self.info.holds = Holds.UNKNOWN
        renamed = by[way](self.temporary, self.directory.final)
        seen, left = map(self.sftp.post_look, (self.directory.final, self.temporary))
        try:
            self.sftp.take(renamed)
        except SftpStatusError:
            self.info.holds = Holds.OLD
            raise
        self.info.holds = Holds.NEW
        self.seen, self.left = seen, left

    def _ways(self) -> Iterator[str]:
        """Give the ways of renaming that can help, from the first on, each asked in its turn."""
        final = self.directory.final
        if self.first == "posix-rename" and POSIX_RENAME in self.sftp.extensions:
            yield "posix-rename"
        if self.first != "aside" or not self.sftp.is_there(final):
            yield "rename"
        if self.sftp.is_there(final):  # else nothing stands in the way
            self._check_no_folder()
            yield "aside"

    def _check_no_folder(self) -> None:
        """Raise Failure where the final name is that of a folder, which is not ours to move."""
        with contextlib.suppress(SftpStatusError):
            if self.sftp.look(self.directory.final).is_folder:
                raise Failure(
                    Exit.REMOTE_PATH,
                    f"{self.directory.final} is a folder on {self.directory.feed.remote_host}; "
                    "compare remote_name with what the vendor gave you",
                )

    def _rename_aside(self) -> None:
        """Make room for the new file, and put the old one back where that fails."""
        final, aside = self.directory.final, self.directory.aside
        self.info.holds = Holds.NOTHING
        try:
            try:
                self.sftp.rename(final, aside)
            except SftpStatusError as refused:
                self._make_room_aside(refused)
        except SftpStatusError:
            self.info.holds = Holds.OLD
            raise
        try:
            self.sftp.rename(self.temporary, final)
        except BaseException:
            with contextlib.suppress(SftpStatusError, *BROKEN):  # else the next try does it
                self.sftp.hurry()
                self.sftp.rename(aside, final)
                self.info.holds = Holds.OLD
            raise
        self.info.holds = Holds.NEW
        self.left = self.sftp.post_look(self.temporary)
        with contextlib.suppress(SftpStatusError):
            self.sftp.remove(aside)

    def _make_room_aside(self, refused: SftpStatusError) -> None:
        """Move the old file aside where a broken run has left another one there.

        Raise the refusal where that was not the cause.
        """
        try:
            self.sftp.look(self.directory.final)  # else the other one is the only whole file
            self.sftp.remove(self.directory.aside)
            self.sftp.rename(self.directory.final, self.directory.aside)
        except SftpStatusError:
            raise refused from None
