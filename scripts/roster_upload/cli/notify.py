"""`notify`: send the notices that the watcher and the alarm have left, with the feed's secrets."""

from __future__ import annotations

import argparse

from roster_upload import config
from roster_upload.cli.host_feeds import config_file
from roster_upload.exits import Exit
from roster_upload.host.credentials import secrets_folder
from roster_upload.notify import outbox


def notify(given: argparse.Namespace) -> int:
    """Send all notices. Return the exit code. A channel that does not work is logged."""
    outbox.send_all(config.load(config_file(given)), secrets_folder())
    return Exit.OK
