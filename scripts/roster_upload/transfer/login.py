"""One login attempt: with a password, by its one prompt, or with a key."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import Callable
from typing import Any

import paramiko

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.printable import printable
from roster_upload.transfer.info import ConnectionInfo

LONGEST_PROMPT = 2_000  # characters that are looked at of what a server asks

# In the words of a prompt: what a password that is kept on a host can never answer.
NEW_PASSWORD = re.compile(r"\b(new|retype|re-?enter|confirm|change)\b.*pass|pass.*\bexpired", re.I)
OLD_PASSWORD = re.compile(r"\b(old|current)\b.*pass", re.I)  # asked for before the new one
CODE = re.compile(
    r"\b(code|otp|token|passcode|pin|one-?time|verification|authenticator|2fa|mfa|factor)\b", re.I
)


# The other method that a password fits, by the one that a server did not take.
OTHER_METHODS = {
    "password": "keyboard-interactive",
    "keyboard-interactive": "password",
}


class OtherMethod(Exception):
    """The server takes another login method than the one that was offered: `method`."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method


def log_in(
    transport: paramiko.Transport, feed: Feed, secret: bytes, method: str, info: ConnectionInfo
) -> None:
    """Logs in, once: a refused login is never repeated, since servers lock accounts.

    Raises OtherMethod where the server does not take the method but another one that a password
    fits. A login whose outcome is not known counts as refused, for the same reason.
    """
    account = f"{feed.username} at {feed.remote_host}"
    with info.phase("auth"):
        try:
            if method == "publickey":
                more = transport.auth_publickey(feed.username, private_key(secret))
            elif method == "password":
                more = transport.auth_password(feed.username, password(secret), fallback=False)
            else:
                answer = one_prompt(password(secret), account)
                more = transport.auth_interactive(feed.username, answer)
        except paramiko.BadAuthenticationType as error:
            taken = list(filter(None, error.allowed_types))
            # Perhaps not refused, but turned away before the secret was looked at.
            if (other := OTHER_METHODS.get(method)) in taken:
                raise OtherMethod(str(other)) from None
            if not taken:
                raise refused_login(account, secret, "was refused") from None
            raise Failure(
                Exit.LOGIN,
                f"{account}: the server takes {_listed(taken)}, not {method}; compare the secret "
                "with what the vendor gave you",
            ) from None
        except Failure:
            raise
        except Exception as error:  # noqa: BLE001 - as in a handshake
            raise _not_let_in(transport, account, secret, error) from None
        if more:
            raise Failure(
                Exit.SECOND_FACTOR,
                f"{account}: after the {kind_of(secret)} the server asks for more "
                f"({_listed(more)}); ask the vendor for an account without it",
            )
    info.method = method


def _not_let_in(
    transport: paramiko.Transport, account: str, secret: bytes, error: Exception
) -> Failure:
    """Return what an error in a login means."""
    if "info request" in str(error):  # what paramiko makes of RFC 4252, section 8
        return _expired(account, "by SSH's own request")
    if "timeout" in str(error).lower():
        end = f"was not answered within {transport.auth_timeout:g} s"
    elif not isinstance(error, (paramiko.SSHException, OSError, EOFError)):
        end = f"was answered, but not as an SSH server does ({type(error).__name__})"
    elif transport.is_active():
        end = "was refused"
    else:
        end = "was ended by the server, which may have locked the account or this address"
    return refused_login(account, secret, end)


def log_in_last(
    transport: paramiko.Transport, feed: Feed, secret: bytes, method: str, info: ConnectionInfo
) -> None:
    """Logs in as by `log_in`, where no other method is left. Raises Failure."""
    try:
        log_in(transport, feed, secret, method, info)
    except OtherMethod:
        account = f"{feed.username} at {feed.remote_host}"
        raise refused_login(account, secret, "was refused") from None


def _listed(names: list[str]) -> str:
    return printable(", ".join(names))


def refused_login(account: str, secret: bytes, end: str) -> Failure:
    return Failure(
        Exit.LOGIN,
        f"the login {account} {end}. It is not tried again, since servers lock accounts: check the "
        f"{kind_of(secret)}; Imagine Learning asks for a reset by its mailed link before the first "
        "login",
    )


def _expired(account: str, how: str) -> Failure:
    return Failure(
        Exit.PASSWORD_EXPIRED,
        f"{account}: the server asks for a new password ({how}); set one by the vendor's reset "
        "link and bring it in with rotate_credentials.yml",
    )


def kind_of(secret: bytes) -> str:
    """What a secret is, `key` or `password`, by its own form.

    Not by the feed's `auth`: while a password gives way to a key, the one in use is what counts;
    and a private key must never be sent to a server as if it were a password.
    """
    return "key" if _trimmed(secret).startswith(b"-----BEGIN ") else "password"


def _trimmed(secret: bytes) -> bytes:
    """Return a secret without what an editor puts before its first character."""
    return secret.lstrip().removeprefix(codecs.BOM_UTF8).lstrip()


def password(secret: bytes) -> str:
    """The feed's secret as a password, its blanks included."""
    try:
        text = secret.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise Failure(
            Exit.CREDENTIAL,
            "the feed's secret is empty, or no text; run site.yml with the district's vault file",
        )
    return text


def one_prompt(secret: str, account: str) -> Callable[..., list[str]]:
    """An answer to a single hidden prompt; to a code, a new password or any more, a Failure."""
    asked: list[str] = []

    def answer(title: str, text: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if not prompts:
            return []
        is_first = not asked
        asked.extend(prompt.strip() for prompt, _ in prompts)
        told = "; ".join(asked)[:LONGEST_PROMPT]
        # Beside the first prompt an instruction may talk of anything; what follows it is meant.
        words = told if is_first else f"{title} {text} {told}"[:LONGEST_PROMPT]
        if NEW_PASSWORD.search(words) or (not is_first and OLD_PASSWORD.search(words)):
            raise _expired(account, printable(told))
        if is_first and len(prompts) == 1 and not prompts[0][1] and not CODE.search(words):
            return [secret]
        raise Failure(
            Exit.SECOND_FACTOR,
            f"{account}: the server asks for more than the password ({printable(told)}); ask the "
            "vendor for an account without a second factor",
        )

    return answer


def private_key(secret: bytes) -> paramiko.PKey:
    """An OpenSSH private key without passphrase, from memory."""
    kinds: list[Any] = [paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey]
    for kind in kinds:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            text = _trimmed(secret).decode("utf-8")
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
            return key
    raise Failure(
        Exit.CREDENTIAL,
        "the feed's secret is no OpenSSH private key (ed25519, ECDSA or RSA, without passphrase)",
    )
