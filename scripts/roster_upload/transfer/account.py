"""An account on an SFTP server, as a connection needs it."""

from __future__ import annotations

from typing import Protocol

from roster_upload.spec.contacts import Contact
from roster_upload.spec.values import HostKey


class Account(Protocol):
    """An account on a server: that of a feed at the vendor, or that of its source at the SIS."""

    @property
    def remote_host(self) -> str:
        """Return the server's name or address."""

    @property
    def remote_port(self) -> int:
        """Return its TCP port."""

    @property
    def username(self) -> str:
        """Return the login."""

    @property
    def host_keys(self) -> tuple[HostKey, ...]:
        """Return the host keys that are accepted."""

    @property
    def algorithms(self) -> str:
        """Return `modern` or `legacy`."""

    @property
    def contact(self) -> Contact:
        """Return the people behind the server."""
