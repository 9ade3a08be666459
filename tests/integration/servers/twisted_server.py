"""Run Twisted Conch, as `twistd conch` does: PORT USER PASSWORD.

Its 24.11 expects a user's home to be a FilePath, but UnixConchUser does not provide one.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.conch.openssh_compat.factory import OpenSSHFactory
from twisted.conch.unix import UnixConchUser, UnixSSHRealm
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.python.filepath import FilePath

PORT, USER, PASSWORD = sys.argv[1:]


class User(UnixConchUser):  # type: ignore[misc]
    """A user of the system, under whose account the files are opened."""

    def getHomeDir(self) -> Any:  # noqa: N802 - Twisted's name
        return FilePath(super().getHomeDir())


class Realm(UnixSSHRealm):  # type: ignore[misc]
    """The users."""

    def requestAvatar(self, username: bytes, mind: object, *interfaces: Any) -> Any:  # noqa: N802
        user = User(username.decode())
        return interfaces[0], user, user.logout


checker = InMemoryUsernamePasswordDatabaseDontUse()
checker.addUser(USER.encode(), PASSWORD.encode())
factory = OpenSSHFactory()
factory.portal = Portal(Realm(), [checker])
factory.dataRoot = factory.moduliRoot = "/vendor"
reactor.listenTCP(int(PORT), factory, interface="127.0.0.1")
reactor.run()
