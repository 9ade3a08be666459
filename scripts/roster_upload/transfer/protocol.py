"""The SFTP requests that an upload needs, version 3 (draft-ietf-secsh-filexfer-02).

paramiko's own `put` drops the answers to its last writes and closes a file that was cut off as if
it were whole (https://github.com/paramiko/paramiko/blob/main/paramiko/sftp_file.py). Here each
answer is read and checked. Version 3 of the protocol is the one that servers speak.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct

from roster_upload.transfer.listing import Listing
from roster_upload.transfer.messages import (
    ATTRS,
    CLOSE,
    EXTENDED,
    EXTENDED_REPLY,
    FSTAT,
    HANDLE,
    MKDIR,
    NO_SUCH_FILE,
    OPEN,
    POSIX_RENAME,
    REMOVE,
    RENAME,
    STAT,
    Attributes,
    SftpStatusError,
    packed,
    string_at,
)
from roster_upload.transfer.session import Session

CREATE_FLAGS = 0x02 | 0x08 | 0x10  # write, create, truncate
READ_ONLY_FLAG = 0x01  # of statvfs
STATVFS = "statvfs@openssh.com"
HASHES = {"check-file", "check-file-name"}  # servers announce either name


class Sftp(Session):
    """The SFTP requests that an upload needs."""

    def post_create(self, path: str) -> int:
        """Ask for a file to be written anew, without any attributes."""
        return self.post(OPEN, packed(path) + struct.pack(">II", CREATE_FLAGS, 0))

    def created(self, number: int) -> bytes:
        """Return the handle of a file that `post_create` has asked for."""
        return self.take(number, HANDLE)

    def close(self, handle: bytes) -> None:
        """Close a handle; to servers that is what makes a file whole."""
        self._ask(CLOSE, handle)

    def look(self, path: str) -> Attributes:
        """Return what the server tells of a path; raise SftpStatusError."""
        return Attributes.of(self.take(self.post_look(path), ATTRS))

    def post_look(self, path: str) -> int:
        """Ask for the attributes of a path."""
        return self.post(STAT, packed(path))

    def size(self, path: str) -> int | None:
        """Return the size in bytes of a remote file, None where the server does not tell.

        Raise SftpStatusError where there is no such file.
        """
        return self.size_told(self.post_look(path))

    def size_of(self, handle: bytes) -> int | None:
        """Return the size in bytes of an open file, None where the server does not tell."""
        with contextlib.suppress(SftpStatusError):
            return self.size_told(self.post(FSTAT, handle))
        return None

    def size_told(self, number: int) -> int | None:
        """Return the size that was asked for, None where the server does not tell.

        Raise SftpStatusError where there is no such file.
        """
        try:
            return Attributes.of(self.take(number, ATTRS)).size
        except SftpStatusError as refused:
            if refused.code == NO_SUCH_FILE:
                raise
            return None  # some servers do not let anyone look

    def is_there(self, path: str) -> bool:
        """Return whether there is such a file, as far as the server tells."""
        try:
            self.size(path)
        except SftpStatusError:
            return False
        return True

    @property
    def offers_hash(self) -> bool:
        """Whether the server announces that it computes hashes."""
        return bool(HASHES & self.extensions.keys())

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 that the server has computed of a file, None where it does not.

        draft-ietf-secsh-filexfer-extensions-00, section 3. ProFTPD announces it to later versions
        of the protocol only, and leaves out the answer's name.
        """
        whole = struct.pack(">QQI", 0, 0, 0)
        body = packed("check-file-name") + packed(path) + packed("sha256") + whole
        try:
            answer = self._ask(EXTENDED, body, expected=EXTENDED_REPLY)
        except SftpStatusError:
            return None
        algorithm, at = string_at(answer, 0)
        if algorithm == b"check-file":
            algorithm, at = string_at(answer, at)
        is_one = algorithm == b"sha256" and len(answer) - at == hashlib.sha256().digest_size
        return answer[at:].hex() if is_one else None

    def space(self, path: str) -> tuple[int, bool] | None:
        """Return a file system's free bytes and whether it is read-only, None if not told.

        Raise SftpStatusError.
        """
        if STATVFS not in self.extensions:
            return None
        body = packed(STATVFS) + packed(path)
        told = struct.unpack(">11Q", self._ask(EXTENDED, body, expected=EXTENDED_REPLY)[:88])
        (_, unit, blocks, _, free, files, _, free_files, _, flags, _) = told
        if not blocks:
            return None  # it only says so
        room = unit * free if free_files or not files else 0
        return room, bool(flags & READ_ONLY_FLAG)

    def rename(self, old: str, new: str) -> None:
        """Rename by protocol version 3: most servers refuse where `new` exists."""
        self.take(self.post_rename(old, new))

    def post_rename(self, old: str, new: str) -> int:
        """Ask for a renaming by protocol version 3."""
        return self.post(RENAME, packed(old) + packed(new))

    def posix_rename(self, old: str, new: str) -> None:
        """Rename in one step over a file that exists (OpenSSH PROTOCOL, section 4.3)."""
        self.take(self.post_posix_rename(old, new))

    def post_posix_rename(self, old: str, new: str) -> int:
        """Ask for a renaming in one step."""
        return self.post(EXTENDED, packed(POSIX_RENAME) + packed(old) + packed(new))

    def remove(self, path: str) -> None:
        """Delete a remote file."""
        self._ask(REMOVE, packed(path))

    def make_folder(self, path: str) -> None:
        """Make one remote folder, without any attributes."""
        self._ask(MKDIR, packed(path) + struct.pack(">I", 0))

    def names(self, folder: str) -> list[str]:
        """Return the names in a remote folder; raise SftpStatusError."""
        return Listing(self, folder).names()
