"""Run paramiko's own server on a folder of files: PORT USER PASSWORD.

paramiko has only the protocol. The requests are carried out as in its example,
`tests/_stub_sftp.py`. The process's working folder is the root.
"""

from __future__ import annotations

import os
import socketserver
import sys
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

from paramiko import (
    ECDSAKey,
    ServerInterface,
    SFTPAttributes,
    SFTPHandle,
    SFTPServer,
    SFTPServerInterface,
    Transport,
)
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_OK

PORT, USER, PASSWORD = sys.argv[1:]
KEY = ECDSAKey.from_private_key_file("/vendor/ssh_host_ecdsa_key")


def told(request: Callable[..., Any]) -> Callable[..., Any]:
    """Answer a failed request with the status of its error."""

    @wraps(request)
    def answer(*arguments: Any) -> Any:
        try:
            return request(*arguments)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)

    return answer


class File(SFTPHandle):
    """An open file."""

    filename: str
    readfile: Any
    writefile: Any

    @told
    def stat(self) -> Any:
        return SFTPAttributes.from_stat(os.fstat(self.writefile.fileno()))


class Files(SFTPServerInterface):
    """The files under the root."""

    def _local(self, path: str) -> Path:
        return Path.cwd() / self.canonicalize(path).lstrip("/")

    @told
    def list_folder(self, path: str) -> Any:
        return [
            SFTPAttributes.from_stat(found.stat(), found.name)
            for found in self._local(path).iterdir()
        ]

    @told
    def stat(self, path: str) -> Any:
        return SFTPAttributes.from_stat(self._local(path).stat())

    @told
    def lstat(self, path: str) -> Any:
        return SFTPAttributes.from_stat(self._local(path).lstat())

    @told
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> Any:
        number = os.open(self._local(path), flags, 0o644)
        handle = File(flags)
        handle.filename = path
        handle.readfile = handle.writefile = os.fdopen(
            number, "wb" if flags & os.O_WRONLY else "rb"
        )
        return handle

    @told
    def remove(self, path: str) -> Any:
        self._local(path).unlink()
        return SFTP_OK

    @told
    def rename(self, oldpath: str, newpath: str) -> Any:
        self._local(oldpath).rename(self._local(newpath))
        return SFTP_OK

    posix_rename = rename

    @told
    def mkdir(self, path: str, attr: SFTPAttributes) -> Any:
        self._local(path).mkdir()
        return SFTP_OK


class Door(ServerInterface):
    """The login."""

    def check_auth_password(self, username: str, password: str) -> int:
        is_right = (username, password) == (USER, PASSWORD)
        return AUTH_SUCCESSFUL if is_right else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED


class Server(socketserver.ThreadingTCPServer):
    """A server whose port was reserved for it."""

    allow_reuse_address = True


class Connection(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Serve it to its end."""
        with closing(Transport(self.request)) as transport:
            transport.add_server_key(KEY)
            transport.set_subsystem_handler("sftp", SFTPServer, Files)
            transport.start_server(server=Door())
            transport.join()


Server(("127.0.0.1", int(PORT)), Connection).serve_forever()
