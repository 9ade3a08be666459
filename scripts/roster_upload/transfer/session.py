"""Requests on one channel of an SSH connection, and their answers."""

from __future__ import annotations

import struct
import time
from itertools import islice

import paramiko

from roster_upload.exits import Exit
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.messages import (
    INIT,
    STATUS,
    VERSION,
    WRITE,
    ConnectionLost,
    ProtocolError,
    SftpStatusError,
    check_answer,
    string_pairs,
)
from roster_upload.transfer.watchdog import Watchdog

LONGEST_ANSWER_BYTES = 256 * 1024  # as OpenSSH has it
MOST_EXTENSIONS = 64  # servers announce about ten


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
        self.extensions = dict(islice(string_pairs(body[4:]), MOST_EXTENSIONS))

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
        check_answer(kind, body, expected)
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
                check_answer(kind, body, STATUS)
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
