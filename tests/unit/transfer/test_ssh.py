"""Handshake and login over a prepared transport: one login, to one server."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from roster_upload import config
from roster_upload.config import HostKey
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import ssh
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.watchdog import Watchdog
from unit.test_config import BLOB, GOOD

FEED = config.parse(GOOD)
PASSWORD = " its own "


def pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, phrase: str = "") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.BestAvailableEncryption(phrase.encode())
        if phrase
        else serialization.NoEncryption(),
    )


KEY = pem(ed25519.Ed25519PrivateKey.generate())


def transport(**ends: Any) -> mock.Mock:
    """A transport whose login methods end as given, by default well."""
    made = mock.Mock()
    made.auth_timeout = 60
    made.is_active.return_value = ends.pop("is_active", True)
    for method in ("auth_password", "auth_publickey", "auth_interactive", "auth_none"):
        getattr(made, method).side_effect = [ends.pop(method, [])]
    assert not ends
    return made


def logins(*made: mock.Mock) -> list[str]:
    """Return the login attempts that were made with a secret."""
    return [name for t in made for name, *_ in t.method_calls if name[:5] == "auth_" and
            name != "auth_none"]  # fmt: skip


def other(*taken: str) -> paramiko.BadAuthenticationType:
    return paramiko.BadAuthenticationType("no", list(taken))


# ---- one login ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "secret", "call"),
    [
        ("password", PASSWORD.encode(), "auth_password"),
        ("keyboard-interactive", PASSWORD.encode(), "auth_interactive"),
        ("publickey", KEY, "auth_publickey"),
    ],
)
@pytest.mark.parametrize(
    ("end", "is_active", "code", "told"),
    [
        ([], True, None, ""),
        (["keyboard-interactive"], True, Exit.SECOND_FACTOR, "asks for more (keyboard-inter"),
        (paramiko.AuthenticationException("no"), True, Exit.LOGIN, "example.org was refused."),
        (paramiko.AuthenticationException("no"), False, Exit.LOGIN, "may have locked"),
        (paramiko.AuthenticationException("Authentication timeout."), True, Exit.LOGIN,
         "was not answered within 60 s"),
        (paramiko.SSHException("Unexpected info request"), True, Exit.PASSWORD_EXPIRED, "new pass"),
        (OSError("reset"), False, Exit.LOGIN, "was ended by the server"),
        (EOFError(), False, Exit.LOGIN, "was ended by the server"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), False, Exit.LOGIN, "not as an SSH server"),
        (IndexError("x"), True, Exit.LOGIN, "not as an SSH server does (IndexError)"),
        (other(), True, Exit.LOGIN, "was refused"),
        (other("publickey", ""), True, Exit.LOGIN, "the server takes publickey, not "),
    ],
)  # fmt: skip
def test_a_login_is_tried_once(
    method: str, secret: bytes, call: str, end: Any, is_active: bool, code: Exit | None, told: str
) -> None:
    made, facts = transport(**{call: end}, is_active=is_active), ConnectionInfo()
    if code is None:
        ssh.log_in(made, FEED, secret, method, facts)
    else:
        with pytest.raises(Failure) as failed:
            ssh.log_in(made, FEED, secret, method, facts)
        assert (failed.value.code, told in failed.value.message) == (code, True), failed.value
        assert PASSWORD.strip() not in failed.value.message
    assert logins(made) == [call]
    assert facts.method == ("" if code else method)
    assert "auth" in facts.seconds


def test_a_password_goes_as_it_is_and_by_no_other_way() -> None:
    made = transport()
    ssh.log_in(made, FEED, PASSWORD.encode(), "password", ConnectionInfo())
    made.auth_password.assert_called_once_with(FEED.username, PASSWORD, fallback=False)


@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "publickey"])
def test_only_a_password_may_be_asked_for_at_a_prompt(method: str) -> None:
    call = {"password": "auth_password", "publickey": "auth_publickey"}.get(
        method, "auth_interactive"
    )
    made = transport(**{call: other("keyboard-interactive")})
    expected = ssh.OtherMethod if method == "password" else Failure
    with pytest.raises(expected):
        ssh.log_in(made, FEED, KEY, method, ConnectionInfo())


BEFORE_A_KEY = [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]  # as editors write it


@pytest.mark.parametrize("secret", [*(before + KEY for before in BEFORE_A_KEY), KEY[:40]])
def test_a_key_is_never_taken_for_a_password(secret: bytes) -> None:
    """A damaged one neither."""
    assert ssh.kind_of(secret) == "key"
    assert ssh.kind_of(b"x" + secret) == "password"


@contextlib.contextmanager
def connected(monkeypatch: pytest.MonkeyPatch, *made: mock.Mock) -> Iterator[None]:
    """Let each connection be the next of some transports."""
    waiting = iter(made)
    monkeypatch.setattr(ssh, "_agreed", lambda *_: contextlib.nullcontext(next(waiting)))
    yield
    assert list(waiting) == [], "no connection fewer"


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


@pytest.mark.parametrize(
    ("rounds", "code"),
    [
        ([[("Password: ", False)]], None),
        ([[], [("Password: ", False)], []], None),
        ([[("Password: ", True)]], Exit.SECOND_FACTOR),  # what is shown is no password
        ([[("Password: ", False), ("Colour: ", False)]], Exit.SECOND_FACTOR),
        ([[("Code: ", False)]], Exit.SECOND_FACTOR),
        ([[("Password: ", False)], [("Password: ", False)]], Exit.SECOND_FACTOR),
        ([[("New password: ", False)]], Exit.PASSWORD_EXPIRED),
        ([[("Current password: ", False)]], None),
        ([[("Password: ", False)], [("Current password: ", False)]], Exit.PASSWORD_EXPIRED),
    ],
)
def test_a_password_answers_one_hidden_prompt(
    rounds: list[list[tuple[str, bool]]], code: Exit | None
) -> None:
    answer = ssh.one_prompt(PASSWORD, "me at there")
    given: list[str] = []
    with pytest.raises(Failure) if code else contextlib.nullcontext() as failed:
        for prompts in rounds:
            given += answer("", "", prompts)
    assert given == ([PASSWORD] if code is None or len(rounds) > 1 else [])
    if failed:
        assert failed.value.code is code
        assert PASSWORD not in failed.value.message


def test_an_instruction_counts_behind_the_first_prompt() -> None:
    answer = ssh.one_prompt(PASSWORD, "me at there")
    text = "Use a new password of twelve letters"
    assert answer("Welcome", text, [("Password: ", False)]) == [PASSWORD]
    with pytest.raises(Failure) as failed:
        answer("", text, [("> ", False)])
    assert failed.value.code is Exit.PASSWORD_EXPIRED


@pytest.mark.parametrize("secret", [b"", b"gr\xf6\xdfe"])
def test_a_password_is_a_text(secret: bytes) -> None:
    with pytest.raises(Failure, match="empty, or no text"):
        ssh.password(secret)
    assert ssh.password("größe ".encode()) == "größe "


def test_a_private_key_is_read_from_memory() -> None:
    out = io.StringIO()
    paramiko.RSAKey.generate(1024).write_private_key(out)
    for secret in (
        *(before + KEY for before in BEFORE_A_KEY),
        pem(ec.generate_private_key(ec.SECP256R1())),
        out.getvalue().encode(),
    ):
        assert ssh.private_key(secret).can_sign()
    for secret in (KEY[:100], b"-----BEGIN ", pem(ed25519.Ed25519PrivateKey.generate(), "phrase")):
        with pytest.raises(Failure, match="no OpenSSH private key"):
            ssh.private_key(secret)


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
        with pytest.raises(Failure, match="nothing was sent, not even the password") as failed:
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


def pins(*kinds: str) -> tuple[HostKey, ...]:
    return tuple(HostKey(kind, b"") for kind in kinds)


@pytest.mark.parametrize(
    ("kinds", "algorithms", "offered"),
    [
        (["ssh-ed25519"], "modern", ["ssh-ed25519"]),
        (["ssh-rsa"], "modern", ["rsa-sha2-512", "rsa-sha2-256"]),
        (["ssh-rsa"], "legacy", ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]),
        (["ssh-ed25519", "ssh-ed25519"], "legacy", ["ssh-ed25519"]),
    ],
)
def test_only_pinned_types_of_host_key_are_asked_for(
    kinds: list[str], algorithms: str, offered: list[str]
) -> None:
    assert ssh.offered_key_types(pins(*kinds), algorithms) == offered


@pytest.mark.parametrize("algorithms", ["modern", "legacy"])
def test_old_algorithms_are_offered_where_the_feed_says_so(algorithms: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = ssh.make_transport(ours, config.parse({**GOOD, "algorithms": algorithms}))
        options = made.get_security_options()
        names = [*options.kex, *options.ciphers, *options.digests]
        old = [name for name in names if "sha1" in name or "cbc" in name or "md5" in name]
        assert bool(old) is (algorithms == "legacy")
        assert list(options.key_types) == ["ssh-ed25519"]
        off = made.disabled_algorithms or {}
        assert ("ssh-rsa" in off.get("pubkeys", [])) is (not old)
        made.close()


class WithoutStrictKex(paramiko.Transport):
    """A transport as of Debian 12, without strict key exchange."""

    @property
    def advertise_strict_kex(self) -> bool:
        raise AttributeError

    @advertise_strict_kex.setter
    def advertise_strict_kex(self, value: bool) -> None:
        pass


@pytest.mark.parametrize("algorithms", ["modern", "legacy"])
def test_encrypt_then_mac_comes_last_without_strict_key_exchange(
    monkeypatch: pytest.MonkeyPatch, algorithms: str
) -> None:
    feed = config.parse({**GOOD, "algorithms": algorithms})

    def offered() -> list[bool]:
        ours, theirs = socket.socketpair()
        with ours, theirs, contextlib.closing(ssh.make_transport(ours, feed)) as made:
            return [name.endswith(ssh.ENCRYPT_THEN_MAC) for name in
                    made.get_security_options().digests]  # fmt: skip

    if hasattr(paramiko.Transport(socket.socket()), "advertise_strict_kex"):
        assert offered() == sorted(offered(), reverse=True)
    monkeypatch.setattr(paramiko, "Transport", WithoutStrictKex)
    assert offered() == sorted(offered())
    assert {True, False} == set(offered())


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
    assert ("were over: why" in failed.value.message) is (result is not code)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "(Name or service not known)"),
        (UnicodeError(), "(it is no host name)"),
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
        ssh._resolved(FEED, 0.05 if error is None else 10)
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

    monkeypatch.setattr(ssh, "_resolved", lambda *_: addresses)
    monkeypatch.setattr(ssh, "_connected", connect)
    facts = ConnectionInfo()
    ssh.open_socket(FEED, facts, Watchdog()).close()
    assert (tried, facts.address) == (["192.0.2.1", "192.0.2.2"], "192.0.2.2")
    monkeypatch.setattr(ssh, "_connected", mock.Mock(side_effect=OSError(113, "No route")))
    with pytest.raises(Failure, match=r"192.0.2.1: No route; .*192.0.2.3: No route") as failed:
        ssh.open_socket(FEED, facts, Watchdog())
    assert failed.value.code is Exit.NETWORK


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
