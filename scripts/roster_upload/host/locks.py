"""Locks of a host's deliveries: for a feed, an account at a server, and transfer slots."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.host.account import open_plain

LOOK_SECONDS = 0.5
# A check whether a feed is busy holds its lock no longer. Neither does the record of a killed run.
GLANCE_SECONDS = 1.0
GLANCE_LOOK_SECONDS = 0.05
FEED_LOCK = "lock"


@contextlib.contextmanager
def feed_lock(folder: Path) -> Iterator[None]:
    """Hold the feed's lock. Raise Failure if another delivery has it."""
    end = time.monotonic() + GLANCE_SECONDS
    while not (handle := _first_free(folder, [FEED_LOCK], folder.name)):
        if time.monotonic() >= end:
            raise Failure(
                Exit.BUSY, f"another delivery of {folder.name} is under way. See its journal"
            )
        time.sleep(GLANCE_LOOK_SECONDS)
    with handle:
        yield


def is_held(folder: Path) -> bool:
    """Return whether a delivery holds the feed's lock, or this account may not check it."""
    try:
        with os.fdopen(open_plain(folder / FEED_LOCK), "rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def account_lock(username: str, host: str, port: int) -> str:
    """Return the name of the lock of an account at a server."""
    account = f"{username}@{host}:{port}".lower()
    return f"account-{hashlib.sha256(account.encode()).hexdigest()[:16]}.lock"


def slot_locks(parallel: int) -> list[str]:
    """Return the names of the locks for so many parallel transfers."""
    return [f"slot-{n}.lock" for n in range(parallel)]


@contextlib.contextmanager
def transfer_slot(
    folder: Path, feed: Feed, seconds: float, say: Callable[[str], None]
) -> Iterator[None]:
    """Wait for the server's account and for one of the host's transfer slots, and hold both.

    Raise Failure after `seconds`. A running delivery of an older release (`place-N.lock`)
    occupies no slot. Its account stays locked, since that file has the same name.
    """
    own = account_lock(feed.username, feed.remote_host, feed.remote_port)
    end = time.monotonic() + seconds
    slots = slot_locks(feed.parallel)
    login = f"{feed.username} at {feed.remote_host}"
    waits = (
        ([own], f"feeds of {login}", "Let their windows open earlier"),
        (slots, "feeds of this host", "Raise parallel"),
    )
    with contextlib.ExitStack() as stack:
        for names, others, remedy in waits:
            has_waited = False
            while not (handle := _first_free(folder, names, feed.feed)):
                if time.monotonic() >= end:
                    raise Failure(
                        Exit.BUSY, f"other {others} were transferring all the time. {remedy}"
                    )
                if not has_waited:
                    say(f"waiting for other {others} that are being transferred")
                has_waited = True
                time.sleep(LOOK_SECONDS)
            stack.enter_context(handle)
        yield


def _first_free(folder: Path, names: list[str], feed: str) -> TextIO | None:
    """Take and return the first free lock, or None. Raise Failure."""
    for name in names:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            handle = _opened(folder / name)
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"{folder} cannot be written ({error.strerror}). Run the feed as its unit: "
                f"systemctl start roster-upload@{feed}.service",
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
        else:
            return handle
    return None


def _opened(path: Path) -> TextIO:
    """Return a lock's file. The locks that feeds share are root's, and read-only."""
    try:
        return path.open()
    except FileNotFoundError:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o640))
