"""Listings of remote folders, and those without an end."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from roster_upload.transfer import listing, messages, protocol, watchdog
from support.sftp_server import (
    FOLDER,
    Server,
    answer,
    over,
    packed,
    status,
)


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
    answers = [answer(messages.HANDLE, 1, packed("h"))]
    for number, attributes in enumerate(kinds, 2):
        entries = b"".join(packed(f"{number}{x}", "long") + attributes for x in "ab")
        answers.append(answer(messages.NAME, number, struct.pack(">I", 2) + entries))
    connection = over(*answers, status(7, messages.EOF))
    assert connection.names("x") == [f"{n}{x}" for n in range(2, 7) for x in "ab"]
    assert connection.channel.sent[-1][4] == messages.CLOSE
    with pytest.raises(messages.SftpStatusError):
        over(answers[0], status(2, messages.FAILURE)).names("x")


# ---- a server without measure -------------------------------------------------------------------


class Endless(Server):
    """A server with endless folders: each answer has so many names of that length."""

    at_once, length = 100, 6

    def _names(self, number: int, handle: str) -> int | None:
        names = (packed(f"{at:0{self.length}}", "long") + bytes(4) for at in range(self.at_once))
        self._say(messages.NAME, number, struct.pack(">I", self.at_once) + b"".join(names))
        return None


@pytest.mark.parametrize(
    ("at_once", "length", "told"),
    [(100, 6, "names and answers"), (0, 6, "names and answers"), (10, 9000, "bytes")],
)
def test_a_listing_without_an_end_is_left(
    monkeypatch: pytest.MonkeyPatch, at_once: int, length: int, told: str
) -> None:
    monkeypatch.setattr(listing, "MOST_NAMES", 5000)
    monkeypatch.setattr(listing, "MOST_LISTED_BYTES", 1 << 20)
    server: Any = Endless(at_once=at_once, length=length)
    connection = protocol.Sftp(server)
    with pytest.raises(messages.SftpStatusError, match=f"takes more than .* {told}"):
        connection.names(FOLDER)
    assert server.requests.count("readdir") <= 5002
    assert server.requests[-1] == "closedir"
    assert connection.stat(FOLDER)  # the conversation goes on


def test_a_folder_has_a_time_to_be_listed() -> None:
    server: Any = Endless()
    connection = protocol.Sftp(server, watchdog.Watchdog(times=watchdog.Times(listing=0)))
    with pytest.raises(messages.SftpStatusError, match="takes more than 0 s"):
        connection.names(FOLDER)


def test_as_many_names_as_may_be_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_NAMES", 10)

    def listed(count: int) -> int:
        server: Any = Server(files={f"{FOLDER}/{number}": b"" for number in range(count)})
        return len(protocol.Sftp(server).names(FOLDER))

    assert listed(9) == 9  # and one answer
    with pytest.raises(messages.SftpStatusError):
        listed(10)
