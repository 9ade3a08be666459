"""One login attempt: what is sent, what is answered, what a refusal leads to."""

from __future__ import annotations

import contextlib
import io
from typing import Any
from unittest import mock

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import login
from roster_upload.transfer.info import ConnectionInfo
from unit.test_config import GOOD


def pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, phrase: str = "") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.BestAvailableEncryption(phrase.encode())
        if phrase
        else serialization.NoEncryption(),
    )


FEED = config.parse(GOOD)
PASSWORD = " its own "


KEY = pem(ed25519.Ed25519PrivateKey.generate())


BEFORE_A_KEY = [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]  # as editors write it


def transport(**ends: Any) -> mock.Mock:
    """A transport whose login methods end as given, by default well."""
    made = mock.Mock()
    made.auth_timeout = 60
    made.get_banner.return_value = ends.pop("banner", None)
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
        (other("publickey", ""), True, Exit.LOGIN, "the server accepts publickey, not "),
    ],
)  # fmt: skip
def test_a_login_is_tried_once(
    method: str, secret: bytes, call: str, end: Any, is_active: bool, code: Exit | None, told: str
) -> None:
    made, facts = transport(**{call: end}, is_active=is_active), ConnectionInfo()
    if code is None:
        login.log_in(made, FEED, secret, method, facts)
    else:
        with pytest.raises(Failure) as failed:
            login.log_in(made, FEED, secret, method, facts)
        assert (failed.value.code, told in failed.value.message) == (code, True), failed.value
        assert PASSWORD.strip() not in failed.value.message
    assert logins(made) == [call]
    assert facts.method == ("" if code else method)
    assert "auth" in facts.seconds


def test_a_password_goes_as_it_is_and_by_no_other_way() -> None:
    made = transport()
    login.log_in(made, FEED, PASSWORD.encode(), "password", ConnectionInfo())
    made.auth_password.assert_called_once_with(FEED.username, PASSWORD, fallback=False)


@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "publickey"])
def test_only_a_password_may_be_asked_for_at_a_prompt(method: str) -> None:
    call = {"password": "auth_password", "publickey": "auth_publickey"}.get(
        method, "auth_interactive"
    )
    made = transport(**{call: other("keyboard-interactive")})
    expected = login.OtherMethod if method == "password" else Failure
    with pytest.raises(expected):
        login.log_in(made, FEED, KEY, method, ConnectionInfo())


@pytest.mark.parametrize("secret", [*(before + KEY for before in BEFORE_A_KEY), KEY[:40]])
def test_a_key_is_never_taken_for_a_password(secret: bytes) -> None:
    """A damaged one neither."""
    assert login.kind_of(secret) == "key"
    assert login.kind_of(b"x" + secret) == "password"


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
    answer = login.one_prompt(PASSWORD, FEED)
    given: list[str] = []
    with pytest.raises(Failure) if code else contextlib.nullcontext() as failed:
        for prompts in rounds:
            given += answer("", "", prompts)
    assert given == ([PASSWORD] if code is None or len(rounds) > 1 else [])
    if failed:
        assert failed.value.code is code
        assert PASSWORD not in failed.value.message


def test_an_instruction_counts_behind_the_first_prompt() -> None:
    answer = login.one_prompt(PASSWORD, FEED)
    text = "Use a new password of twelve letters"
    assert answer("Welcome", text, [("Password: ", False)]) == [PASSWORD]
    with pytest.raises(Failure) as failed:
        answer("", text, [("> ", False)])
    assert failed.value.code is Exit.PASSWORD_EXPIRED


@pytest.mark.parametrize("secret", [b"", b"gr\xf6\xdfe"])
def test_a_password_is_a_text(secret: bytes) -> None:
    with pytest.raises(Failure, match="empty or not text"):
        login.password(secret)
    assert login.password("größe ".encode()) == "größe "


def test_a_private_key_is_read_from_memory() -> None:
    out = io.StringIO()
    paramiko.RSAKey.generate(1024).write_private_key(out)
    for secret in (
        *(before + KEY for before in BEFORE_A_KEY),
        pem(ec.generate_private_key(ec.SECP256R1())),
        out.getvalue().encode(),
    ):
        assert login.private_key(secret).can_sign()
    for secret in (KEY[:100], b"-----BEGIN ", pem(ed25519.Ed25519PrivateKey.generate(), "phrase")):
        with pytest.raises(Failure, match="not an OpenSSH private key"):
            login.private_key(secret)


@pytest.mark.parametrize(
    ("prompt", "finds"),
    [
        ("Password: ", None),
        ("rosters@maple.example's password: ", None),
        ("Spinach password: ", None),
        ("PIN: ", login.CODE),
        ("Enter OTP code", login.CODE),
        ("Enter new password:", login.NEW_PASSWORD),
        ("Change your password now", login.NEW_PASSWORD),
        ("Your password has expired", login.NEW_PASSWORD),
    ],
)
def test_what_a_prompt_is_taken_for(prompt: str, finds: object) -> None:
    matching = [words for words in (login.CODE, login.NEW_PASSWORD) if words.search(prompt)]
    assert matching == ([finds] if finds else [])
