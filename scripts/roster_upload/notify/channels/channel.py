"""What all channels share: threads with a time limit, secrets, and reasons without a secret.

A channel never harms a delivery. It runs after the receipt is written, in a thread of its own and
within a limit. A channel that does not work leaves a line in the journal.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload.config import Feed
from roster_upload.terminal.printable import printable

CHANNEL_SECONDS = 10
ALL_SECONDS = 15
# Our own words for errors of libraries. Theirs may hold an address with its secret.
REASONS: Mapping[type[Exception], str] = {
    TimeoutError: "no answer in time",
    socket.gaierror: "its name cannot be resolved",
    ssl.SSLCertVerificationError: "its certificate is not to be trusted",
    ssl.SSLError: "no TLS connection comes about",
    smtplib.SMTPServerDisconnected: "it hung up",
    smtplib.SMTPRecipientsRefused: "it refused all of the addressees",
    smtplib.SMTPNotSupportedError: "it does not offer what smtp_security and smtp_username ask for",
    http.client.RemoteDisconnected: "it hung up",
    http.client.InvalidURL: "its address is invalid",
    http.client.HTTPException: "its answer is not HTTP",
    UnicodeError: "its address or secret holds a character that cannot be sent",
}


class Trouble(Exception):
    """Why a channel did not work, without a secret."""


@dataclass(frozen=True)
class Channel:
    """One way to notify: its name, the host that it talks to, and the call."""

    name: str
    host: str
    call: Callable[[], None]


def run(channels: list[Channel], seconds: float = ALL_SECONDS) -> list[str]:
    """Run all channels at once, and wait no longer than that. Return a text for each failure.

    The limit holds whatever hangs, also a name server.
    """
    failures = {one.name: f"no answer of {one.host} within {seconds:g} s" for one in channels}

    def guarded(channel: Channel) -> None:
        try:
            channel.call()
        except Trouble as trouble:
            failures[channel.name] = str(trouble)
        except Exception as error:  # noqa: BLE001 - no channel harms a delivery
            failures[channel.name] = f"{channel.host}: {reason(error)}"
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
    return [f"the {name} did not work: {printable(why)}" for name, why in dict(failures).items()]


def reason(error: Exception) -> str:
    """Return why something failed, in words that hold no secret."""
    is_cut = isinstance(error, smtplib.SMTPServerDisconnected)  # or an answer that came too late
    inner = error.__context__ if is_cut else getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    code = getattr(cause, "code", None) or getattr(cause, "smtp_code", None)
    if isinstance(code, int):
        return f"it answered {code}"
    words = next((words for kind, words in REASONS.items() if isinstance(cause, kind)), None)
    return words or getattr(cause, "strerror", None) or type(cause).__name__


def secret_of(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """Return a channel's secret. Raise Trouble."""
    try:
        secret = ((secrets or Path("/nonexistent")) / f"{feed.feed}_{purpose}").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        secret = ""
    if not secret.strip():
        raise Trouble(f"its secret {purpose} is not on this host; put it into alerts.vault")
    return secret.rstrip("\r\n")


def host_of(url: str) -> str:
    """Return the host of a configured address. The rest of it may be secret."""
    return urllib.parse.urlsplit(url).hostname or ""


def address_of(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """Return the address of a channel with its secret. Raise Trouble."""
    url: str = getattr(feed, f"{purpose}_url")
    if "@" in urllib.parse.urlsplit(url).netloc:  # urllib would ask a name server for it
        raise Trouble("its address names a user; put a secret into its path, as {secret}")
    if "{secret}" in url:
        secret = secret_of(feed, purpose, secrets)
        url = url.replace("{secret}", urllib.parse.quote(secret, safe="/-_.~"))
    return url


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follow no redirect to another host: the address may hold a secret.

    Follow no redirect of a webhook, which would arrive without its content.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that follows, or None."""
        there, here = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        if req.data or (there.scheme, there.netloc) != (here.scheme, here.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def request(url: str, data: bytes | None = None) -> None:
    """Call an address, with JSON as the content where there is some."""
    made = urllib.request.Request(  # noqa: S310 - config allows http and https only
        url, data, {"User-Agent": "roster-upload"}
    )
    if data is not None:
        made.add_header("Content-Type", "application/json")
    # No proxy of the environment's: what the firewall lets out are the configured hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), SameHost)
    with opener.open(made, timeout=CHANNEL_SECONDS) as answer:
        answer.read(1024)
