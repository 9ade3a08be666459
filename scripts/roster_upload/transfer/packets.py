"""Bounds for what paramiko takes from a server: packets, lines, counts, time and buffers.

paramiko reads what a server announces: four gigabytes before any host key is known, or a loop over
four thousand million prompts in a packet of thirty bytes.
"""

from __future__ import annotations

import math
import socket
import time

import paramiko
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import MSG_EXT_INFO, MSG_USERAUTH_INFO_REQUEST
from paramiko.message import Message
from paramiko.packet import Packetizer

LONGEST_PACKET_BYTES = 256 * 1024  # as OpenSSH has it; RFC 4253, section 6.1, asks for 35,000
LONGEST_GREETING_BYTES = 64 * 1024  # the server's version, and all lines before it
PROMPT_BYTES = 5  # the least that one takes in a packet: a length and a flag
EXTENSION_BYTES = 8  # two lengths


class BoundedPacketizer(Packetizer):
    """paramiko's reader of packets, which takes no more than a server may send."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._greeting_bytes = 0
        self._handshake_ends = math.inf

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Return so many bytes. Raise SSHException for a packet that is too long, or impossible."""
        if not 0 <= n <= LONGEST_PACKET_BYTES:
            raise paramiko.SSHException(
                f"a packet's length is wrong ({n:,} bytes to read, {LONGEST_PACKET_BYTES:,} is the "
                "most)"
            )
        data: bytes = super().read_all(n, check_rekey)
        return data

    def _read_timeout(self, timeout: float) -> bytes:
        """Return a piece of the lines before the first packet; raise SSHException for too many."""
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # it is private
        self._greeting_bytes += len(data)
        if self._greeting_bytes > LONGEST_GREETING_BYTES:
            raise paramiko.SSHException(
                f": no version of SSH within {LONGEST_GREETING_BYTES:,} bytes"
            )
        return data

    def read_message(self) -> tuple[int, Message]:
        """Return the next packet; raise SSHException where it announces more than it holds."""
        kind, message = super().read_message()
        if kind == MSG_USERAUTH_INFO_REQUEST:  # RFC 4256, section 3.2
            _check_count(message, 3, PROMPT_BYTES)
        elif kind == MSG_EXT_INFO:  # RFC 8308, section 2.3
            _check_count(message, 0, EXTENSION_BYTES)
        return kind, message

    # paramiko's own timer is a thread, for whose end a program waits whose handshake has failed.

    def start_handshake(self, timeout: float) -> None:
        """Let the handshake take so many seconds from now on."""
        self._handshake_ends = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Return whether the handshake has taken too long."""
        return time.monotonic() > self._handshake_ends

    def complete_handshake(self) -> None:
        """End the time of the handshake."""
        self._handshake_ends = math.inf


class BoundedPipe(BufferedPipe):  # type: ignore[type-arg]  # no generic when it runs
    """What a channel has received and nobody has read: no more than the window that was offered."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    def feed(self, data: bytes) -> None:
        """Take more. Raise SSHException where the server does not wait for room."""
        if len(self) + len(data) > self._most_bytes:
            raise paramiko.SSHException(
                f"more than the {self._most_bytes:,} bytes that there was room for"
            )
        super().feed(data)


def bound(channel: paramiko.Channel) -> None:
    """Let a new channel keep no more unread than its window."""
    channel.in_buffer = BoundedPipe(channel.in_window_size)
    channel.in_stderr_buffer = BoundedPipe(channel.in_window_size)


def _check_count(message: Message, texts: int, least_bytes: int) -> None:
    """Check the number of items behind some texts of a message against the bytes that are left."""
    copy = Message(message.get_remainder())
    for _ in range(texts):
        copy.get_string()
    count = copy.get_int()
    if count * least_bytes > len(copy.get_remainder()):
        raise paramiko.SSHException(f"a packet announces {count:,} items and does not hold them")
