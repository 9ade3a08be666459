"""Wait until the SIS has finished its file."""

from __future__ import annotations

import time
from collections.abc import Callable

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.fetch.folder import RemoteFile, SourceFolder

LOOK_SECONDS = 5.0  # between two looks at the folder
# A file's time is the server's. Clocks are wrong, mostly by a time zone, of which none is larger. A
# file that seems older than this has been quiet, whatever the clock.
WRONG_CLOCK_SECONDS = 15 * 3600


def wait_until_stable(
    feed: Feed, folder: SourceFolder, left_seconds: float, log: Callable[[str], None]
) -> RemoteFile:
    """Return the newest match once its size and time have stayed for `quiet_seconds`.

    Wait for `settle_minutes` or `left_seconds`, whichever is less. Raise Failure or
    SftpStatusError.
    """
    limit = min(feed.settle_minutes * 60, left_seconds)
    end = time.monotonic() + limit
    seen: RemoteFile | None = None
    since, has_logged = 0.0, False
    while True:
        file, now = folder.newest(), time.monotonic()
        if file != seen:
            if not seen and _is_old(file, feed.quiet_seconds):
                return file
            seen, since = file, now
        if now - since >= feed.quiet_seconds:
            return file
        if now >= end:
            raise Failure(
                Exit.GROWING,
                f"{folder.url(file)} was still being written after {limit / 60:.0f} min. It has "
                f"to be quiet for {feed.quiet_seconds} s. Let the SIS export earlier",
            )
        if not has_logged:
            log(f"waiting until {folder.url(file)} has been quiet for {feed.quiet_seconds} s")
        has_logged = True
        time.sleep(min(LOOK_SECONDS, max(feed.quiet_seconds - (now - since), 0.05), end - now))


def _is_old(file: RemoteFile, quiet_seconds: float) -> bool:
    """Return whether a file is quiet by its own time, even if the server's clock is wrong."""
    if file.modified is None:
        return False
    return time.time() - file.modified >= WRONG_CLOCK_SECONDS + quiet_seconds
