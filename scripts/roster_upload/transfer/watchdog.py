"""The time that an upload has, and whether its connection still moves."""

from __future__ import annotations

import contextlib
import fcntl
import math
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from roster_upload.host import stop

SIOCOUTQNSD = 0x894B  # of linux/sockios.h: bytes that are not sent for the first time yet
LONGEST_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Times:
    """How long each step may take, in seconds."""

    connect: float = 30
    answer: float = 60  # in which nothing moves in either direction
    listing: float = 120  # for all names of a folder
    finish: float = 300  # for the answers to the closing and the renaming of a file
    tidy: float = 10  # for a whole clean-up; the unit has 30 s to end
    stop: float = 3  # for the request under way when a signal comes


class Watchdog:
    """Knows whether a connection moves, and hangs up on one that stands still.

    What moves is an answer that comes, or data that leaves this host: a long line takes minutes
    for what is on its way, and answers nothing meanwhile. Each step has its own limit. A thread
    hangs up where there is none: paramiko waits for ever for the answer to a subsystem's request,
    and for room in a socket that nobody reads.
    """

    def __init__(self, limit: float | None = None, times: Times | None = None) -> None:
        self.times = times or Times()
        self.ends = math.inf if limit is None else time.monotonic() + limit
        self.has_hung_up = False
        self.allowed = self.times.answer
        self._connection: socket.socket | None = None
        self._moved = self._emptied = time.monotonic()
        self._queued = 0
        self._is_sending = False

    @property
    def is_over(self) -> bool:
        """Whether the time of the upload is up."""
        return time.monotonic() >= self.ends

    def left(self, seconds: float) -> float:
        """Return those of a step's seconds that the upload still has, never quite none."""
        return max(0.01, min(seconds, self.ends - time.monotonic()))

    @contextlib.contextmanager
    def allowing(self, seconds: float) -> Iterator[None]:
        """Let the server take so long for an answer in the block."""
        former, self.allowed = self.allowed, max(seconds, self.times.answer)
        try:
            yield
        finally:
            self.allowed = former

    def moved(self) -> None:
        """Something has come from the server."""
        self._moved = time.monotonic()

    def sent(self) -> None:
        """A request was handed over to the system."""
        self._moved = time.monotonic()
        self._is_sending = True

    def unsent(self) -> int:
        """Return the bytes that the system has not begun to send, 0 where it does not tell."""
        return self._ask_system(SIOCOUTQNSD)

    def _ask_system(self, request: int) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._connection:
                told = fcntl.ioctl(self._connection.fileno(), request, bytes(4))
                return int(struct.unpack("i", told)[0])
        return 0

    def silent_for(self) -> float:
        """Return the seconds beyond those allowed for which nothing has moved, below 0 if it has.

        Bytes that the server's system does not take show a line that is dead at once. Where it has
        taken all, the server itself may still be at work.
        """
        now, queued = time.monotonic(), self._ask_system(termios.TIOCOUTQ)
        if queued < self._queued and self._is_sending:  # else it is but a keepalive that has gone
            self._moved = now
        if queued < self._queued or not queued:
            self._emptied = now
        self._is_sending = self._is_sending and queued > 0
        self._queued = queued
        if queued:
            return now - max(self._moved, self._emptied) - self.times.answer
        return now - self._moved - self.allowed

    @property
    def look_seconds(self) -> float:
        """How often to look."""
        return min(LONGEST_LOOK_SECONDS, self.times.answer / 10)

    @contextlib.contextmanager
    def over(self, connection: socket.socket) -> Iterator[None]:
        """Watch a connection for the time of the block."""
        self._connection = connection
        self.moved()
        done = threading.Event()
        threading.Thread(target=self._watch, args=(connection, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            self._connection = None

    def _watch(self, connection: socket.socket, done: threading.Event) -> None:
        while not done.wait(self.look_seconds):
            # The steps' own limits come first, with better words, and leave time to tidy up.
            late = max(self.silent_for(), time.monotonic() - self.ends) - 1.5 * self.times.tidy
            if late > 0 or stop.deferred_for() > self.times.stop:
                self.has_hung_up = late > 0
                hang_up(connection)
                return


def hang_up(connection: socket.socket) -> None:
    """End a connection at once, even while paramiko's thread waits for something from it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
