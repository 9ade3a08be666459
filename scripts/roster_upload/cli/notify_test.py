"""`notify-test`: send a test through every alert channel of a feed, in the feed's unit."""

from __future__ import annotations

import argparse

from roster_upload import config
from roster_upload.cli.host_feeds import config_file
from roster_upload.exits import Exit, Failure
from roster_upload.host.credentials import secrets_folder
from roster_upload.notify import notifier
from roster_upload.terminal.output import show


def notify_test(given: argparse.Namespace) -> int:
    """Send a test and show the result of each channel. Raise Failure."""
    feed = config.load(config_file(given))
    try:
        sent = notifier.test(feed, secrets_folder())
    except ValueError as error:
        raise Failure(Exit.CREDENTIAL, str(error)) from None
    if not sent:
        raise Failure(
            Exit.CONFIG,
            f"{feed.feed} has no alert channel. Set roster_upload_alert_urls, or urls in "
            "alerts.vault, and run site.yml",
        )
    for one in sent:
        show(f"{one.name}: {one.trouble or 'accepted'} ({one.seconds:.1f} s)")
    return Exit.ALERTS if any(one.trouble for one in sent) else Exit.OK
