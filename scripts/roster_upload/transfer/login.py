"""One login attempt: with a password, at a prompt for a password, or with a key."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import Callable
from typing import Any

import paramiko

from roster_upload.exits import Exit, Failure
from roster_upload.terminal.printable import printable
from roster_upload.transfer.account import Account
from roster_upload.transfer.info import ConnectionInfo

LONGEST_PROMPT = 2_000  # characters of a server's prompts that are examined

# Words of prompts that a stored password can never answer.
NEW_PASSWORD = re.compile(r"\b(new|retype|re-?enter|confirm|change)\b.*pass|pass.*\bexpired", re.I)
OLD_PASSWORD = re.compile(r"\b(old|current)\b.*pass", re.I)  # precedes a new password
CODE = re.compile(
    r"\b(code|otp|token|passcode|pin|one-?time|verification|authenticator|2fa|mfa|factor)\b", re.I
)


# Method that a server did not accept: the other method for a password.
OTHER_METHODS = {
    "password": "keyboard-interactive",
    "keyboard-interactive": "password",
}


class OtherMethod(Exception):
    """The server requires another login method: `method`."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method


def log_in(
    transport: paramiko.Transport,
    account: Account,
    secret: bytes,
    method: str,
    info: ConnectionInfo,
) -> None:
    """Log in once. A refused login is never repeated, since servers lock accounts.

    A login with an unknown outcome counts as refused, for the same reason. Raise Failure. Raise
    OtherMethod if the server does not accept `method`, but accepts another one for passwords.
    """
    where = where_of(account)
    with info.phase("auth"):
        try:
            if method == "publickey":
                more = transport.auth_publickey(account.username, private_key(secret))
            elif method == "password":
                more = transport.auth_password(account.username, password(secret), fallback=False)
            else:
                answer = one_prompt(password(secret), account)
                more = transport.auth_interactive(account.username, answer)
        except paramiko.BadAuthenticationType as error:
            taken = list(filter(None, error.allowed_types))
            # The server may have rejected the method before it looked at the secret.
            if (other := OTHER_METHODS.get(method)) in taken:
                raise OtherMethod(str(other)) from None
            if not taken:
                raise refused_login(account, secret, "was refused") from None
            raise Failure(
                Exit.LOGIN,
                f"{where}: the server accepts {_listed(taken)}, not {method}. Compare the secret "
                f"with the one that {account.contact.name} gave you",
            ) from None
        except Failure:
            raise
        except Exception as error:  # noqa: BLE001 - as in a handshake
            raise _login_failure(transport, account, secret, error) from None
        if more:
            raise Failure(
                Exit.SECOND_FACTOR,
                f"{where}: after the {kind_of(secret)} the server asks for more "
                f"({_listed(more)}). Ask {account.contact.name} for an account without a second "
                "factor",
            )
    info.method = method


def _login_failure(
    transport: paramiko.Transport, account: Account, secret: bytes, error: Exception
) -> Failure:
    """Return the failure for an error during a login."""
    if "info request" in str(error):  # paramiko's error for RFC 4252, section 8
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
    transport: paramiko.Transport,
    account: Account,
    secret: bytes,
    method: str,
    info: ConnectionInfo,
) -> None:
    """Log in by the last method that is left. Raise Failure."""
    try:
        log_in(transport, account, secret, method, info)
    except OtherMethod:
        raise refused_login(account, secret, "was refused") from None


def _listed(names: list[str]) -> str:
    return printable(", ".join(names))


def where_of(account: Account) -> str:
    """Return the login and its server, for messages."""
    return f"{account.username} at {account.remote_host}"


def refused_login(account: Account, secret: bytes, end: str) -> Failure:
    return Failure(
        Exit.LOGIN,
        f"the login {where_of(account)} {end}. It is not tried again, since servers lock accounts. "
        f"Check the {kind_of(secret)}. {account.contact.new_account}",
    )


def _expired(account: Account, how: str) -> Failure:
    return Failure(
        Exit.PASSWORD_EXPIRED,
        f"{where_of(account)}: the server asks for a new password ({how}). "
        f"{account.contact.new_password}",
    )


def kind_of(secret: bytes) -> str:
    """Return the kind of a secret, `key` or `password`, by its own form.

    The feed's `auth` may already name the next kind while a password is replaced by a key. A
    private key must never be sent to a server as a password.
    """
    return "key" if _trimmed(secret).startswith(b"-----BEGIN ") else "password"


def _trimmed(secret: bytes) -> bytes:
    """Return a secret without white space and byte order mark before its first character."""
    return secret.lstrip().removeprefix(codecs.BOM_UTF8).lstrip()


def password(secret: bytes) -> str:
    """Return the feed's secret as a password, with its blanks. Raise Failure."""
    try:
        text = secret.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise Failure(
            Exit.CREDENTIAL,
            "the feed's secret is empty or not text. Run site.yml with the district's vault file",
        )
    return text


def one_prompt(secret: str, account: Account) -> Callable[..., list[str]]:
    """Return a handler that answers one hidden prompt for the password.

    It raises Failure for a code, a new password or a second prompt.
    """
    asked: list[str] = []

    def answer(title: str, text: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if not prompts:
            return []
        is_first = not asked
        asked.extend(prompt.strip() for prompt, _ in prompts)
        shown = "; ".join(asked)[:LONGEST_PROMPT]
        # Instructions with the first prompt may be of any kind. Later ones explain the prompt.
        words = shown if is_first else f"{title} {text} {shown}"[:LONGEST_PROMPT]
        if NEW_PASSWORD.search(words) or (not is_first and OLD_PASSWORD.search(words)):
            raise _expired(account, printable(shown))
        if is_first and len(prompts) == 1 and not prompts[0][1] and not CODE.search(words):
            return [secret]
        raise Failure(
            Exit.SECOND_FACTOR,
            f"{where_of(account)}: the server asks for more than the password "
            f"({printable(shown)}). Ask {account.contact.name} for an account without a second "
            "factor",
        )

    return answer


def private_key(secret: bytes) -> paramiko.PKey:
    """Return the secret as an OpenSSH private key without passphrase. Raise Failure."""
    kinds: list[Any] = [paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey]
    for kind in kinds:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            text = _trimmed(secret).decode("utf-8")
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
            return key
    raise Failure(
        Exit.CREDENTIAL,
        "the feed's secret is not an OpenSSH private key (ed25519, ECDSA or RSA, without "
        "passphrase). Run site.yml with the district's vault file",
    )
