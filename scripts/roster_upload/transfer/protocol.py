"""The SFTP requests that an upload and a fetch need, version 3 (draft-ietf-secsh-filexfer-02).

paramiko's own `put` drops the answers to its last writes, and closes an incomplete file like a
complete one (https://github.com/paramiko/paramiko/blob/main/paramiko/sftp_file.py). Here each
answer is read and checked. Servers speak version 3 of the protocol.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct

from roster_upload.transfer.listing import Listing
from roster_upload.transfer.messages import (
    ATTRS,
    CLOSE,
    DATA,
    EXTENDED,
    EXTENDED_REPLY,
    FSTAT,
    HANDLE,
    MKDIR,
    NO_SUCH_FILE,
    OPEN,
    POSIX_RENAME,
    READ,
    REMOVE,
    RENAME,
    STAT,
    Attributes,
    SftpStatusError,
    packed,
    string_at,
)
from roster_upload.transfer.session import Session

READ_FLAGS = 0x01
CREATE_FLAGS = 0x02 | 0x08 | 0x10  # write, create, truncate
READ_ONLY_FLAG = 0x01  # of statvfs
STATVFS = "statvfs@openssh.com"
HASHES = {"check-file", "check-file-name"}  # servers announce either name


class Sftp(Session):
    """The SFTP requests that an upload and a fetch need."""

    def open_to_read(self, path: str) -> bytes:
        """Return the handle of a file to read. Raise SftpStatusError."""
        return self._ask(OPEN, packed(path) + struct.pack(">II", READ_FLAGS, 0), HANDLE)

    def post_read(self, handle: bytes, offset: int, count: int) -> int:
        """Request a piece of a file. Return the request's number."""
        return self.post(READ, handle + struct.pack(">QI", offset, count))

    def take_data(self, number: int) -> bytes:
        """Return the piece that was requested. Raise SftpStatusError, also at the file's end."""
        return string_at(self.take(number, DATA), 0)[0]

    def post_create(self, path: str) -> int:
        """Request a new or emptied file, without any attributes. Return the request's number."""
        return self.post(OPEN, packed(path) + struct.pack(">II", CREATE_FLAGS, 0))

    def take_handle(self, number: int) -> bytes:
        """Return the handle that `post_create` has requested. Raise SftpStatusError."""
        return self.take(number, HANDLE)

    def close(self, handle: bytes) -> None:
        """Close a handle. Servers count a closed file as complete."""
        self._ask(CLOSE, handle)

    def stat(self, path: str) -> Attributes:
        """Return the attributes of a path. Raise SftpStatusError."""
        return Attributes.of(self.take(self.post_stat(path), ATTRS))

    def post_stat(self, path: str) -> int:
        """Request the attributes of a path. Return the request's number."""
        return self.post(STAT, packed(path))

    def size(self, path: str) -> int | None:
        """Return the size in bytes of a remote file, None if the server does not report it.

        Raise SftpStatusError if the file does not exist.
        """
        return self.take_size(self.post_stat(path))

    def size_of(self, handle: bytes) -> int | None:
        """Return the size in bytes of an open file, None if the server does not report it."""
        with contextlib.suppress(SftpStatusError):
            return self.take_size(self.post(FSTAT, handle))
        return None

    def take_size(self, number: int) -> int | None:
        """Return the size in bytes that was requested, None if the server does not report it.

        Raise SftpStatusError if the file does not exist.
        """
        try:
            return Attributes.of(self.take(number, ATTRS)).size
        except SftpStatusError as refused:
            if refused.code == NO_SUCH_FILE:
                raise
            return None  # some servers refuse to show attributes

    def exists(self, path: str) -> bool:
        """Return whether a file exists, as far as the server shows it."""
        try:
            self.size(path)
        except SftpStatusError:
            return False
        return True

    @property
    def offers_hash(self) -> bool:
        """Return whether the server announces that it computes hashes."""
        return bool(HASHES & self.extensions.keys())

    def sha256(self, path: str) -> str | None:
        """Return a file's SHA-256, computed by the server, None if it does not compute it.

        See draft-ietf-secsh-filexfer-extensions-00, section 3. ProFTPD announces this only to
        later versions of the protocol, and omits the name in its answer.
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
        """Return a file system's free bytes and whether it is read-only.

        Return None if the server does not report them. Raise SftpStatusError.
        """
        if STATVFS not in self.extensions:
            return None
        body = packed(STATVFS) + packed(path)
        answer = self._ask(EXTENDED, body, expected=EXTENDED_REPLY)[:88]
        (_, unit, blocks, _, free, files, _, free_files, _, flags, _) = struct.unpack(
            ">11Q", answer
        )
        if not blocks:
            return None  # such an answer is a placeholder
        room = unit * free if free_files or not files else 0
        return room, bool(flags & READ_ONLY_FLAG)

    def rename(self, old: str, new: str) -> None:
        """Rename by protocol version 3. Most servers refuse if `new` exists."""
        self.take(self.post_rename(old, new))

    def post_rename(self, old: str, new: str) -> int:
        """Request a renaming by protocol version 3. Return the request's number."""
        return self.post(RENAME, packed(old) + packed(new))

    def posix_rename(self, old: str, new: str) -> None:
        """Rename and replace an existing file in one step (OpenSSH PROTOCOL, section 4.3)."""
        self.take(self.post_posix_rename(old, new))

    def post_posix_rename(self, old: str, new: str) -> int:
        """Request a renaming in one step. Return the request's number."""
        return self.post(EXTENDED, packed(POSIX_RENAME) + packed(old) + packed(new))

    def remove(self, path: str) -> None:
        """Delete a remote file."""
        self._ask(REMOVE, packed(path))

    def make_folder(self, path: str) -> None:
        """Make one remote folder, without any attributes."""
        self._ask(MKDIR, packed(path) + struct.pack(">I", 0))

    def entries(self, folder: str) -> list[tuple[bytes, Attributes]]:
        """Return the names in a remote folder with their attributes. Raise SftpStatusError."""
        return Listing(self, folder).entries()

    def names(self, folder: str) -> list[str]:
        """Return the names in a remote folder. Raise SftpStatusError."""
        return Listing(self, folder).names()
