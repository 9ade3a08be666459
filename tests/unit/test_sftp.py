"""The SFTP requests over a channel whose answers are written down beforehand."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from roster_upload import sftp


def answer(kind: int, number: int, body: bytes) -> bytes:
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int = sftp.OK) -> bytes:
    return answer(sftp.STATUS, number, struct.pack(">I", code) + struct.pack(">I", 0) * 2)


class Channel:
    """Takes all requests, and answers with what it was given, a few bytes at a time."""

    def __init__(self, *answers: bytes) -> None:
        self.data = struct.pack(">IBI", 5, sftp.VERSION, 3) + b"".join(answers)
        self.sent: list[bytes] = []

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, _count: int) -> bytes:
        data, self.data = self.data[:3], self.data[3:]
        return data


def over(*answers: bytes) -> Any:
    channel: Any = Channel(*answers)
    return sftp.Sftp(channel)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A file that takes three requests."""
    path = tmp_path / "export"
    path.write_bytes(b"x" * (2 * sftp.CHUNK_BYTES + 1))
    return path


HANDLE = answer(sftp.HANDLE, 1, struct.pack(">I", 1) + b"h")


def test_answers_may_come_in_any_order(export: Path) -> None:
    size = answer(sftp.ATTRS, 5, struct.pack(">IQ", 1, 65537))
    connection = over(HANDLE, status(4), status(2), status(3), size, status(6))
    assert connection.write("x", export) == 65537


def test_a_transfer_given_up_leaves_the_channel_in_step(export: Path) -> None:
    """What is asked next gets its own answer, not that of a write which was under way."""
    connection = over(HANDLE, status(2, sftp.FAILURE), status(3), status(4), status(5))
    with pytest.raises(sftp.Refused):
        connection.write("x", export)
    connection.remove("x")


def test_a_request_sent_in_part_ends_the_conversation() -> None:
    connection = over(status(1))

    def interrupted(_data: bytes) -> None:
        raise KeyboardInterrupt

    connection.channel.sendall = interrupted
    with pytest.raises(KeyboardInterrupt):
        connection.remove("x")
    with pytest.raises(sftp.Lost, match="not sent whole"):
        connection.remove("x")


@pytest.mark.parametrize("seed", range(200))
def test_nonsense_is_never_taken_for_an_answer(export: Path, seed: int) -> None:
    """A server's mistake in its later answers: neither success nor an exception of another kind."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    good = bytearray(b"".join([HANDLE, status(2), status(3), status(4)]))
    for _ in range(noise.randint(1, 8)):
        good[noise.randrange(len(good))] = noise.randrange(256)
    connection = over(bytes(good))
    with pytest.raises((sftp.Lost, sftp.Refused, struct.error)):
        connection.write("x", export)
