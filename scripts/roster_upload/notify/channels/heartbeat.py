"""The heartbeat: a service that raises the alarm if a nightly call is missing.

The calls are those of https://healthchecks.io/docs/http_api/.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.notify.channels.channel import (
    CHANNEL_SECONDS,
    Channel,
    address_of,
    host_of,
    request,
    run,
)


def beat(feed: Feed, secrets: Path | None, exit_code: int | None) -> list[str]:
    """Call the feed's heartbeat address: at the start (None), or with the exit code at the end.

    Return a text for a failure.
    """
    if not feed.heartbeat_url:
        return []
    end = "start" if exit_code is None else str(exit_code)
    host = host_of(feed.heartbeat_url)
    return call(lambda: address_of(feed, "heartbeat", secrets), host, end)


def call(address: Callable[[], str], host: str, end: str) -> list[str]:
    """Call an address with a further part of its path. Return a text for a failure."""

    def request_it() -> None:
        parts = urllib.parse.urlsplit(address())
        request(parts._replace(path=f"{parts.path.rstrip('/')}/{end}").geturl())

    failures = run([Channel("heartbeat", host, request_it)], CHANNEL_SECONDS)
    return [f"the {name} did not work: {why}" for name, why in failures.items()]
