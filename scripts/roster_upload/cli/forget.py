"""`forget`: remove the former credentials once the new ones have delivered."""

from __future__ import annotations

import argparse
import datetime as dt
import os
from pathlib import Path

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, read_ledger
from roster_upload.exits import Exit
from roster_upload.host import credentials
from roster_upload.terminal.output import show


def forget(given: argparse.Namespace) -> int:
    """Remove each former credential if a delivery was accepted after its rotation."""
    feed = config.load(config_file(given))
    sent = read_ledger(given, feed.feed).history().last_sent()
    slots = (credentials.previous(given.config_dir, feed.feed, slot) for slot in credentials.FORMER)
    kept = [path for path in slots if path.exists()]
    if not kept:
        show(f"{feed.district}: no former credential is kept")
    for path in kept:
        _forget(feed.district, path, sent.started if sent else "")
    return Exit.OK


def _forget(district: str, path: Path, accepted: str) -> None:
    """Remove a former credential if a delivery that began after its rotation was accepted."""
    now = dt.datetime.now(dt.UTC)
    what = "source's former credential" if path.name.startswith("source") else "former credential"
    if path.stat().st_mtime > now.timestamp():
        os.utime(path)  # a wrong clock wrote it, and that day may never come
    if credentials.is_outlived(path, accepted, now):
        path.unlink()
        show(f"{district}: removed the {what}, since a delivery was accepted")
    else:
        show(f"{district}: the {what} stays until the next accepted delivery")
