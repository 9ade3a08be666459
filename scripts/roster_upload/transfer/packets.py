"""Limits for paramiko's input: packets, lines, counts, time and buffers.

paramiko trusts the lengths that a server announces. Before any host key is known, that can be four
gigabytes. A packet of thirty bytes can announce four thousand million prompts.
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

LONGEST_PACKET_BYTES = 256 * 1024  # OpenSSH's limit. RFC 4253, section 6.1, requires 35,000.
LONGEST_GREETING_BYTES = 64 * 1024  # the server's version, and all lines before it
PROMPT_BYTES = 5  # the shortest prompt in a packet: a length and a flag
EXTENSION_BYTES = 8  # two lengths


class BoundedPacketizer(Packetizer):
    """paramiko's packet reader with limits."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._greeting_bytes = 0
        self._handshake_ends = math.inf

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Return `n` bytes. Raise SSHException if `n` is negative or above the limit."""
        if not 0 <= n <= LONGEST_PACKET_BYTES:
            raise paramiko.SSHException(
                f"a packet's length is wrong ({n:,} bytes to read, the limit is "
                f"{LONGEST_PACKET_BYTES:,})"
            )
        data: bytes = super().read_all(n, check_rekey)
        return data

    def _read_timeout(self, timeout: float) -> bytes:
        """Return a piece of the lines before the first packet. Raise SSHException beyond limits."""
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # it is private
        self._greeting_bytes += len(data)
        if self._greeting_bytes > LONGEST_GREETING_BYTES:
            raise paramiko.SSHException(f": no SSH version within {LONGEST_GREETING_BYTES:,} bytes")
        return data

    def read_message(self) -> tuple[int, Message]:
        """Return the next packet. Raise SSHException if it announces more than it holds."""
        kind, message = super().read_message()
        if kind == MSG_USERAUTH_INFO_REQUEST:  # RFC 4256, section 3.2
            _check_count(message, 3, PROMPT_BYTES)
        elif kind == MSG_EXT_INFO:  # RFC 8308, section 2.3
            _check_count(message, 0, EXTENSION_BYTES)
        return kind, message

    # paramiko's own timer is a thread. After a failed handshake the program would wait for it.

    def start_handshake(self, timeout: float) -> None:
        """Start the handshake's timer, in seconds."""
        self._handshake_ends = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Return whether the handshake has taken too long."""
        return time.monotonic() > self._handshake_ends

    def complete_handshake(self) -> None:
        """Stop the handshake's timer."""
        self._handshake_ends = math.inf


class BoundedPipe(BufferedPipe):  # type: ignore[type-arg]  # no generic when it runs
    """A channel's unread data, limited to the window that the server was offered."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    def feed(self, data: bytes) -> None:
        """Add data. Raise SSHException if the server ignores the window."""
        if len(self) + len(data) > self._most_bytes:
            raise paramiko.SSHException(
                f"the server sent more than the window of {self._most_bytes:,} bytes"
            )
        super().feed(data)


def bound(channel: paramiko.Channel) -> None:
    """Limit a new channel's unread data to its window."""
    channel.in_buffer = BoundedPipe(channel.in_window_size)
    channel.in_stderr_buffer = BoundedPipe(channel.in_window_size)


def _check_count(message: Message, texts: int, least_bytes: int) -> None:
    """Raise SSHException if a message is too short for the items that it announces.

    The number of items follows some texts.
    """
    copy = Message(message.get_remainder())
    for _ in range(texts):
        copy.get_string()
    count = copy.get_int()
    if count * least_bytes > len(copy.get_remainder()):
        raise paramiko.SSHException(f"a packet announces {count:,} items but does not hold them")
