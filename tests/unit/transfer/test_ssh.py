"""Handshake and login over a prepared transport: one login, to one server."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import paramiko
import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import ssh
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.watchdog import Watchdog
from unit.test_config import BLOB
from unit.transfer.test_login import FEED, KEY, PASSWORD, logins, other, transport


@contextlib.contextmanager
def connected(monkeypatch: pytest.MonkeyPatch, *made: mock.Mock) -> Iterator[None]:
    """Let each connection be the next of some transports."""
    waiting = iter(made)
    monkeypatch.setattr(ssh, "_agreed", lambda *_: contextlib.nullcontext(next(waiting)))
    yield
    assert list(waiting) == [], "no connection fewer"


@pytest.mark.parametrize(
    ("banner", "shown"),
    [
        (None, ""),
        (
            b"Welcome.\r\n  The yearly reset\x1b is on July 16\n",
            r"Welcome. The yearly reset\x1b is on July 16",
        ),
        (b"\xff" + b"x" * 400, "\\xff" + "x" * 295 + "…"),
    ],
)
def test_the_servers_banner_is_kept_as_one_line(
    monkeypatch: pytest.MonkeyPatch, banner: bytes | None, shown: str
) -> None:
    info = ConnectionInfo()
    made = transport(banner=banner)
    with (
        connected(monkeypatch, made),
        ssh.logged_in(FEED, PASSWORD.encode(), info, Watchdog(), ""),
    ):
        assert info.banner == shown


def open_login(secret: bytes, method: str = "") -> None:
    with ssh.logged_in(FEED, secret, ConnectionInfo(), Watchdog(), method):
        pass


@pytest.mark.parametrize(
    ("secret", "method", "call"),
    [
        (PASSWORD.encode(), "", "auth_password"),
        (PASSWORD.encode(), "keyboard-interactive", "auth_interactive"),
        (KEY, "", "auth_publickey"),
        (KEY, "password", "auth_publickey"),  # a key is never sent as a password
    ],
)
def test_the_secret_says_how_to_log_in(
    monkeypatch: pytest.MonkeyPatch, secret: bytes, method: str, call: str
) -> None:
    made = transport()
    with connected(monkeypatch, made):
        open_login(secret, method)
    assert logins(made) == [call]
    made.set_keepalive.assert_called_once_with(ssh.KEEPALIVE_SECONDS)


@pytest.mark.parametrize(
    ("none", "goes_on"),
    [
        (other("keyboard-interactive"), True),
        (other("publickey", "keyboard-interactive"), True),
        # It still accepts passwords: the first one was refused, and a second may lock the account.
        (other("password", "keyboard-interactive"), False),
        (paramiko.SSHException("x"), False),
        (EOFError(), False),
        ([], False),
    ],
)
def test_another_method_is_tried_where_the_password_was_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, none: Any, goes_on: bool
) -> None:
    first = transport(auth_password=other("keyboard-interactive"))
    second, third = transport(auth_none=none), transport()
    with connected(monkeypatch, first, second, *([third] if goes_on else [])):
        if goes_on:
            open_login(PASSWORD.encode())
        else:
            with pytest.raises(Failure, match="was refused") as failed:
                open_login(PASSWORD.encode())
            assert failed.value.code is Exit.LOGIN
    assert logins(first, second) == ["auth_password"]
    assert logins(third) == (["auth_interactive"] if goes_on else [])


@pytest.mark.parametrize(
    ("none", "goes_on"),
    [
        (other("password"), True),
        (other("password", "keyboard-interactive"), False),
        (IndexError("x"), False),
    ],
)
def test_a_prompt_that_is_no_longer_taken_gives_way_to_the_password(
    monkeypatch: pytest.MonkeyPatch, none: Any, goes_on: bool
) -> None:
    first = transport(auth_interactive=other("password"))
    second, third = transport(auth_none=none), transport()
    with connected(monkeypatch, first, second, *([third] if goes_on else [])):
        if goes_on:
            open_login(PASSWORD.encode(), "keyboard-interactive")
        else:
            with pytest.raises(Failure, match="was refused"):
                open_login(PASSWORD.encode(), "keyboard-interactive")
    assert logins(third) == (["auth_password"] if goes_on else [])


def test_a_server_that_takes_neither_in_turn_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    made = (
        transport(auth_password=other("keyboard-interactive")),
        transport(auth_none=other("keyboard-interactive")),
        transport(auth_interactive=other("password")),
    )
    with connected(monkeypatch, *made), pytest.raises(Failure, match="was refused") as failed:
        open_login(PASSWORD.encode())
    assert failed.value.code is Exit.LOGIN


@pytest.mark.parametrize(
    "end", [paramiko.AuthenticationException("no"), other("publickey"), OSError("reset")]
)
def test_a_refusal_is_no_reason_for_another_connection(
    monkeypatch: pytest.MonkeyPatch, end: Exception
) -> None:
    made = transport(auth_password=end)
    with connected(monkeypatch, made), pytest.raises(Failure):
        open_login(PASSWORD.encode())
    assert logins(made) == ["auth_password"]


# ---- the right server ---------------------------------------------------------------------------


def negotiated(blob: bytes, **changes: Any) -> ConnectionInfo:
    made, facts = mock.Mock(), ConnectionInfo(address="192.0.2.1")
    made.initial_kex_done = True
    made.remote_version = "SSH-2.0-V"
    made.get_remote_server_key.return_value.asbytes.return_value = blob
    for name, value in changes.items():
        setattr(made, name, value)
    ssh.negotiate(made, FEED, facts, Watchdog())
    return facts


def test_only_a_pinned_host_key_is_taken() -> None:
    facts = negotiated(BLOB)
    assert (facts.server, facts.host_key[:7]) == ("SSH-2.0-V", "SHA256:")
    for blob in (BLOB[:-1] + b"x", BLOB + b"x", b""):
        with pytest.raises(Failure, match="Nothing was sent, not even the password") as failed:
            negotiated(blob)
        assert failed.value.code is Exit.HOST_KEY
        assert failed.value.message.count("SHA256:") == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (paramiko.SSHException("no banner"), "not as an SSH server does: no banner"),
        (EOFError(), "ended the connection in the handshake (no reason given)"),
        (OSError("reset"), "ended the connection in the handshake (reset)"),
        (IndexError("x"), "not as an SSH server does: its handshake is malformed (IndexError)"),
        (paramiko.SSHException("\x1b]0;good\x07"), r"does: \x1b]0;good\x07"),
    ],
)
def test_a_handshake_that_breaks_off(error: Exception, told: str) -> None:
    with pytest.raises(Failure) as failed:
        negotiated(BLOB, start_client=mock.Mock(side_effect=error))
    assert (failed.value.code, told in failed.value.message) == (Exit.NETWORK, True)


def test_a_handshake_that_is_not_done_is_none() -> None:
    with pytest.raises(Failure, match="did not finish the handshake") as failed:
        negotiated(BLOB, initial_kex_done=False)
    assert failed.value.code is Exit.NETWORK


# ---- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "code", "result"),
    [
        (0, Exit.VANISHED, Exit.SILENT),
        (0, Exit.NETWORK, Exit.SILENT),
        (0, Exit.LOGIN, Exit.LOGIN),  # otherwise it would be tried again
        (0, Exit.VERIFY, Exit.VERIFY),
        (600, Exit.VANISHED, Exit.VANISHED),
        (None, Exit.VANISHED, Exit.VANISHED),
    ],
)
def test_a_failure_for_want_of_time_is_told_as_such(
    limit: float | None, code: Exit, result: Exit
) -> None:
    with pytest.raises(Failure) as failed, ssh.in_time(Watchdog(limit), limit):
        raise Failure(code, "why")
    assert failed.value.code is result
    assert ("was reached: why" in failed.value.message) is (result is not code)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "(Name or service not known)"),
        (UnicodeError(), "(it is not a host name)"),
        (None, "(no answer within 0.05 s)"),
    ],
)
def test_a_name_that_is_not_resolved(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, told: str
) -> None:
    def ask(*_: Any, **__: Any) -> Any:
        if error:
            raise error
        time.sleep(0.2)

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    with pytest.raises(Failure) as failed:
        ssh._resolve(FEED, 0.05 if error is None else 10)
    assert (failed.value.code, told in failed.value.message) == (Exit.NETWORK, True)


def test_each_address_is_tried_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (f"192.0.2.{n}", 22)) for n in "123"]
    tried: list[str] = []

    def connect(connection: socket.socket, address: Any, facts: ConnectionInfo, _: float) -> Any:
        tried.append(address[0])
        if len(tried) < 2:
            raise OSError(111, "Connection refused")
        facts.address = address[0]
        return connection

    monkeypatch.setattr(ssh, "_resolve", lambda *_: addresses)
    monkeypatch.setattr(ssh, "_connect", connect)
    facts = ConnectionInfo()
    ssh.open_socket(FEED, facts, Watchdog()).close()
    assert (tried, facts.address) == (["192.0.2.1", "192.0.2.2"], "192.0.2.2")
    monkeypatch.setattr(ssh, "_connect", mock.Mock(side_effect=OSError(113, "No route")))
    with pytest.raises(Failure, match=r"192.0.2.1: No route, .*192.0.2.3: No route") as failed:
        ssh.open_socket(FEED, facts, Watchdog())
    assert failed.value.code is Exit.NETWORK
