"""Fetch the newest export from the SIS's server into a private file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.exits import SourceFailure
from roster_upload.export import Hashing, Snapshot, require_free, too_large
from roster_upload.fetch.account import account_of
from roster_upload.fetch.failure import NO_TIME, Changed, explained
from roster_upload.fetch.folder import RemoteFile, SourceFolder
from roster_upload.fetch.reader import read
from roster_upload.fetch.settle import wait_until_stable
from roster_upload.transfer import connect
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import CLOSE
from roster_upload.transfer.watchdog import Times


@dataclass(frozen=True)
class Watcher:
    """The functions that a fetch calls on its way."""

    accept: Callable[[RemoteFile, dt.datetime], None]  # it raises Failure before the reading
    log: Callable[[str], None]
    progress: Callable[[int, int], None]  # bytes that have arrived, of how many


def fetch(
    feed: Feed,
    secret: bytes,
    copy: Path,
    info: ConnectionInfo,
    watcher: Watcher,
    *,
    limit: float | None = None,
    times: Times | None = None,
) -> Snapshot:
    """Fetch the export to the new private file `copy`. Log in once. Raise Failure.

    `limit` bounds everything, in seconds. A file that is not the listed one at its end is removed.
    """
    account = account_of(feed)
    copy.unlink(missing_ok=True)  # of an earlier attempt
    with (
        explained(account, info),
        connect.session(account, secret, info, limit=limit, times=times) as sftp,
        explained(account, info),
    ):
        folder = SourceFolder(sftp, account)
        left = float("inf") if limit is None else limit
        with info.phase("find"):
            file = wait_until_stable(feed, folder, left, watcher.log)
        watcher.accept(file, moment_of(folder, file))
        _require_room(feed, folder, file, copy)
        with info.phase("fetch"):
            return _copy(feed, folder, file, copy, watcher)


def moment_of(folder: SourceFolder, file: RemoteFile) -> dt.datetime:
    """Return the time of a file. Raise SourceFailure without one."""
    if file.modified is None:
        raise SourceFailure(
            f"the server does not report when {folder.url(file)} was written, so its age is "
            "unknown. Ask the administrator of the SIS's server, or let the SIS bring the file",
            NO_TIME,
        )
    return dt.datetime.fromtimestamp(file.modified, dt.UTC)


def _require_room(feed: Feed, folder: SourceFolder, file: RemoteFile, copy: Path) -> None:
    """Raise Failure for a file that is too large, or does not fit on the disk."""
    size = file.size or 0
    if size > feed.maximum_bytes:
        raise too_large(folder.url(file), size, feed.maximum_bytes)
    require_free(size, copy.parent)


def _copy(
    feed: Feed, folder: SourceFolder, file: RemoteFile, copy: Path, watcher: Watcher
) -> Snapshot:
    """Read a file and prove that it has not changed meanwhile. Raise Failure."""
    sftp, size = folder.sftp, feed.maximum_bytes if file.size is None else file.size
    before = folder.again(file)
    out = Hashing(copy, feed.maximum_bytes)
    try:
        handle = sftp.open_to_read(folder.path(file.name))
        done = read(
            sftp, handle, size, out.write, lambda count: watcher.progress(min(count, size), size)
        )
        sftp.post(CLOSE, handle)  # nobody waits for the answer
    finally:
        out.close()
    after = folder.again(file)
    is_whole = done == file.size or (file.size is None and done <= size)
    if not is_whole or before != file or after != file:
        copy.unlink()
        raise Changed(folder.url(file))
    return Snapshot(copy, out.size, out.digest.hexdigest(), moment_of(folder, file))
