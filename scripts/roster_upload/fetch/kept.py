"""The export that was fetched last, kept in the feed's state until it is delivered.

Commands without the network read it: `check`, `diff` and the content check of `verify`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.host import atomic, stop
from roster_upload.spec.sources import SftpSource
from roster_upload.terminal.printable import printable

FOLDER = "fetched"
EXPORT, ABOUT = "export", "about.json"
WORK = "work-"
LONGEST_ABOUT = 100_000  # bytes
LONGEST_NAME = 255


@dataclass(frozen=True)
class Fetched:
    """An export that was fetched: its source, and the file as the server reported it."""

    url: str  # of the source, as configured
    name: str
    size: int
    modified: int
    sha256: str


@contextlib.contextmanager
def workplace(state: Path) -> Iterator[Path]:
    """Yield a private folder on the disk of the state. Remove it after the block. Raise Failure.

    The caller holds the feed's lock, so other such folders are of killed runs.
    """
    home = state / FOLDER
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in home.glob(f"{WORK}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=WORK, dir=home))
    except OSError as error:
        raise _no_room(home, error) from None
    try:
        yield folder
    finally:
        with stop.deferred():  # a second signal must not leave private files
            shutil.rmtree(folder, ignore_errors=True)


def keep(state: Path, copy: Snapshot, about: Fetched) -> None:
    """Keep a fetched export beside its work folder, without a second copy. Raise Failure."""
    home = state / FOLDER
    try:
        when = about.modified
        os.utime(copy.path, (when, when))
        second = copy.path.with_name("kept")
        second.hardlink_to(copy.path)
        second.replace(home / EXPORT)
        atomic.replace(home / ABOUT, json.dumps(asdict(about)).encode())
    except OSError as error:
        raise _no_room(home, error) from None


def drop(state: Path) -> None:
    """Remove the fetched export, but not the record of it. Raise OSError."""
    (state / FOLDER / EXPORT).unlink(missing_ok=True)


def is_here(state: Path) -> bool:
    """Return whether the fetched export is on this host. It goes with its delivery."""
    return (state / FOLDER / EXPORT).is_file()


def last(feed: Feed, state: Path) -> Fetched | None:
    """Return the record of the last fetch from the feed's present source, None without one."""
    try:
        with (state / FOLDER / ABOUT).open("rb") as file:
            values = json.loads(file.read(LONGEST_ABOUT))
        found = Fetched(**values)
    except (OSError, ValueError, TypeError):
        return None
    return found if found.url == feed.origin else None


def on_host(feed: Feed, state: Path) -> Feed:
    """Return a feed with a path as its source: its own, or that of the last fetched export.

    Raise Failure if no such export is kept.
    """
    if not isinstance(feed.source, SftpSource):
        return feed
    if not last(feed, state) or not is_here(state):
        raise Failure(
            Exit.SOURCE,
            f"no fetched export of {feed.feed} is on this host, or it was delivered. Fetch it "
            f"first: roster-upload rehearse {feed.feed}",
        )
    return replace(feed, source=state / FOLDER / EXPORT, quiet_seconds=0)


def name_of(feed: Feed, state: Path) -> str:
    """Return the name of the last fetched export for messages, "" for a source on the host."""
    found = last(feed, state) if isinstance(feed.source, SftpSource) else None
    raw = found.name.encode("utf-8", "surrogateescape") if found else b""
    return printable(raw, LONGEST_NAME)


def _no_room(folder: Path, error: OSError) -> Failure:
    return Failure(Exit.LOCAL, f"no room for a private copy in {folder}: {error.strerror}")
