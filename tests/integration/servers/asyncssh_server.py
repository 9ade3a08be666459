"""Run asyncssh's own server on a folder of files: PORT USER PASSWORD.

The process's working folder is the root.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import asyncssh

PORT, USER, PASSWORD = sys.argv[1:]


class Door(asyncssh.SSHServer):
    """The login."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


def files(channel: Any) -> asyncssh.SFTPServer:
    """Return the files under the root."""
    return asyncssh.SFTPServer(channel, chroot=bytes(Path.cwd()))


async def serve() -> None:
    """Serve until the process is ended."""
    await asyncssh.create_server(
        Door, "127.0.0.1", int(PORT), reuse_address=True, sftp_factory=files,
        server_host_keys=["/vendor/ssh_host_ecdsa_key"],
    )  # fmt: skip
    await asyncio.Event().wait()


asyncio.run(serve())
