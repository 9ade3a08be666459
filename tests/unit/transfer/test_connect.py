"""The SFTP session after a login."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from typing import Any
from unittest import mock

import paramiko
import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import connect, info, messages, protocol, watchdog
from support.sftp_server import (
    Server,
    profile,
)
from unit.test_config import GOOD


@pytest.mark.parametrize(
    ("error", "is_active", "code"),
    [
        (paramiko.ChannelException(1, "Administratively prohibited"), True, Exit.PERMISSION),
        (paramiko.SSHException("x"), False, Exit.VANISHED),
        (paramiko.SSHException("Timeout opening channel."), True, Exit.SILENT),
        (messages.ProtocolError("the server does not speak SFTP"), True, Exit.TRANSFER),
        (EOFError(), True, Exit.PERMISSION),
    ],
)
def test_a_session_that_does_not_open(error: Exception, is_active: bool, code: Exit) -> None:
    transport = mock.Mock()
    transport.open_session.side_effect = error
    transport.is_active.return_value = is_active
    facts, watch = info.ConnectionInfo(), watchdog.Watchdog()
    with pytest.raises(Failure, match="opened no SFTP session for rosters@maple") as failed:
        connect._open_session(transport, config.parse(GOOD), facts, watch)
    assert failed.value.code is code
    assert "through the link" in failed.value.message
    watch.has_hung_up = True
    with pytest.raises(Failure) as failed:
        connect._open_session(transport, config.parse(GOOD), facts, watch)
    assert failed.value.code is Exit.SILENT


def test_what_is_lost_or_refused_in_a_place_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    channel: Any = Server()
    monkeypatch.setattr(connect, "logged_in", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(connect, "_open_session", lambda *_: protocol.Sftp(channel))
    for error, code in (
        (messages.SftpStatusError(3, ""), Exit.PERMISSION),
        (messages.ConnectionLost("gone"), Exit.VANISHED),
        (struct.error(), Exit.TRANSFER),
    ):
        with (
            pytest.raises(Failure) as failed,
            connect.remote_directory(config.parse(GOOD), b"", info.ConnectionInfo()),
        ):
            raise error
        assert failed.value.code is code


def test_a_name_that_was_learned_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    channel: Any = Server(allows="[a-zA-Z0-9-]+[.]zip")
    monkeypatch.setattr(connect, "logged_in", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(connect, "_open_session", lambda *_: protocol.Sftp(channel))
    known = profile("rename", temporary_name="*.zip")
    feed = config.parse(GOOD)
    with connect.remote_directory(feed, b"", info.ConnectionInfo(), profile=known) as place:
        place.begin()
    assert channel.requests.count("open") == 1


@pytest.mark.parametrize(
    ("learned", "used", "then"),
    [
        ("keyboard-interactive", "password", "password"),
        ("password", "publickey", "publickey"),
        ("password", "password", None),
    ],
)
def test_a_login_by_another_method_is_learned(
    monkeypatch: pytest.MonkeyPatch, learned: str, used: str, then: str | None
) -> None:
    channel: Any = Server()
    monkeypatch.setattr(connect, "logged_in", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(connect, "_open_session", lambda *_: protocol.Sftp(channel))
    known, facts = profile("rename", login=learned), info.ConnectionInfo(method=used)
    with connect.remote_directory(config.parse(GOOD), b"", facts, profile=known):
        assert facts.learned == (dataclasses.replace(known, login=then) if then else None)


def test_what_is_no_answer_to_a_session_is_the_servers_fault() -> None:
    transport = mock.Mock()
    facts, watch = info.ConnectionInfo(), watchdog.Watchdog()
    for error, code, told in (
        (struct.error("unpack"), Exit.TRANSFER, "its answer is malformed (error)"),
        (IndexError(), Exit.TRANSFER, "its answer is malformed (IndexError)"),
        (EOFError(), Exit.PERMISSION, ": no reason given."),
        (paramiko.ChannelException(1, "Timeout\x1b"), Exit.PERMISSION, r"Timeout\x1b"),
    ):
        transport.open_session.side_effect = error
        with pytest.raises(Failure) as failed:
            connect._open_session(transport, config.parse(GOOD), facts, watch)
        assert (failed.value.code, told in failed.value.message) == (code, True), failed.value
