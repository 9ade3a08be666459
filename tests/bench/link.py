"""Simulate a line with a round trip: forward TCP connections to a local port with a delay.

    python -m bench.link ROUND_TRIP SERVER_PORT [RATE]     says its own port, serves until ended

The round trip is in seconds. The rate of the way to the server is in bytes a second. Without a
rate, data is read as soon as it arrives. With a rate, no more is read than the line carries, so the
rest waits at the sender. A new connection takes as long as on a real line.
"""

from __future__ import annotations

import contextlib
import math
import queue
import socket
import sys
import threading
import time

PIECE_BYTES = 1 << 18
SHORT_PIECE_BYTES = 1460  # for a line with a rate: the bytes of a packet
SHORT_BUFFER_BYTES = 16384

Pieces = queue.SimpleQueue[tuple[float, bytes]]  # chunks with their times, empty at the end


def read(source: socket.socket, pieces: Pieces, delay: float, rate: float = math.inf) -> None:
    """Read from a connection as much as the line carries."""
    free = time.monotonic()  # the time when the line has carried everything so far
    while True:
        data = b""
        with contextlib.suppress(OSError):  # a broken connection has ended, too
            data = source.recv(PIECE_BYTES if rate == math.inf else SHORT_PIECE_BYTES)
        free = max(free, time.monotonic()) + len(data) / rate
        time.sleep(max(0.0, free - time.monotonic()))
        pieces.put((time.monotonic() + delay, data))
        if not data:
            return


def write(sink: socket.socket, pieces: Pieces) -> None:
    """Write to a connection when the data is due."""
    with contextlib.suppress(OSError):
        while True:
            due, data = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)


def start(*work: object) -> threading.Thread:
    """Start a function with its arguments in a thread."""
    thread = threading.Thread(target=work[0], args=work[1:], daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def forward(client: socket.socket, server_port: int, delay: float, rate: float) -> None:
    """Serve one connection until both ways have ended.

    The client may send two delays after its first packet. The server learns of it one delay later.
    """
    there: Pieces = queue.SimpleQueue()
    back: Pieces = queue.SimpleQueue()
    time.sleep(2 * delay)
    start(read, client, there, delay, rate)
    time.sleep(delay)
    with client, socket.create_connection(("127.0.0.1", server_port)) as server:
        for connection in (client, server):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start(read, server, back, delay)
        ways = [start(write, server, there), start(write, client, back)]
        for way in ways:
            way.join()


def main() -> None:
    """Serves."""
    delay, server_port = float(sys.argv[1]) / 2, int(sys.argv[2])
    rate = float(sys.argv[3]) if len(sys.argv) > 3 else math.inf
    with socket.socket() as listener:
        if rate != math.inf:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHORT_BUFFER_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        while True:
            start(forward, listener.accept()[0], server_port, delay, rate)


if __name__ == "__main__":
    main()
