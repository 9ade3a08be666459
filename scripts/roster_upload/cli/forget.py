"""`forget`: remove the former credential once the new one has delivered."""

from __future__ import annotations

import argparse
import datetime as dt
import os

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, read_ledger
from roster_upload.exits import Exit
from roster_upload.host import credentials
from roster_upload.terminal.output import show


def forget(given: argparse.Namespace) -> int:
    """Remove the former credential if a delivery was accepted after the rotation."""
    feed = config.load(config_file(given))
    path, now = credentials.previous(given.config_dir, feed.feed), dt.datetime.now(dt.UTC)
    if path.exists() and path.stat().st_mtime > now.timestamp():
        os.utime(path)  # a wrong clock wrote it, and that day may never come
    sent = read_ledger(given, feed.feed).history().last_sent()
    if not path.exists():
        show(f"{feed.district}: no former credential is kept")
    elif credentials.is_outlived(path, sent.started if sent else "", now):
        path.unlink()
        show(f"{feed.district}: removed the former credential, since a delivery was accepted")
    else:
        show(f"{feed.district}: the former credential stays until the next accepted delivery")
    return Exit.OK
