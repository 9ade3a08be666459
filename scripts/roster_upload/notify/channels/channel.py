"""The common code of all channels: threads with a time limit, secrets, and safe error texts.

A channel never harms a delivery. It runs in a thread of its own, with a time limit, after the
receipt is written. Its failure is logged in the journal.
"""

from __future__ import annotations

import http.client
import smtplib
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload.config import Feed
from roster_upload.terminal.printable import printable

CHANNEL_SECONDS = 10
ALL_SECONDS = 15
PLACE = "{secret}"  # of a secret in an address
# Texts for errors of libraries. The original texts may hold an address with its secret.
REASONS: Mapping[type[BaseException], str] = {
    TimeoutError: "no answer in time",
    socket.gaierror: "its name cannot be resolved",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: "the TLS connection failed",
    smtplib.SMTPServerDisconnected: "it closed the connection",
    smtplib.SMTPRecipientsRefused: "it refused all recipients",
    smtplib.SMTPNotSupportedError: "it lacks the encryption or the login that the address requires",
    http.client.RemoteDisconnected: "it closed the connection",
    http.client.InvalidURL: "its address is invalid",
    http.client.HTTPException: "its answer is not HTTP",
    UnicodeError: "its address or secret holds a character that cannot be sent",
    ConnectionResetError: "it closed the connection",
    ValueError: "its address is invalid",
}


class Trouble(Exception):
    """The reason why a channel did not work. It holds no secret."""


@dataclass(frozen=True)
class Channel:
    """One way to notify: its name, its host, and the call."""

    name: str
    host: str
    call: Callable[[], None]


def run(channels: list[Channel], seconds: float = ALL_SECONDS) -> dict[str, str]:
    """Run all channels at once, for `seconds` at most. Return the failures by channel's name.

    The limit includes the time of name resolution.
    """
    failures = {one.name: _late(one, seconds) for one in channels}

    def guarded(channel: Channel) -> None:
        try:
            channel.call()
        except Trouble as trouble:
            failures[channel.name] = str(trouble)
        except Exception as error:  # noqa: BLE001 - no channel harms a delivery
            failures[channel.name] = ": ".join(filter(None, (channel.host, reason(error))))
        else:
            del failures[channel.name]

    end = time.monotonic() + seconds
    threads = []
    for channel in channels:
        thread = threading.Thread(target=guarded, args=(channel,), daemon=True)
        try:
            thread.start()
        except RuntimeError:
            failures[channel.name] = "the system allows no further thread"
        else:
            threads.append(thread)
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return {name: printable(why) for name, why in dict(failures).items()}


def _late(channel: Channel, seconds: float) -> str:
    return f"no answer{f' from {channel.host}' if channel.host else ''} within {seconds:g} s"


def reason(error: BaseException) -> str:
    """Return the reason of an error as text without a secret."""
    causes = list(_causes(error))
    for cause in causes:
        code = getattr(cause, "code", None) or getattr(cause, "smtp_code", None)
        if isinstance(code, int):
            return f"it answered {code}"
    for kind, words in REASONS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return words
    texts = (getattr(cause, "strerror", None) for cause in causes)
    return next((text for text in texts if isinstance(text, str)), type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps, in any of the libraries' ways."""
    waiting, known = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) not in known:
            known.add(id(one))
            yield one
            inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
            waiting += [item for item in inner if isinstance(item, BaseException)]


def secret_of(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """Return a channel's secret. Raise Trouble."""
    try:
        secret = ((secrets or Path("/nonexistent")) / f"{feed.feed}_{purpose}").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        secret = ""
    if not secret.strip():
        raise Trouble(f"its secret {purpose} is not on this host. Put it into alerts.vault")
    return secret.rstrip("\r\n")


def host_of(url: str) -> str:
    """Return the host of a configured address. Other parts of it may be secret."""
    return urllib.parse.urlsplit(url).hostname or ""


def address_of(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """Return the address of a channel with its secret. Raise Trouble."""
    url: str = getattr(feed, f"{purpose}_url")
    if "@" in urllib.parse.urlsplit(url).netloc:  # urllib would ask a name server for it
        raise Trouble("its address names a user. Put a secret into its path, as {secret}")
    return filled(url, secret_of(feed, purpose, secrets)) if PLACE in url else url


def filled(url: str, secret: str) -> str:
    """Return an address with its secret."""
    return url.replace(PLACE, urllib.parse.quote(secret, safe="/-_.~"))


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follow no redirect to another host, since the address may hold a secret."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that follows, or None."""
        there, here = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def request(url: str) -> None:
    """Call an address."""
    made = urllib.request.Request(  # noqa: S310 - config allows http and https only
        url, headers={"User-Agent": "roster-upload"}
    )
    # Ignore a proxy of the environment: the firewall allows only the configured hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), SameHost)
    with opener.open(made, timeout=CHANNEL_SECONDS) as answer:
        answer.read(1024)
