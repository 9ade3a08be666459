"""Connect ssh to a container, from outside of the lab."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from pathlib import Path

from lab.process import LabError
from lab.running import need_holder, within


def connect(address: str, port: int) -> None:
    """Relay standard input and output to a container's port, from any namespace."""
    if not within():
        with Path(f"/proc/{need_holder()}/ns/net").open("rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), 0) != 0:
                raise LabError(f"cannot enter the lab: {os.strerror(ctypes.get_errno())}")
    try:
        with socket.create_connection((address, port), 10) as server:
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            relay(server, 0, 1)
    except OSError as error:
        raise LabError(f"{address} port {port}: {error.strerror or error}") from None


def relay(server: socket.socket, source: int, sink: int) -> None:
    """Copy both ways until the server closes. Close the server's input when the source ends.

    Each way has its own thread, so that a blocked one never blocks the other.
    """

    def send() -> None:
        with contextlib.suppress(OSError):  # the server has closed, which the other way notices
            while data := os.read(source, 65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    while data := server.recv(65536):
        while data:
            data = data[os.write(sink, data) :]
