"""The SFTP requests over a channel whose answers are written down beforehand; profiles."""

from __future__ import annotations

import dataclasses
import io
import random
import socket
import struct
import threading
from typing import Any

import pytest
from roster_upload import sftp, ssh
from roster_upload.exits import Exit
from roster_upload.server import Profile, changes


def answer(kind: int, number: int, body: bytes) -> bytes:
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int = sftp.OK) -> bytes:
    return answer(sftp.STATUS, number, struct.pack(">I", code) + struct.pack(">I", 0) * 2)


def packed(*texts: str) -> bytes:
    return b"".join(struct.pack(">I", len(text)) + text.encode() for text in texts)


class Channel:
    """Takes all requests, and answers with what it was given, a few bytes at a time."""

    def __init__(self, *answers: bytes, extensions: tuple[str, ...] = ()) -> None:
        offered = b"".join(packed(name, "1") for name in extensions)
        version = struct.pack(">IBI", 5 + len(offered), sftp.VERSION, 3) + offered
        self.data = version + b"".join(answers)
        self.sent: list[bytes] = []

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, _count: int) -> bytes:
        data, self.data = self.data[:3], self.data[3:]
        return data


def over(*answers: bytes, extensions: tuple[str, ...] = ()) -> Any:
    channel: Any = Channel(*answers, extensions=extensions)
    return sftp.Sftp(channel)


DATA = b"x" * (2 * sftp.CHUNK_BYTES + 1)  # three requests


def put(connection: sftp.Sftp) -> int | None:
    """Writes a file; returns the size that the server has for it."""
    handle = connection.create("x")
    connection.write(handle, io.BytesIO(DATA))
    size = connection.size_of(handle)
    connection.close(handle)
    return size


HANDLE = answer(sftp.HANDLE, 1, struct.pack(">I", 1) + b"h")


def test_answers_may_come_in_any_order() -> None:
    size = answer(sftp.ATTRS, 5, struct.pack(">IQ", 1, 65537))
    connection = over(HANDLE, status(4), status(2), status(3), size, status(6))
    assert put(connection) == 65537


def test_a_transfer_given_up_leaves_the_channel_in_step() -> None:
    """What is asked next gets its own answer, not that of a write which was under way."""
    connection = over(HANDLE, status(2, sftp.FAILURE), status(3), status(4), status(5))
    with pytest.raises(sftp.Refused):
        put(connection)
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
def test_nonsense_is_never_taken_for_an_answer(seed: int) -> None:
    """A server's mistake in its later answers: neither success nor an exception of another kind."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    good = bytearray(b"".join([HANDLE, status(2), status(3), status(4)]))
    for _ in range(noise.randint(1, 8)):
        good[noise.randrange(len(good))] = noise.randrange(256)
    connection = over(bytes(good))
    with pytest.raises((sftp.Lost, sftp.Refused, struct.error)):
        put(connection)


DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed("check-file", "sha256") + DIGEST, DIGEST.hex()),
        (packed("sha256") + DIGEST, DIGEST.hex()),
        (packed("check-file", "md5") + DIGEST[:16], None),
        (packed("check-file", "sha256") + DIGEST + DIGEST, None),
        (packed("check-file", "sha256"), None),
    ],
)
def test_a_hash_is_only_taken_for_what_it_is(body: bytes, told: str | None) -> None:
    assert over(answer(sftp.EXTENDED_REPLY, 1, body)).sha256("x") == told


@pytest.mark.parametrize(
    ("blocks", "free", "files", "free_files", "flags", "told"),
    [
        (100, 7, 10, 5, 0, (7 * 4096, False)),
        (100, 0, 10, 5, 0, (0, False)),
        (100, 7, 10, 0, 0, (0, False)),  # no room for another name
        (100, 7, 0, 0, 3, (7 * 4096, True)),  # a file system that does not count names
        (0, 0, 0, 0, 0, None),  # a server that knows nothing
    ],
)
def test_what_a_file_system_says_of_its_room(
    blocks: int, free: int, files: int, free_files: int, flags: int, told: object
) -> None:
    numbers = (512, 4096, blocks, free, free, files, free_files, free_files, 0, flags, 255)
    reply = answer(sftp.EXTENDED_REPLY, 1, struct.pack(">11Q", *numbers))
    assert over(reply, extensions=("statvfs@openssh.com",)).space("x") == told
    assert over(reply).space("x") is None


def test_no_request_is_made_when_the_time_is_up() -> None:
    connection = over(status(1))
    connection.ends = 0
    with pytest.raises(sftp.Lost, match="time is up") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT
    assert len(connection.channel.sent) == 1  # the greeting


def test_a_watch_hangs_up_where_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_upload.ssh.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("roster_upload.ssh.TIDY_SECONDS", 0.02)
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    watch = ssh.Watch()
    with ours, theirs, watch.over(ours):
        assert ours.recv(1) == b""
        assert watch.has_hung_up


def test_a_watch_that_is_over_leaves_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_upload.ssh.TIDY_SECONDS", 0.02)
    before = set(threading.enumerate())
    ours, theirs = socket.socketpair()
    watch = ssh.Watch(limit=0)
    with ours, theirs:
        with watch.over(ours):
            started = set(threading.enumerate()) - before
        for thread in started:
            thread.join(5)
        assert (watch.is_over, watch.has_hung_up) == (True, False)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


@pytest.mark.parametrize(
    ("prompt", "finds"),
    [
        ("Password: ", None),
        ("rosters@maple.example's password: ", None),
        ("Spinach password: ", None),
        ("PIN: ", ssh.CODE),
        ("Enter OTP code", ssh.CODE),
        ("Enter new password:", ssh.NEW_PASSWORD),
        ("Change your password now", ssh.NEW_PASSWORD),
        ("Your password has expired", ssh.NEW_PASSWORD),
    ],
)
def test_what_a_prompt_is_taken_for(prompt: str, finds: object) -> None:
    matching = [words for words in (ssh.CODE, ssh.NEW_PASSWORD) if words.search(prompt)]
    assert matching == ([finds] if finds else [])


PROFILE = Profile(
    server="SSH-2.0-Vendor_1",
    extensions=("check-file", "statvfs@openssh.com"),
    login="password",
    rename="posix-rename",
    stat_after_close=True,
    takes_on_close=False,
    sizes=True,
    hash=True,
    learned="2027-01-01T00:00:00Z",
)


def test_a_profile_survives_its_file() -> None:
    assert Profile.from_json(PROFILE.to_json()) == PROFILE


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"server": "x"}', "{"])
def test_what_is_no_profile_is_told(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
        Profile.from_json(text)


def test_a_profile_with_an_unknown_way_is_told() -> None:
    text = dataclasses.replace(PROFILE, rename="by-hand").to_json()
    with pytest.raises(ValueError, match="'by-hand' is no way of renaming"):
        Profile.from_json(text)


def test_what_has_changed_is_told_in_words() -> None:
    later = dataclasses.replace(PROFILE, learned="2027-02-01T00:00:00Z")
    assert changes(PROFILE, later) == []
    later = dataclasses.replace(
        later, server="SSH-2.0-Vendor_2", hash=False, extensions=("limits", "statvfs@openssh.com")
    )
    assert changes(PROFILE, later) == [
        "the server's version was SSH-2.0-Vendor_1, is SSH-2.0-Vendor_2",
        "whether the server computes hashes was yes, is no",
        "check-file is offered no longer",
        "limits is offered now",
    ]
