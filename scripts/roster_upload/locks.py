"""Locks of a host's deliveries: one of a feed, one login of an account, so many in all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure

LOOK_SECONDS = 0.5


@contextlib.contextmanager
def feed_lock(folder: Path) -> Iterator[None]:
    """Holds the feed's lock; raises Failure where another delivery has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise Failure(
            Exit.LOCAL,
            f"{folder} cannot be written ({error.strerror}); run the feed as its unit: "
            f"systemctl start roster-upload@{folder.name}.service",
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                Exit.BUSY, f"another delivery of {folder.name} is under way; see its journal"
            ) from None
        yield


@contextlib.contextmanager
def turn(folder: Path, feed: Feed, seconds: float, say: Callable[[str], None]) -> Iterator[None]:
    """Waits for one of the host's places to transfer, and for the account at the server.

    Raises Failure where there is none within `seconds`.
    """
    account = f"{feed.username}@{feed.remote_host}:{feed.remote_port}".lower()
    own = hashlib.sha256(account.encode()).hexdigest()[:16]
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        for names in ([f"account-{own}"], [f"place-{n}" for n in range(feed.parallel)]):
            stack.enter_context(_one_of(folder, names, end, say))
        yield


@contextlib.contextmanager
def _one_of(
    folder: Path, names: list[str], end: float, say: Callable[[str], None]
) -> Iterator[None]:
    """Holds the first lock that is free."""
    has_waited = False
    while True:
        for name in names:
            with (folder / f"{name}.lock").open("w") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        if time.monotonic() >= end:
            raise Failure(
                Exit.BUSY, "other feeds of this host were transferring all the time; raise parallel"
            )
        if not has_waited:
            say("waiting for other feeds of this host that are being transferred")
        has_waited = True
        time.sleep(LOOK_SECONDS)
