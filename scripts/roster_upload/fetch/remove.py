"""Remove the file that was delivered from the SIS's server."""

from __future__ import annotations

from roster_upload.config import Feed
from roster_upload.exits import Failure
from roster_upload.fetch.account import account_of
from roster_upload.fetch.failure import explained
from roster_upload.fetch.folder import RemoteFile, SourceFolder
from roster_upload.transfer import connect
from roster_upload.transfer.info import ConnectionInfo


def remove(
    feed: Feed, secret: bytes, file: RemoteFile, info: ConnectionInfo, *, limit: float
) -> str:
    """Remove a file if it is still the same. Return why it was left, or "". Never raise Failure.

    SFTP knows no condition for a removal, so the look comes right before it.
    """
    account = account_of(feed)
    try:
        with (
            explained(account, info),
            connect.session(account, secret, info, limit=limit) as sftp,
            explained(account, info),
        ):
            folder = SourceFolder(sftp, account)
            now = folder.again(file)
            if now is None:
                return f"{folder.url(file)} was gone already"
            if now != file:
                return f"{folder.url(file)} has changed since it was fetched"
            sftp.remove(folder.path(file.name))
    except Failure as failure:
        return failure.message
    return ""
