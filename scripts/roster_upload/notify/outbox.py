"""Notices that wait for the unit with the feed's secrets.

The watcher and the alarm need no secret, so that they work on a host that cannot open any. They
leave a notice here. `roster-notify@FEED.service` sends it with the sealed addresses. If that unit
cannot start, the alarm sends it to the unsealed ones.

The folder is in memory, so that a full disk silences nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from roster_upload.config import Feed
from roster_upload.host import atomic
from roster_upload.host.account import read_plain
from roster_upload.host.credentials import secrets_folder
from roster_upload.notify import notifier
from roster_upload.notify.events import SUBJECTS
from roster_upload.records.receipt import Receipt
from roster_upload.terminal.output import say
from roster_upload.terminal.printable import path_text

FOLDER = "notices"
LONGEST_BYTES = 1 << 20  # of a notice


class Notice(NamedTuple):
    """An event of which people are still to be notified, its receipt, and its file."""

    kind: str
    receipt: Receipt
    path: Path


def folder() -> Path | None:
    """Return the folder of the notices, or None outside of the feed's units."""
    own = os.environ.get("RUNTIME_DIRECTORY")
    return Path(own) / FOLDER if own else None


def post(feed: Feed, kind: str, receipt: Receipt) -> None:
    """Leave a notice. Without a folder, notify people at once."""
    place = folder()
    if place:
        try:
            place.mkdir(exist_ok=True, mode=0o700)
            names = [int(path.stem) for path in place.glob("*.json") if path.stem.isdecimal()]
            name = f"{max(names, default=0) + 1:06}.json"
            data = json.dumps({"kind": kind, "receipt": receipt.to_json()}).encode()
            atomic.replace(place / name, data, mode=0o600, lasting=False)
        except OSError as error:
            say(f"a notice cannot be left in {place} ({error.strerror})")
        else:
            return
    send(feed, kind, receipt, secrets_folder())


def waiting() -> list[Notice]:
    """Return the notices, oldest first. Remove everything else that systemd sees in their folder.

    Otherwise it would start the unit with the feed's secrets again and again.
    """
    found: list[Notice] = []
    place = folder()
    # A hidden file becomes a notice in a moment.
    for path in sorted(place.glob("[!.]*")) if place else ():
        try:
            values = json.loads(read_plain(path, LONGEST_BYTES))
            kind, receipt = values["kind"], Receipt.parse(values["receipt"])
            _ = SUBJECTS[kind]
        except FileNotFoundError:  # it was sent meanwhile
            continue
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            _remove(path)
        else:
            found.append(Notice(kind, receipt, path))
    return found


def _remove(path: Path) -> None:
    """Remove what is no notice, such as a folder."""
    say(f"{path_text(path)} is no notice, and is removed")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def send_all(feed: Feed, secrets: Path | None) -> None:
    """Send all notices, each once, even where a channel does not work."""
    for notice in waiting():
        send(feed, notice.kind, notice.receipt, secrets)
        with contextlib.suppress(OSError):
            notice.path.unlink()


def send(feed: Feed, kind: str, receipt: Receipt, secrets: Path | None) -> None:
    """Notify people of an event, and log the channels that did not work."""
    for trouble in notifier.notify(feed, kind, receipt, secrets):
        say(trouble)
