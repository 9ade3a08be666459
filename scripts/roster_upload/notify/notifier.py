"""Notify people of an event, through each channel of the feed."""

from __future__ import annotations

import json
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.notify import message
from roster_upload.notify.channels import apprise
from roster_upload.records.receipt import Receipt

CREDENTIAL = "alerts"  # the addresses of the vault, as a JSON list
UNREADABLE = "the alerts' addresses of alerts.vault cannot be read on this host. Run site.yml"


def notify(feed: Feed, kind: str, receipt: Receipt, secrets: Path | None) -> list[str]:
    """Notify people of an event. Return a text for each channel that did not work."""
    try:
        urls, troubles = addresses(feed, secrets), []
    except ValueError:
        urls, troubles = feed.alert_urls, [UNREADABLE]
    if not urls:
        return troubles
    made = message.of_event(feed, kind, receipt)
    return [*troubles, *apprise.send(urls, made.title, made.body, made.kind, made.values)]


def test(feed: Feed, secrets: Path | None) -> list[apprise.Sent]:
    """Send a test through each channel. Return the results. Raise ValueError."""
    made = message.of_test(feed)
    return apprise.deliver(addresses(feed, secrets), made.title, made.body, made.kind, made.values)


def addresses(feed: Feed, secrets: Path | None) -> tuple[str, ...]:
    """Return the feed's addresses, then those of the vault. Raise ValueError."""
    path = (secrets or Path("/nonexistent")) / f"{feed.feed}_{CREDENTIAL}"
    try:
        sealed = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return feed.alert_urls
    except (OSError, ValueError):
        raise ValueError(UNREADABLE) from None
    if not isinstance(sealed, list) or not all(isinstance(url, str) for url in sealed):
        raise ValueError(UNREADABLE)
    return (*feed.alert_urls, *sealed)
