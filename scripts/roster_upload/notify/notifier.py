"""Notify people of an event, through each channel of the feed.

To add a channel, write a module in `channels` and list it in `CHANNELS`.
"""

from __future__ import annotations

from pathlib import Path

from roster_upload.config import Feed
from roster_upload.notify.channels import channel, mail, webhook
from roster_upload.records.receipt import Receipt

CHANNELS = (webhook.channel, mail.channel)


def notify(feed: Feed, kind: str, receipt: Receipt, secrets: Path | None) -> list[str]:
    """Notify people of an event. Return a text for each channel that did not work."""
    made = [make(feed, kind, receipt, secrets) for make in CHANNELS]
    return channel.run([one for one in made if one])
