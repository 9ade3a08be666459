"""Look at the SIS's server without fetching anything."""

from __future__ import annotations

from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.exits import SourceFailure
from roster_upload.fetch.account import account_of
from roster_upload.fetch.failure import explained
from roster_upload.fetch.folder import RemoteFile, SourceFolder
from roster_upload.transfer import connect
from roster_upload.transfer.info import ConnectionInfo


@dataclass(frozen=True)
class Look:
    """The files that the source names, the newest last, or the failure to find one."""

    files: tuple[RemoteFile, ...]
    missing: SourceFailure | None = None


def look(feed: Feed, secret: bytes, info: ConnectionInfo, *, limit: float | None = None) -> Look:
    """Log in once and look for the export. Raise Failure if the server cannot be used."""
    account = account_of(feed)
    with (
        explained(account, info),
        connect.session(account, secret, info, limit=limit) as sftp,
        explained(account, info),
    ):
        try:
            return Look(tuple(SourceFolder(sftp, account).matches()))
        except SourceFailure as missing:
            return Look((), missing)
