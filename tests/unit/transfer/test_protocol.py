"""SFTP requests over a channel with prepared answers."""

from __future__ import annotations

import io
import random
import struct
import time
from typing import Any

import paramiko
import pytest
from roster_upload.exits import Exit
from roster_upload.transfer import protocol, watchdog, writer
from support.sftp_server import (
    DATA,
    FOLDER,
    Channel,
    Server,
    Transport,
    answer,
    over,
    packed,
    status,
)


def put(connection: protocol.Sftp) -> int | None:
    """Write a file. Return the size that the server has for it."""
    handle = connection.created(connection.post_create("x"))
    writer.write(connection, handle, io.BytesIO(DATA), pace=EVEN)
    size = connection.size_of(handle)
    connection.close(handle)
    return size


HANDLE = answer(protocol.HANDLE, 1, struct.pack(">I", 1) + b"h")


def test_answers_may_come_in_any_order() -> None:
    size = answer(protocol.ATTRS, 5, struct.pack(">IQ", 1, 65537))
    connection = over(HANDLE, status(4), status(2), status(3), size, status(6))
    assert put(connection) == 65537


def test_a_transfer_given_up_leaves_the_channel_in_step() -> None:
    """The next request gets its own answer, not that of a pending write."""
    connection = over(HANDLE, status(2, protocol.FAILURE), status(3), status(4), status(5))
    with pytest.raises(protocol.SftpStatusError):
        put(connection)
    connection.remove("x")


def test_a_request_sent_in_part_ends_the_conversation() -> None:
    connection = over(status(1))

    def interrupted(_data: bytes) -> None:
        raise GeneratorExit  # like a signal's exception, but pytest itself does not stop at it

    connection.channel.sendall = interrupted
    with pytest.raises(GeneratorExit):
        connection.remove("x")
    with pytest.raises(protocol.ConnectionLost, match="not sent whole"):
        connection.remove("x")


@pytest.mark.parametrize("seed", range(200))
def test_nonsense_is_never_taken_for_an_answer(seed: int) -> None:
    """A server's mistake in its later answers is neither success nor another exception."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    good = bytearray(b"".join([HANDLE, status(2), status(3), status(4)]))
    for _ in range(noise.randint(1, 8)):
        good[noise.randrange(len(good))] = noise.randrange(256)
    connection = over(bytes(good))
    with pytest.raises((protocol.ConnectionLost, protocol.SftpStatusError, struct.error)):
        put(connection)


# All requests of the same length.
EVEN = writer.Pace(first_bytes=writer.Pace.chunk_bytes)


DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed("check-file", "sha256") + DIGEST, DIGEST.hex()),
        (packed("sha256") + DIGEST, DIGEST.hex()),
        (packed("check-file", "md5") + DIGEST[:16], None),
        (packed("check-file", "sha512/256") + DIGEST, None),
        (packed("check-file", "sha256") + DIGEST + DIGEST, None),
        (packed("check-file", "sha256"), None),
    ],
)
def test_a_hash_is_only_taken_for_what_it_is(body: bytes, told: str | None) -> None:
    assert over(answer(protocol.EXTENDED_REPLY, 1, body)).sha256("x") == told


@pytest.mark.parametrize(
    ("blocks", "free", "files", "free_files", "flags", "told"),
    [
        (100, 7, 10, 5, 0, (7 * 4096, False)),
        (100, 0, 10, 5, 0, (0, False)),
        (100, 7, 10, 0, 0, (0, False)),  # no space for another name
        (100, 7, 0, 0, 3, (7 * 4096, True)),  # a file system that does not count names
        (0, 0, 0, 0, 0, None),  # a server that knows nothing
    ],
)
def test_what_a_file_system_says_of_its_room(
    blocks: int, free: int, files: int, free_files: int, flags: int, told: object
) -> None:
    numbers = (512, 4096, blocks, free, free, files, free_files, free_files, 0, flags, 255)
    reply = answer(protocol.EXTENDED_REPLY, 1, struct.pack(">11Q", *numbers))
    assert over(reply, extensions=("statvfs@openssh.com",)).space("x") == told
    assert over(reply).space("x") is None


def test_no_request_is_made_when_the_time_is_up() -> None:
    connection = over(status(1))
    connection.ends = 0
    with pytest.raises(protocol.ConnectionLost, match="time is up") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT
    assert len(connection.channel.sent) == 1  # the greeting


@pytest.mark.parametrize("length", [0, 4, protocol.LONGEST_ANSWER_BYTES + 1])
def test_an_answer_of_another_length_is_none(length: int) -> None:
    connection = over(struct.pack(">I", length) + bytes(40))
    with pytest.raises(protocol.ProtocolError, match="not SFTP") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.TRANSFER


@pytest.mark.parametrize("length", [5, protocol.LONGEST_ANSWER_BYTES])
def test_an_answer_may_be_as_short_or_long_as_this(length: int) -> None:
    body = bytes(length - 5)
    connection = over()
    replies = io.BytesIO(answer(protocol.EXTENDED_REPLY, 1, body))
    connection.channel.recv = replies.read
    assert connection.take(connection.post(protocol.EXTENDED, b""), protocol.EXTENDED_REPLY) == body


def test_a_server_that_greets_otherwise_speaks_no_sftp() -> None:
    channel: Any = Channel()
    channel.data = struct.pack(">IBI", 5, protocol.STATUS, 3)
    with pytest.raises(protocol.ProtocolError, match="does not speak SFTP"):
        protocol.Sftp(channel)


@pytest.mark.parametrize(
    "reply",
    [
        status(2),  # to another question
        answer(protocol.HANDLE, 1, packed("h")),  # of another kind
        answer(protocol.ATTRS, 1, struct.pack(">I", 0)),
    ],
)
def test_another_answer_is_garbled(reply: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        over(reply, status(1)).remove("x")


@pytest.mark.parametrize(
    ("reply", "size"),
    [
        (answer(protocol.ATTRS, 1, struct.pack(">IQ", 1, 7)), 7),
        (answer(protocol.ATTRS, 1, struct.pack(">IQ", 0x0D, 7)), 7),
        (answer(protocol.ATTRS, 1, struct.pack(">IQ", 0x0C, 7)), None),
        (status(1, protocol.PERMISSION_DENIED), None),
        (status(1, protocol.FAILURE), None),
        (status(1, protocol.NO_SUCH_FILE), "none"),
    ],
)
def test_what_a_server_tells_of_a_size(reply: bytes, size: object) -> None:
    assert over(reply).is_there("x") is (size != "none")
    assert over(reply).size_of(b"h") == (None if size == "none" else size)
    if size == "none":
        with pytest.raises(protocol.SftpStatusError):
            over(reply).size("x")
    else:
        assert over(reply).size("x") == size


def test_a_folder_is_read_to_its_end() -> None:
    """Its names come in several answers, with attributes of all kinds, which are ignored."""
    extended = struct.pack(">II", 0x80000001, 0) + b"size" + struct.pack(">I", 1) + packed("a", "b")
    kinds = [
        struct.pack(">I", 0),
        struct.pack(">IQ", 1, 7),
        struct.pack(">I", 0x0F) + bytes(8 + 8 + 4 + 8),
        struct.pack(">I", 0x04) + bytes(4),
        extended,
    ]
    answers = [answer(protocol.HANDLE, 1, packed("h"))]
    for number, attributes in enumerate(kinds, 2):
        entries = b"".join(packed(f"{number}{x}", "long") + attributes for x in "ab")
        answers.append(answer(protocol.NAME, number, struct.pack(">I", 2) + entries))
    connection = over(*answers, status(7, protocol.EOF))
    assert connection.names("x") == [f"{n}{x}" for n in range(2, 7) for x in "ab"]
    assert connection.channel.sent[-1][4] == protocol.CLOSE
    with pytest.raises(protocol.SftpStatusError):
        over(answers[0], status(2, protocol.FAILURE)).names("x")


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
    with pytest.raises(protocol.ConnectionLost) as lost:
        connection.remove("x")
    assert lost.value.code is code
    connection = over()
    connection.watchdog.has_hung_up = True
    with pytest.raises(protocol.ConnectionLost) as lost:
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


# ---- a server without measure -------------------------------------------------------------------


class Endless(Server):
    """A server with endless folders: each answer has so many names of that length."""

    at_once, length = 100, 6

    def _names(self, number: int, handle: str) -> int | None:
        names = (packed(f"{at:0{self.length}}", "long") + bytes(4) for at in range(self.at_once))
        self._say(protocol.NAME, number, struct.pack(">I", self.at_once) + b"".join(names))
        return None


@pytest.mark.parametrize(
    ("at_once", "length", "told"),
    [(100, 6, "names and answers"), (0, 6, "names and answers"), (10, 9000, "bytes")],
)
def test_a_listing_without_an_end_is_left(
    monkeypatch: pytest.MonkeyPatch, at_once: int, length: int, told: str
) -> None:
    monkeypatch.setattr(protocol, "MOST_NAMES", 5000)
    monkeypatch.setattr(protocol, "MOST_LISTED_BYTES", 1 << 20)
    server: Any = Endless(at_once=at_once, length=length)
    connection = protocol.Sftp(server)
    with pytest.raises(protocol.SftpStatusError, match=f"takes more than .* {told}"):
        connection.names(FOLDER)
    assert server.requests.count("readdir") <= 5002
    assert server.requests[-1] == "closedir"
    assert connection.look(FOLDER)  # the conversation goes on


def test_a_folder_has_a_time_to_be_listed() -> None:
    server: Any = Endless()
    connection = protocol.Sftp(server, watchdog.Watchdog(times=watchdog.Times(listing=0)))
    with pytest.raises(protocol.SftpStatusError, match="takes more than 0 s"):
        connection.names(FOLDER)


def test_as_many_names_as_may_be_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_NAMES", 10)

    def listed(count: int) -> int:
        server: Any = Server(files={f"{FOLDER}/{number}": b"" for number in range(count)})
        return len(protocol.Sftp(server).names(FOLDER))

    assert listed(9) == 9  # and one answer
    with pytest.raises(protocol.SftpStatusError):
        listed(10)


def test_words_and_extensions_of_a_server_are_text() -> None:
    words = "\x1b]0;done\x07" * 1000
    connection = over(status(1, 4, words), extensions=(f"{words}0", *map(str, range(1000))))
    assert len(connection.extensions) == protocol.MOST_EXTENSIONS
    assert all(name.isprintable() and len(name) <= 300 for name in connection.extensions)
    with pytest.raises(protocol.SftpStatusError) as refused:
        connection.remove("x")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_what_has_ended_the_connection_is_told() -> None:
    connection = over()

    class Broken(Transport):
        saved_exception = paramiko.SSHException("Mismatched MAC\x1b")

    connection.channel.get_transport = lambda: Broken
    with pytest.raises(protocol.ProtocolError, match=r"Mismatched MAC.x1b"):
        connection.remove("x")
