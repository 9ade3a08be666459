"""SFTP session: requests on one channel of an SSH connection, and their answers."""

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

LONGEST_ANSWER_BYTES = 256 * 1024  # OpenSSH's limit
MOST_EXTENSIONS = 64  # servers announce about ten


class Session:
    """Requests on a channel, and their answers in any order.

    `take` waits for the answer to one request, `await_write` for the answer to any write. Nothing
    else waits for answers.
    """

    def __init__(self, channel: paramiko.Channel, watchdog: Watchdog | None = None) -> None:
        self.channel = channel
        self.watchdog = watchdog or Watchdog()
        self.ends = self.watchdog.ends
        self.writes: dict[int, int] = {}  # unanswered ones: number to bytes
        self.acknowledged = 0  # bytes of the current file
        self.refused_write: SftpStatusError | None = None  # the first one of the current file
        self._number = 0
        self._buffer = bytearray()
        self._posted: set[int] = set()  # other unanswered requests
        self._early: dict[int, tuple[int, bytes]] = {}  # answers that nobody has taken yet
        self._is_torn = False  # whether only a part of a request was sent
        self._send(INIT, struct.pack(">I", 3), numbered=False)
        kind, body = self._receive()
        if kind != VERSION:
            raise ProtocolError("the server does not speak SFTP")
        self.extensions = dict(islice(string_pairs(body[4:]), MOST_EXTENSIONS))

    def hurry(self) -> None:
        """Limit all requests until `go_on` to the time of a clean-up."""
        self.ends = time.monotonic() + self.watchdog.times.tidy

    def go_on(self) -> None:
        """Return to the time limit of the whole upload after a clean-up."""
        self.ends = self.watchdog.ends

    def _seconds_left(self) -> float:
        """Return the seconds until the session has to end. Raise ConnectionLost at 0."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise ConnectionLost("the time limit is reached", Exit.SILENT)
        return left

    def _lost(self, error: Exception | str) -> ConnectionLost:
        if why := self._broken_by():
            return ProtocolError(why)
        is_late = isinstance(error, TimeoutError) or "timed out" in str(error)
        if is_late or self.watchdog.has_hung_up:
            return self._silent()
        return ConnectionLost(str(error) or "the connection is gone")

    def _broken_by(self) -> str:
        """Return why paramiko's thread has ended the connection, "" if it has not."""
        error = self.channel.get_transport().saved_exception
        is_protocol_error = isinstance(error, paramiko.SSHException)
        return printable(str(error)) if is_protocol_error else ""

    def _silent(self) -> ConnectionLost:
        return ConnectionLost(f"no answer within {self.watchdog.allowed:g} s", Exit.SILENT)

    def _send(
        self, kind: int, *body: bytes, numbered: bool = True, data_bytes: int | None = None
    ) -> int:
        """Send a request and return its number. `data_bytes` is the number of a write's bytes.

        The parts are joined only once, since joining copies them. The request is noted before it is
        sent, so that a signal right after that does not lose its answer.
        """
        number = b""
        if numbered:
            self._number += 1
            number = struct.pack(">I", self._number)
        length = sum(map(len, body)) + len(number) + 1
        if self._is_torn:
            raise ConnectionLost("the last request was sent only in part")
        self.channel.settimeout(min(self.watchdog.times.answer, self._seconds_left()))
        self._is_torn = True
        data = b"".join((struct.pack(">IB", length, kind), number, *body))
        try:
            with stop.deferred():  # a signal that cuts off a packet would end the connection
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
        """Return the next answer's kind and body."""
        self._fill(4)
        length = struct.unpack(">I", self._buffer[:4])[0]
        if not 5 <= length <= LONGEST_ANSWER_BYTES:
            raise ProtocolError("the server sent data that is not SFTP")
        self._fill(4 + length)
        data = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return data[0], data[1:]

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._fetch(self.watchdog.look_seconds)

    def _fetch(self, seconds: float) -> None:
        """Receive data for some seconds. Raise ConnectionLost if the connection stands still.

        Signals are handled afterwards, since they must not interrupt paramiko's locks.
        """
        self.channel.settimeout(min(seconds, self._seconds_left()))
        try:
            with stop.deferred():  # a signal must not lose received data
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
        """Wait some seconds for an answer to begin. Return whether one has begun."""
        if not self._buffer:
            self._fetch(seconds)
        return bool(self._buffer)

    def post(self, kind: int, body: bytes) -> int:
        """Send a request without waiting for its answer. Return its number."""
        return self._send(kind, body)

    def post_write(self, handle: bytes, offset: int, data: bytes) -> None:
        """Send a piece of a file."""
        where = struct.pack(">QI", offset, len(data))
        self._send(WRITE, handle, where, data, data_bytes=len(data))

    def take(self, number: int, expected: int = STATUS) -> bytes:
        """Return the answer to a posted request. Raise SftpStatusError for an error."""
        while number in self._posted:
            self._receive_answer()
        kind, body = self._early.pop(number)
        check_answer(kind, body, expected)
        return body

    def begin_file(self) -> None:
        """Wait for the answers to a former file's writes, and reset the counts."""
        while self.writes:
            self._receive_answer()
        self.acknowledged, self.refused_write = 0, None

    def await_write(self) -> None:
        """Wait until one more write is answered, if there are unanswered ones.

        Raise SftpStatusError if the server has refused one.
        """
        count = len(self.writes)
        while self.writes and len(self.writes) == count and not self.refused_write:
            self._receive_answer()
        if self.refused_write:
            raise self.refused_write

    def receive_ready(self) -> None:
        """Receive the answers that have arrived, without waiting."""
        while self._is_whole() or self.channel.recv_ready():
            self._receive_answer()

    def _is_whole(self) -> bool:
        """Return whether a whole answer has arrived."""
        head = self._buffer[:4]
        return len(head) == 4 and len(self._buffer) >= 4 + int.from_bytes(head, "big")

    def _receive_answer(self) -> None:
        """Receive the answer to one of the unanswered requests."""
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
        """Send a request and return its answer. Raise SftpStatusError for an error."""
        return self.take(self.post(kind, body), expected)
