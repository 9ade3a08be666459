"""Simulate a line with a rate and a delay: forward TCP connections to a local port.

It buffers little, so data that the line has not carried yet waits at the sender.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

from support import waiting

PIECE_BYTES = 1024
BUFFER_BYTES = 8192


class Uplink:
    """A rate in bytes a second, shared by all users of the line."""

    def __init__(self, rate: float = math.inf) -> None:
        self.rate = rate
        self._free = time.monotonic()  # the time when it has carried everything so far
        self._lock = threading.Lock()

    def carry(self, count: int) -> None:
        """Return when so many bytes have passed."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + count / self.rate
            wait = self._free - time.monotonic()
        if wait > 0:
            time.sleep(wait)


@dataclass
class Line:
    """A line to a vendor's port."""

    port: int
    uplink: Uplink = field(default_factory=Uplink)
    delay: float = 0  # seconds each way
    stands_still_after: float = math.inf  # bytes from the client, then nothing passes
    passed: int = 0  # bytes from the client

    @contextlib.contextmanager
    def up(self) -> Iterator[int]:
        """Open a port for any number of connections within the block."""
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            server.bind(("127.0.0.1", 0))
            server.listen()
            accepting = threading.Thread(target=self._accept, args=(server,), daemon=True)
            accepting.start()
            try:
                yield server.getsockname()[1]
            finally:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                accepting.join(waiting.HANG_SECONDS)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as vendor:
            for end in (client, vendor):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = [
                threading.Thread(
                    target=self._pass, args=(client, vendor, self.uplink), daemon=True
                ),
                threading.Thread(target=self._pass, args=(vendor, client, None), daemon=True),
            ]
            for way in ways:
                way.start()
            for way in ways:
                way.join()

    def _pass(self, source: socket.socket, sink: socket.socket, uplink: Uplink | None) -> None:
        pieces: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        writing = threading.Thread(target=self._write, args=(sink, pieces), daemon=True)
        writing.start()
        while True:
            while self.passed >= self.stands_still_after and sink.fileno() >= 0:
                time.sleep(0.05)
            data = b""
            with contextlib.suppress(OSError):  # a broken connection has ended, too
                data = source.recv(PIECE_BYTES)
            if uplink:
                uplink.carry(len(data))
                self.passed += len(data)
            pieces.put((time.monotonic() + self.delay, data))
            if not data:
                break
        writing.join()

    @staticmethod
    def _write(sink: socket.socket, pieces: SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
