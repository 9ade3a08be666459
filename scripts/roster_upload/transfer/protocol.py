"""SFTP requests and their answers, on one channel of an SSH connection.

paramiko's own `put` drops the answers to its last writes and closes a file that was cut off as if
it were whole (https://github.com/paramiko/paramiko/blob/main/paramiko/sftp_file.py). Here each
request's answer is read and checked. The protocol is version 3,
draft-ietf-secsh-filexfer-02, which is what servers speak.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from collections.abc import Iterator
from itertools import islice

import paramiko

from roster_upload.exits import Exit
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.watchdog import Watchdog

(INIT, VERSION, OPEN, CLOSE, WRITE, FSTAT) = (1, 2, 3, 4, 6, 8)
(OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME) = (11, 12, 13, 14, 17, 18)
(STATUS, HANDLE, NAME, ATTRS, EXTENDED, EXTENDED_REPLY) = (101, 102, 104, 105, 200, 201)
(OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED) = (0, 1, 2, 3, 4, 8)
CREATE_FLAGS = 0x02 | 0x08 | 0x10  # write, create, truncate
LONGEST_ANSWER_BYTES = 256 * 1024  # as OpenSSH has it
# Of a folder: beyond it, it counts as one that cannot be listed.
MOST_NAMES = 100_000
MOST_LISTED_BYTES = 32 << 20
MOST_EXTENSIONS = 64  # servers announce about ten
READ_ONLY_FLAG = 0x01  # of statvfs
POSIX_RENAME = "posix-rename@openssh.com"
STATVFS = "statvfs@openssh.com"
HASHES = {"check-file", "check-file-name"}  # servers announce either name
# The attributes of filexfer-02, section 5, in their order: flag and format.
ATTRIBUTES = ((0x01, ">Q"), (0x02, ">II"), (0x04, ">I"), (0x08, ">II"))
SIZE, MODE, TIMES = 0x01, 0x04, 0x08
FOLDER_MODE, FORMAT_MASK = 0o040000, 0o170000


class SftpStatusError(Exception):
    """A request that the server answered with an error: its status code and its own words."""

    def __init__(self, code: int, words: str) -> None:
        self.code = code
        self.words = printable(words)
        super().__init__(f"{self.words or 'no reason given'} (SFTP status {code})")


class ConnectionLost(Exception):
    """The conversation cannot go on: with which exit code, and why."""

    def __init__(self, why: str, code: Exit = Exit.VANISHED) -> None:
        super().__init__(why)
        self.code = code


class ProtocolError(ConnectionLost):
    """The server sent what is no answer to what it was asked."""

    def __init__(self, why: str = "the server answered another question") -> None:
        super().__init__(why, Exit.TRANSFER)


# What ends a conversation. struct.error comes of an answer that is too short.
BROKEN = (ConnectionLost, struct.error)


class Session:
    """Requests on a channel, and their answers in whatever order they come.

    An answer is only waited for while a request is outstanding: `take` gets the answer to one
    request, `await_write` that to any write.
    """

    def __init__(self, channel: paramiko.Channel, watchdog: Watchdog | None = None) -> None:
        self.channel = channel
        self.watchdog = watchdog or Watchdog()
        self.ends = self.watchdog.ends
        self.writes: dict[int, int] = {}  # without their answer yet: number to bytes
        self.acknowledged = 0  # bytes of the present file
        self.refused_write: SftpStatusError | None = None  # the first one of the present file
        self._number = 0
        self._buffer = bytearray()
        self._posted: set[int] = set()  # other requests without their answer yet
        self._early: dict[int, tuple[int, bytes]] = {}  # answers that came before they were asked
        self._is_torn = False  # whether a request was sent in part
        self._send(INIT, struct.pack(">I", 3), numbered=False)
        kind, body = self._receive()
        if kind != VERSION:
            raise ProtocolError("the server does not speak SFTP")
        self.extensions = dict(islice(_strings_in_pairs(body[4:]), MOST_EXTENSIONS))

    def hurry(self) -> None:
        """Take no longer for all that follows than a clean-up may, until `go_on`."""
        self.ends = time.monotonic() + self.watchdog.times.tidy

    def go_on(self) -> None:
        """Take the time of the whole upload again, behind a clean-up."""
        self.ends = self.watchdog.ends

    def _seconds_left(self) -> float:
        """Return the seconds until the conversation has to end; raise ConnectionLost at 0."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise ConnectionLost("the time is up", Exit.SILENT)
        return left

    def _lost(self, error: Exception | str) -> ConnectionLost:
        if why := self._broken_by():
            return ProtocolError(why)
        is_late = isinstance(error, TimeoutError) or "timed out" in str(error)
        if is_late or self.watchdog.has_hung_up:
            return self._silent()
        return ConnectionLost(str(error) or "the connection is gone")

    def _broken_by(self) -> str:
        """Return why paramiko's thread has ended the connection, "" where it has not."""
        error = self.channel.get_transport().saved_exception
        is_protocols = isinstance(error, paramiko.SSHException)
        return printable(str(error)) if is_protocols else ""

    def _silent(self) -> ConnectionLost:
        return ConnectionLost(f"no answer within {self.watchdog.allowed:g} s", Exit.SILENT)

    def _send(
        self, kind: int, *body: bytes, numbered: bool = True, data_bytes: int | None = None
    ) -> int:
        """Send a request; its parts are joined once, since they are copied by that.

        It is outstanding before it is sent, so that a signal behind that does not lose its answer.
        `data_bytes` are those of a write.
        """
        number = b""
        if numbered:
            self._number += 1
            number = struct.pack(">I", self._number)
        length = sum(map(len, body)) + len(number) + 1
        if self._is_torn:
            raise ConnectionLost("the last request was not sent whole")
        self.channel.settimeout(min(self.watchdog.times.answer, self._seconds_left()))
        self._is_torn = True
        data = b"".join((struct.pack(">IB", length, kind), number, *body))
        try:
            with stop.deferred():  # a packet that is cut off by a signal ends the connection
                if data_bytes is not None:
                    self.writes[self._number] = data_bytes
                elif numbered:
                    self._posted.add(self._number)
                self.channel.sendall(data)
                self._is_torn = False
                self.watchdog.sent()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from None
        return self._number

    def _receive(self) -> tuple[int, bytes]:
        """Return the next answer: its kind and the rest."""
        self._fill(4)
        length = struct.unpack(">I", self._buffer[:4])[0]
        if not 5 <= length <= LONGEST_ANSWER_BYTES:
            raise ProtocolError("the server sent something that is not SFTP")
        self._fill(4 + length)
        data = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return data[0], data[1:]

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._fetch(self.watchdog.look_seconds)

    def _fetch(self, seconds: float) -> None:
        """Take what comes within some seconds; raise ConnectionLost where the line stands still.

        A signal is heard after it: paramiko has locks that must not be torn.
        """
        self.channel.settimeout(min(seconds, self._seconds_left()))
        try:
            with stop.deferred():  # what was received must not be lost to a signal
                data = self.channel.recv(65536)
                self._buffer += data
                self.watchdog.moved()
        except TimeoutError:
            if self.watchdog.silent_for() > 0:
                raise self._silent() from None
            return
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from None
        if not data:
            raise self._lost("it was closed")

    def has_answer(self, seconds: float) -> bool:
        """Wait some seconds for an answer to begin; return whether one has."""
        if not self._buffer:
            self._fetch(seconds)
        return bool(self._buffer)

    def post(self, kind: int, body: bytes) -> int:
        """Send a request and do not wait for its answer; return its number."""
        return self._send(kind, body)

    def post_write(self, handle: bytes, offset: int, data: bytes) -> None:
        """Send a piece of a file."""
        where = struct.pack(">QI", offset, len(data))
        self._send(WRITE, handle, where, data, data_bytes=len(data))

    def take(self, number: int, expected: int = STATUS) -> bytes:
        """Return the answer to a posted request; raise SftpStatusError where it is an error."""
        while number in self._posted:
            self._receive_answer()
        kind, body = self._early.pop(number)
        _check(kind, body, expected)
        return body

    def begin_file(self) -> None:
        """Wait for the answers to what was written to a former file, and count anew."""
        while self.writes:
            self._receive_answer()
        self.acknowledged, self.refused_write = 0, None

    def await_write(self) -> None:
        """Wait until one more write is answered, if any is outstanding.

        Raise SftpStatusError where the server has refused one.
        """
        count = len(self.writes)
        while self.writes and len(self.writes) == count and not self.refused_write:
            self._receive_answer()
        if self.refused_write:
            raise self.refused_write

    def receive_ready(self) -> None:
        """Receive the answers that have come, and wait for none."""
        while self._is_whole() or self.channel.recv_ready():
            self._receive_answer()

    def _is_whole(self) -> bool:
        """Return whether an answer has come to its end."""
        head = self._buffer[:4]
        return len(head) == 4 and len(self._buffer) >= 4 + int.from_bytes(head, "big")

    def _receive_answer(self) -> None:
        """Receive the answer to one of the outstanding requests."""
        kind, body = self._receive()
        number, body = struct.unpack(">I", body[:4])[0], body[4:]
        if number in self.writes:
            self.acknowledged += self.writes.pop(number)
            try:
                _check(kind, body, STATUS)
            except SftpStatusError as refused:
                self.refused_write = self.refused_write or refused
        elif number in self._posted:
            self._posted.remove(number)
            self._early[number] = kind, body
        else:
            raise ProtocolError

    def _ask(self, kind: int, body: bytes, expected: int = STATUS) -> bytes:
        """Ask and return the answer; raise SftpStatusError where it is an error."""
        return self.take(self.post(kind, body), expected)


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
        algorithm, at = _string(answer, 0)
        if algorithm == b"check-file":
            algorithm, at = _string(answer, at)
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


def _endless(most: str) -> SftpStatusError:
    return SftpStatusError(FAILURE, f"the folder's listing takes {most}")


class Listing:
    """The names in a remote folder, asked for beside other requests."""

    def __init__(self, sftp: Sftp, folder: str) -> None:
        self.sftp = sftp
        self._opened = sftp.post(OPENDIR, packed(folder))
        self._handle = b""
        self._reads: list[int] = []

    def begin(self) -> None:
        """Ask for the names; raise SftpStatusError where the folder cannot be listed."""
        self._handle = self.sftp.take(self._opened, HANDLE)
        # Most folders take one answer, and a second that says that this was all.
        self._reads = [self.sftp.post(READDIR, self._handle) for _ in range(2)]

    def names(self) -> list[str]:
        """Return the names; raise SftpStatusError, also for a listing without an end."""
        if not self._handle:
            self.begin()
        found: list[str] = []
        try:
            for answers, body in enumerate(self._answers(), 1):
                found += _names(body)
                if len(found) + answers > MOST_NAMES:
                    raise _endless(f"more than {MOST_NAMES:,} names and answers")
        except SftpStatusError:
            self._close()
            raise
        self._close()
        return found

    def _close(self) -> None:
        """Close the folder, whatever the answer, when it comes."""
        self.sftp.post(CLOSE, self._handle)

    def _answers(self) -> Iterator[bytes]:
        """Give the answers that hold names; raise SftpStatusError."""
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


class Attributes:
    """What a server tells of a file (draft-ietf-secsh-filexfer-02, section 5)."""

    def __init__(self, values: dict[int, tuple[int, ...]]) -> None:
        self.size = values[SIZE][0] if SIZE in values else None  # bytes
        self.modified = values[TIMES][1] if TIMES in values else None  # seconds since 1970
        self.mode = values[MODE][0] if MODE in values else None

    @property
    def is_no_folder(self) -> bool:
        """Whether the server says that it is something else than a folder."""
        return self._kind not in (0, FOLDER_MODE)

    @property
    def is_folder(self) -> bool:
        """Whether the server says that it is a folder."""
        return self._kind == FOLDER_MODE

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
        """Return the attributes at a place in an answer, and where they end."""
        flags = struct.unpack(">I", body[at : at + 4])[0]
        at += 4
        values = {}
        for flag, form in ATTRIBUTES:
            if flags & flag:
                end = at + struct.calcsize(form)
                if end > len(body):
                    break  # some servers announce more than they tell
                values[flag] = struct.unpack(form, body[at:end])
                at = end
        if flags & 0x80000000:
            count = struct.unpack(">I", body[at : at + 4])[0]
            at += 4
            for _ in range(2 * count):
                _, at = _string(body, at)
        return cls(values), at


def packed(text: str) -> bytes:
    """Return a text as SSH sends it: its length in bytes, then UTF-8."""
    data = text.encode("utf-8")
    return struct.pack(">I", len(data)) + data


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    length = struct.unpack(">I", body[at : at + 4])[0]
    return body[at + 4 : at + 4 + length], at + 4 + length


def _names(body: bytes) -> Iterator[str]:
    """Give the names in an answer (draft-ietf-secsh-filexfer-02, section 7)."""
    at = 4
    for _ in range(struct.unpack(">I", body[:4])[0]):
        name, at = _string(body, at)
        _, at = _string(body, at)
        _, at = Attributes.at(body, at)
        yield name.decode("utf-8", "replace")


def _strings_in_pairs(body: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(body):
        name, at = _string(body, at)
        value, at = _string(body, at)
        yield printable(name), printable(value)


def _check(kind: int, body: bytes, expected: int) -> None:
    """Raise SftpStatusError for an error, ProtocolError for what is no answer to the request."""
    if kind == STATUS:
        code = struct.unpack(">I", body[:4])[0]
        if code != OK:
            words = _string(body, 4)[0].decode("utf-8", "replace") if len(body) > 4 else ""
            raise SftpStatusError(code, " ".join(words.split()))
    if kind != expected:
        raise ProtocolError
