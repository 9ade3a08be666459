"""The account of a feed on the SIS's server."""

from __future__ import annotations

from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.spec.contacts import SIS, Contact
from roster_upload.spec.sources import SftpSource
from roster_upload.spec.values import HostKey


@dataclass(frozen=True)
class SourceAccount:
    """The account with which a feed fetches its export. See `transfer.account.Account`."""

    source: SftpSource
    host_keys: tuple[HostKey, ...]
    algorithms: str
    contact: Contact = SIS

    @property
    def remote_host(self) -> str:
        """Return the server's name or address."""
        return self.source.host

    @property
    def remote_port(self) -> int:
        """Return its TCP port."""
        return self.source.port

    @property
    def username(self) -> str:
        """Return the login."""
        return self.source.username


def account_of(feed: Feed) -> SourceAccount:
    """Return the account for a feed whose source is on a server."""
    if not isinstance(feed.source, SftpSource):
        raise TypeError(feed.source)
    return SourceAccount(feed.source, feed.source_host_keys, feed.source_algorithms)
