"""Reading a remote file: whole, bounded, whatever the pieces."""

from __future__ import annotations

import random
from typing import Any

import pytest
from roster_upload.fetch import reader
from roster_upload.transfer import messages, protocol
from support.source_server import FOLDER, SourceServer

DATA = random.Random(1).randbytes(5 * 100 + 7)  # noqa: S311 - no secret


def read(
    monkeypatch: pytest.MonkeyPatch, size: int = len(DATA), **faults: Any
) -> tuple[int, bytes, SourceServer]:
    monkeypatch.setattr(reader, "CHUNK_BYTES", 100)
    monkeypatch.setattr(reader, "REQUESTS", 3)
    server: Any = SourceServer(**faults)
    server.put("a.zip", DATA)
    seen: list[int] = []
    sftp, got = protocol.Sftp(server), bytearray()
    handle = sftp.open_to_read(f"{FOLDER}/a.zip")
    done = reader.read(sftp, handle, size, got.extend, seen.append)
    assert done == len(got)
    assert seen == sorted(seen)
    return done, bytes(got), server


@pytest.mark.parametrize("most", [1000, 100, 99, 7])
@pytest.mark.parametrize("shuffles", [None, random.Random(3)])  # noqa: S311
def test_a_file_is_read_whole(
    monkeypatch: pytest.MonkeyPatch, most: int, shuffles: random.Random | None
) -> None:
    done, got, _ = read(monkeypatch, most_at_once=most, shuffles=shuffles)
    assert (done, got) == (len(DATA), DATA)


@pytest.mark.parametrize("size", [0, 1, 99, 100, len(DATA) - 1])
def test_of_a_longer_file_one_byte_more_is_read(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for faults in ({}, {"is_endless": True}):
        done, _, server = read(monkeypatch, size, **faults)
        assert done == size + 1
        assert server.requests.count("read") <= size // 100 + 1


def test_a_shorter_file_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, 10**9)[0] == len(DATA)


def test_few_requests_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    real = SourceServer.recv

    def recv(self: SourceServer, count: int) -> bytes:
        nonlocal most
        most = max(most, len(self._answers))
        return real(self, count)

    monkeypatch.setattr(SourceServer, "recv", recv)
    read(monkeypatch)
    assert most == 3


@pytest.mark.parametrize("faults", [{"adds": b"x" * 101}, {"most_at_once": 0}])
def test_pieces_of_a_wrong_length_break_the_session(
    monkeypatch: pytest.MonkeyPatch, faults: dict[str, Any]
) -> None:
    with pytest.raises(messages.ProtocolError, match="bytes of a file instead"):
        read(monkeypatch, **faults)


def test_a_refused_read_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(messages.SftpStatusError):
        read(monkeypatch, refuse={"read": messages.FAILURE})
