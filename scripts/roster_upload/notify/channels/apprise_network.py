"""The network of Apprise's plugins: verified, bounded, without redirects, and with causes.

Apprise logs addresses with their secrets, verifies no mail server and follows redirects. So its
plugins use requests and smtplib as this module changes them. The changes apply to a thread within
`conversation` only.
"""

from __future__ import annotations

import contextlib
import logging
import smtplib
import ssl
import sys
import threading
import types
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from roster_upload.notify.channels.channel import CHANNEL_SECONDS, reason

LONGEST_ANSWER = 64 * 1024
# Answers of a pretended conversation. Each plugin accepts one of them, or its servers are guessed.
PRETENDED = (b'{"ok": true, "access_token": "x", "token": "x", "expires_in": 3600}', b"ok")
PORTS = {"http": 80, "https": 443}
LIBRARIES = ("apprise", "requests", "urllib3")  # whose logs may hold an address with its secret
_here = threading.local()
_lock = threading.Lock()


@dataclass
class Conversation:
    """Keep a channel's answers. `cause` is the last failure, without a secret."""

    pretended: bytes | None = None  # the answer of each server, if nothing is sent
    cause: str = ""
    refused: str = ""  # a mail that not all of its recipients get
    answers: list[bytes] = field(default_factory=list)  # those with a good status, as they begin
    servers: list[str] = field(default_factory=list)  # `host:port`

    def visit(self, host: str, port: int) -> None:
        """Keep a server's address."""
        name = f"{host}:{port}"  # also of IPv6, as the firewall takes it
        if name not in self.servers:
            self.servers.append(name)


@contextlib.contextmanager
def conversation(pretended: bytes | None = None) -> Iterator[Conversation]:
    """Guard the network of this thread. With a pretended answer nothing is sent."""
    _here.conversation = heard = Conversation(pretended)
    try:
        yield heard
    finally:
        del _here.conversation


def _current() -> Conversation | None:
    return getattr(_here, "conversation", None)


def guard() -> None:
    """Change requests for conversations, and silence the libraries' logs."""
    import requests  # noqa: PLC0415

    with _lock:
        for name in LIBRARIES:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [logging.NullHandler()], False
        kind: Any = requests.Session
        former = kind.request
        if getattr(former, "is_guarded", False):
            return

        def request(session: Any, method: str, url: str, *given: Any, **options: Any) -> Any:
            heard = _current()
            if heard is None:
                return former(session, method, url, *given, **options)
            return _guarded(heard, former, session, (method, url, *given), options)

        request.is_guarded = True  # type: ignore[attr-defined]
        kind.request = request


def _guarded(
    heard: Conversation,
    former: Any,
    session: Any,
    given: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """Return the answer to a plugin's request. Raise an error of requests."""
    import requests  # noqa: PLC0415

    parts = urllib.parse.urlsplit(given[1])
    host = parts.hostname or ""
    heard.visit(host, parts.port or PORTS.get(parts.scheme, 443))
    if heard.pretended is not None:
        return _read(requests.Response(), heard.pretended, 200)
    # Ignore a proxy of the environment: the firewall allows only the configured hosts.
    session.trust_env = False
    options |= {
        "allow_redirects": False,  # the address may hold a secret
        "verify": _authorities(),
        "timeout": CHANNEL_SECONDS,
        "stream": True,
    }
    try:
        with contextlib.closing(former(session, *given, **options)) as answer:
            content = b""
            for chunk in answer.iter_content(4096):
                content += chunk
                if len(content) > LONGEST_ANSWER:
                    break
    except Exception as error:
        heard.cause = f"{host}: {reason(error)}"
        raise
    is_good = answer.status_code < HTTPStatus.MULTIPLE_CHOICES  # the plugin reads its text
    heard.cause = (
        f"{host} reports an error" if is_good else f"HTTP {answer.status_code} from {host}"
    )
    heard.answers.append(content if is_good else b"")
    return _read(answer, content, answer.status_code)


def _authorities() -> str | bool:
    """Return the system's certificates, which have the district's own authorities too."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _read(answer: Any, content: bytes, status: int) -> Any:
    """Return an answer of requests whose content is read."""
    answer.status_code, answer._content, answer._content_consumed = status, content, True
    return answer


# ---- mail ----------------------------------------------------------------------------------------


class Mailer:
    """Adds to a class of smtplib a certificate's check, a time limit and causes."""

    def __init__(self, host: str, port: int, *_: Any, **__: Any) -> None:
        self.heard = _current() or Conversation(b"")
        self.server, self.is_pretended = host, self.heard.pretended is not None
        self.heard.visit(host, port)
        if self.is_pretended:
            return
        options: dict[str, Any] = {"timeout": CHANNEL_SECONDS}
        if isinstance(self, smtplib.SMTP_SSL):
            options["context"] = ssl.create_default_context()
        with self._causes():
            super().__init__(host, port, **options)  # type: ignore[call-arg]

    @contextlib.contextmanager
    def _causes(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.heard.cause = f"{self.server}: {reason(error)}"
            raise

    def starttls(self, *_: Any, **__: Any) -> Any:
        """Encrypt the connection to a server whose certificate is trusted."""
        if not self.is_pretended:
            with self._causes():
                super().starttls(context=ssl.create_default_context())  # type: ignore[misc]

    def login(self, user: str, password: str, **_: Any) -> Any:
        """Log in."""
        if not self.is_pretended:
            with self._causes():
                super().login(user, password)  # type: ignore[misc]

    def sendmail(self, *given: Any, **options: Any) -> dict[str, Any]:
        """Send a mail. Return the refused recipients."""
        if self.is_pretended:
            return {}
        with self._causes():
            refused: dict[str, Any] = super().sendmail(*given, **options)  # type: ignore[misc]
        if refused:
            self.heard.refused = f"{self.server} refused {len(refused)} of the recipients"
        return refused

    def quit(self) -> Any:
        """End the connection. The mail is sent or refused by now."""
        if not self.is_pretended:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                super().quit()  # type: ignore[misc]


class PlainMailer(Mailer, smtplib.SMTP):
    """A connection without encryption, or with STARTTLS."""


class EncryptedMailer(Mailer, smtplib.SMTP_SSL):
    """A connection with TLS from the start."""


def is_guarded(kind: type) -> bool:
    """Return whether a plugin uses nothing but the network that this module guards.

    Plugins of the desktop, of the system's log and of other protocols do not.
    """
    found = [sys.modules[base.__module__] for base in kind.__mro__]
    found = [module for module in found if module.__name__.startswith("apprise.plugins.")]
    for module in found:
        if isinstance(getattr(module, "smtplib", None), types.ModuleType):
            module.smtplib = _mail_library()  # type: ignore[attr-defined]
    return any(hasattr(module, "requests") or hasattr(module, "smtplib") for module in found)


def _mail_library() -> types.SimpleNamespace:
    """Return smtplib with the guarded classes."""
    names = {name: getattr(smtplib, name) for name in dir(smtplib) if not name.startswith("_")}
    return types.SimpleNamespace(**{**names, "SMTP": PlainMailer, "SMTP_SSL": EncryptedMailer})
