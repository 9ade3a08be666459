"""Time limits of an upload, and a watchdog for connections that stand still."""

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

SIOCOUTQNSD = 0x894B  # from linux/sockios.h: bytes that were never sent
LONGEST_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Times:
    """Time limits of each step, in seconds."""

    connect: float = 30
    answer: float = 60  # without data in either direction
    listing: float = 120  # all names of a folder
    finish: float = 300  # the answers to a file's closing and renaming
    tidy: float = 10  # a whole clean-up. The unit has 30 s to stop.
    stop: float = 3  # the current request when a signal comes


class Watchdog:
    """Ends a connection that stands still.

    A connection moves when an answer arrives or when data leaves this host. A slow line may need
    minutes for the data in flight and brings no answer meanwhile. Each step has its own limit. A
    thread ends steps without one: paramiko waits for ever for the answer to a subsystem's request,
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
        """Return whether the upload's time limit is reached."""
        return time.monotonic() >= self.ends

    def left(self, seconds: float) -> float:
        """Return a step's seconds within the upload's limit, always more than 0."""
        return max(0.01, min(seconds, self.ends - time.monotonic()))

    @contextlib.contextmanager
    def allowing(self, seconds: float) -> Iterator[None]:
        """Allow the server so many seconds for an answer in the block."""
        former, self.allowed = self.allowed, max(seconds, self.times.answer)
        try:
            yield
        finally:
            self.allowed = former

    def moved(self) -> None:
        """Note that data has arrived from the server."""
        self._moved = time.monotonic()

    def sent(self) -> None:
        """Note that a request was handed over to the system."""
        self._moved = time.monotonic()
        self._is_sending = True

    def unsent(self) -> int:
        """Return the bytes that the system has not begun to send, 0 if it does not report them."""
        return self._ask_system(SIOCOUTQNSD)

    def _ask_system(self, request: int) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._connection:
                answer = fcntl.ioctl(self._connection.fileno(), request, bytes(4))
                return int(struct.unpack("i", answer)[0])
        return 0

    def silent_for(self) -> float:
        """Return the seconds without movement beyond the limit, negative within it.

        If the server's system does not accept bytes, the line is dead. If it has accepted all, the
        server itself may still be working.
        """
        now, queued = time.monotonic(), self._ask_system(termios.TIOCOUTQ)
        if queued < self._queued and self._is_sending:  # a keepalive alone is no movement
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
        """Return the seconds between two checks."""
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
            # The steps' own limits come first. They have better messages and allow a clean-up.
            late = max(self.silent_for(), time.monotonic() - self.ends) - 1.5 * self.times.tidy
            if late > 0 or stop.deferred_for() > self.times.stop:
                self.has_hung_up = late > 0
                hang_up(connection)
                return


def hang_up(connection: socket.socket) -> None:
    """End a connection at once, even while paramiko's thread waits for its data."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
