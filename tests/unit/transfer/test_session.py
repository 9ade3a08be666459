"""Requests and their answers: in any order, of any length, from a server that breaks off."""

from __future__ import annotations

import io
import random
import struct
import time
from typing import Any

import paramiko
import pytest
from roster_upload.exits import Exit
from roster_upload.transfer import messages, protocol, session, watchdog, writer
from support.sftp_server import (
    DATA,
    Channel,
    Transport,
    answer,
    over,
    status,
)
from unit.transfer.test_protocol import EVEN, HANDLE


def put(connection: protocol.Sftp) -> int | None:
    """Write a file. Return the size that the server has for it."""
    handle = connection.take_handle(connection.post_create("x"))
    writer.write(connection, handle, io.BytesIO(DATA), pace=EVEN)
    size = connection.size_of(handle)
    connection.close(handle)
    return size


def test_answers_may_come_in_any_order() -> None:
    size = answer(messages.ATTRS, 5, struct.pack(">IQ", 1, 65537))
    connection = over(HANDLE, status(4), status(2), status(3), size, status(6))
    assert put(connection) == 65537


def test_a_transfer_given_up_leaves_the_channel_in_step() -> None:
    """The next request gets its own answer, not that of a pending write."""
    connection = over(HANDLE, status(2, messages.FAILURE), status(3), status(4), status(5))
    with pytest.raises(messages.SftpStatusError):
        put(connection)
    connection.remove("x")


def test_a_request_sent_in_part_ends_the_conversation() -> None:
    connection = over(status(1))

    def interrupted(_data: bytes) -> None:
        raise GeneratorExit  # like a signal's exception, but pytest itself does not stop at it

    connection.channel.sendall = interrupted
    with pytest.raises(GeneratorExit):
        connection.remove("x")
    with pytest.raises(messages.ConnectionLost, match="sent only in part"):
        connection.remove("x")


@pytest.mark.parametrize("seed", range(200))
def test_nonsense_is_never_taken_for_an_answer(seed: int) -> None:
    """A server's mistake in its later answers is neither success nor another exception."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    good = bytearray(b"".join([HANDLE, status(2), status(3), status(4)]))
    for _ in range(noise.randint(1, 8)):
        good[noise.randrange(len(good))] = noise.randrange(256)
    connection = over(bytes(good))
    with pytest.raises((messages.ConnectionLost, messages.SftpStatusError, struct.error)):
        put(connection)


def test_no_request_is_made_when_the_time_is_up() -> None:
    connection = over(status(1))
    connection.ends = 0
    with pytest.raises(messages.ConnectionLost, match="time limit is reached") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT
    assert len(connection.channel.sent) == 1  # the greeting


@pytest.mark.parametrize("length", [0, 4, session.LONGEST_ANSWER_BYTES + 1])
def test_an_answer_of_another_length_is_none(length: int) -> None:
    connection = over(struct.pack(">I", length) + bytes(40))
    with pytest.raises(messages.ProtocolError, match="not SFTP") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.TRANSFER


@pytest.mark.parametrize("length", [5, session.LONGEST_ANSWER_BYTES])
def test_an_answer_may_be_as_short_or_long_as_this(length: int) -> None:
    body = bytes(length - 5)
    connection = over()
    replies = io.BytesIO(answer(messages.EXTENDED_REPLY, 1, body))
    connection.channel.recv = replies.read
    assert connection.take(connection.post(messages.EXTENDED, b""), messages.EXTENDED_REPLY) == body


def test_a_server_that_greets_otherwise_speaks_no_sftp() -> None:
    channel: Any = Channel()
    channel.data = struct.pack(">IBI", 5, messages.STATUS, 3)
    with pytest.raises(messages.ProtocolError, match="does not speak SFTP"):
        protocol.Sftp(channel)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), Exit.SILENT),
        (OSError("timed out"), Exit.SILENT),
        (OSError("Connection reset"), Exit.VANISHED),
        (EOFError(), Exit.VANISHED),
        (paramiko.SSHException("no key"), Exit.VANISHED),
    ],
)
@pytest.mark.parametrize("way", ["recv", "sendall"])
def test_a_conversation_that_breaks_off(error: Exception, code: Exit, way: str) -> None:
    def broken(*_: object) -> bytes:
        raise error

    connection = over()
    connection.watchdog.allowed = 0  # seconds of silence
    setattr(connection.channel, way, broken)
    with pytest.raises(messages.ConnectionLost) as lost:
        connection.remove("x")
    assert lost.value.code is code
    connection = over()
    connection.watchdog.has_hung_up = True
    with pytest.raises(messages.ConnectionLost) as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT


@pytest.mark.parametrize(("left", "most"), [(5, 5), (1000, watchdog.Times.answer)])
def test_a_step_takes_no_longer_than_is_left(left: float, most: float) -> None:
    limits: list[float] = []
    connection = over(status(1))
    connection.channel.settimeout = limits.append
    connection.ends = time.monotonic() + left
    connection.remove("x")
    assert most - 5 <= max(limits) <= most


def test_a_clean_up_is_short() -> None:
    connection = over()
    connection.hurry()
    assert connection.ends - time.monotonic() <= watchdog.Times.tidy


def test_what_has_ended_the_connection_is_told() -> None:
    connection = over()

    class Broken(Transport):
        saved_exception = paramiko.SSHException("Mismatched MAC\x1b")

    connection.channel.get_transport = lambda: Broken
    with pytest.raises(messages.ProtocolError, match=r"Mismatched MAC.x1b"):
        connection.remove("x")
