"""SFTP messages: numbers, errors, strings and attributes (draft-ietf-secsh-filexfer-02)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from roster_upload.exits import Exit
from roster_upload.terminal.printable import printable

(INIT, VERSION, OPEN, CLOSE, READ, WRITE, FSTAT) = (1, 2, 3, 4, 5, 6, 8)
(OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME) = (11, 12, 13, 14, 17, 18)
(STATUS, HANDLE, DATA, NAME, ATTRS) = (101, 102, 103, 104, 105)
(EXTENDED, EXTENDED_REPLY) = (200, 201)
(OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED) = (0, 1, 2, 3, 4, 8)
POSIX_RENAME = "posix-rename@openssh.com"


class SftpStatusError(Exception):
    """The server answered a request with an error: a status code and its own words."""

    def __init__(self, code: int, words: str) -> None:
        self.code = code
        self.words = printable(words)
        super().__init__(f"{self.words or 'no reason given'} (SFTP status {code})")


class ConnectionLost(Exception):
    """The session cannot continue. `code` is the exit code."""

    def __init__(self, why: str, code: Exit = Exit.VANISHED) -> None:
        super().__init__(why)
        self.code = code


class ProtocolError(ConnectionLost):
    """The server sent something that does not answer the request."""

    def __init__(self, why: str = "the server answered another question") -> None:
        super().__init__(why, Exit.TRANSFER)


# Errors that end a session. An answer that is too short raises struct.error.
BROKEN = (ConnectionLost, struct.error)


# The attributes of filexfer-02, section 5, in their order: flag and format.
ATTRIBUTES = ((0x01, ">Q"), (0x02, ">II"), (0x04, ">I"), (0x08, ">II"))
SIZE, MODE, TIMES = 0x01, 0x04, 0x08
FOLDER_MODE, FILE_MODE, FORMAT_MASK = 0o040000, 0o100000, 0o170000


class Attributes:
    """A file's attributes on the server (draft-ietf-secsh-filexfer-02, section 5)."""

    def __init__(self, values: dict[int, tuple[int, ...]]) -> None:
        self.size = values[SIZE][0] if SIZE in values else None  # bytes
        self.modified = values[TIMES][1] if TIMES in values else None  # seconds since 1970
        self.mode = values[MODE][0] if MODE in values else None

    @property
    def is_no_folder(self) -> bool:
        """Return whether the server reports something other than a folder."""
        return self._kind not in (0, FOLDER_MODE)

    @property
    def is_folder(self) -> bool:
        """Return whether the server reports a folder."""
        return self._kind == FOLDER_MODE

    @property
    def may_be_file(self) -> bool:
        """Return whether the server reports a regular file, or reports no kind."""
        return self._kind in (0, FILE_MODE)

    @property
    def _kind(self) -> int:
        return (self.mode or 0) & FORMAT_MASK

    @property
    def state(self) -> tuple[int | None, int | None]:
        """Size and time, which differ once a file was written to."""
        return self.size, self.modified

    @classmethod
    def of(cls, body: bytes) -> Attributes:
        """Return the attributes in an answer."""
        return cls.at(body, 0)[0]

    @classmethod
    def at(cls, body: bytes, at: int) -> tuple[Attributes, int]:
        """Return the attributes at an offset in an answer, and the offset of their end."""
        flags = struct.unpack(">I", body[at : at + 4])[0]
        at += 4
        values = {}
        for flag, form in ATTRIBUTES:
            if flags & flag:
                end = at + struct.calcsize(form)
                if end > len(body):
                    break  # some servers announce more than they send
                values[flag] = struct.unpack(form, body[at:end])
                at = end
        if flags & 0x80000000:
            count = struct.unpack(">I", body[at : at + 4])[0]
            at += 4
            for _ in range(2 * count):
                _, at = string_at(body, at)
        return cls(values), at


def packed(text: str) -> bytes:
    """Return a text as SSH sends it: its length in bytes, then UTF-8.

    Names from a listing may hold other bytes. They are sent back as they came.
    """
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack(">I", len(data)) + data


def string_at(body: bytes, at: int) -> tuple[bytes, int]:
    """Return the string at an offset in an answer, and the offset of its end."""
    length = struct.unpack(">I", body[at : at + 4])[0]
    return body[at + 4 : at + 4 + length], at + 4 + length


def entries_in(body: bytes) -> Iterator[tuple[bytes, Attributes]]:
    """Yield names with their attributes (draft-ietf-secsh-filexfer-02, section 7)."""
    at = 4
    for _ in range(struct.unpack(">I", body[:4])[0]):
        name, at = string_at(body, at)
        _, at = string_at(body, at)
        attributes, at = Attributes.at(body, at)
        yield name, attributes


def string_pairs(body: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(body):
        name, at = string_at(body, at)
        value, at = string_at(body, at)
        yield printable(name), printable(value)


def check_answer(kind: int, body: bytes, expected: int) -> None:
    """Raise SftpStatusError for an error. Raise ProtocolError for an answer of another kind."""
    if kind == STATUS:
        code = struct.unpack(">I", body[:4])[0]
        if code != OK:
            words = string_at(body, 4)[0].decode("utf-8", "replace") if len(body) > 4 else ""
            raise SftpStatusError(code, " ".join(words.split()))
    if kind != expected:
        raise ProtocolError
