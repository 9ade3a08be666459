"""Failures of a fetch, as an operator reads them."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from roster_upload.exits import Exit, Failure, SourceFailure
from roster_upload.fetch.account import SourceAccount
from roster_upload.transfer.directory import LOSSES, meaning_of
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import ConnectionLost, SftpStatusError

# Failures that say something about the export or this host, and nothing about the server.
OWN = frozenset({
    Exit.SOURCE, Exit.GROWING, Exit.STALE, Exit.REFUSED, Exit.LOCAL, Exit.CREDENTIAL,
})  # fmt: skip
NO_MATCH = "no_match"
NO_TIME = "no_time"


class ServerFailure(SourceFailure):
    """A missing export, since its server could not be used. `reason` is the server's exit code."""

    def __init__(self, account: SourceAccount, failure: Failure) -> None:
        super().__init__(
            f"there is no export from {account.source.url}: {failure.message}",
            failure.code.name.lower(),
        )
        self.reason = failure.code


class Changed(Failure):
    """The file has changed while it was read."""

    def __init__(self, url: str) -> None:
        super().__init__(
            Exit.GROWING, f"{url} changed while it was read. The SIS is still writing it"
        )


@contextlib.contextmanager
def explained(account: SourceAccount, info: ConnectionInfo) -> Iterator[None]:
    """Raise the failures of the block in the words of a fetch."""
    try:
        yield
    except SftpStatusError as refused:
        raise ServerFailure(account, _refusal(account, refused)) from None
    except (ConnectionLost, struct.error) as error:
        raise ServerFailure(account, _loss(account, info, error)) from None
    except Failure as failure:
        if failure.code in OWN:
            raise
        raise ServerFailure(account, failure) from None


def _refusal(account: SourceAccount, refused: SftpStatusError) -> Failure:
    """Return the failure for a request that the server has refused."""
    code, folder = meaning_of(refused), account.source.folder or "/"
    if code is Exit.REMOTE_PATH:
        text = f"the server finds no {folder} ({refused}). Compare the source with the SIS's path"
    else:
        text = (
            f"the server refused {account.username} to read {folder} ({refused}). Ask "
            f"{account.contact.name} for permission to list and read there"
        )
    return Failure(code, text)


def _loss(
    account: SourceAccount, info: ConnectionInfo, error: ConnectionLost | struct.error
) -> Failure:
    """Return the failure for a connection that has ended."""
    code = error.code if isinstance(error, ConnectionLost) else Exit.TRANSFER
    why = error if isinstance(error, ConnectionLost) else "an answer was cut short"
    return Failure(code, f"{account.remote_host} ({info.address}) {LOSSES[code]} ({why})")
