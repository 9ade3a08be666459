"""A vendor's SFTP server that can be told to misbehave, on loopback, for the time of a test."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from integration.district import FOLDER, USER


@dataclass
class Vendor:
    """The server's behaviour, and what it has seen."""

    root: Path
    password: str
    # At this request of its kind (counted from 1), or never: what goes wrong.
    refuse_write: int = 0
    cut_at_write: int = 0
    disk_full_at: int = 0
    refuse_close: bool = False
    refuse_posix_rename: bool = False
    rename_will_not_replace: bool = False
    cut_at_rename: bool = False
    shorten_at_rename: bool = False
    refuse_rename: bool = False
    hide_sizes: bool = False
    append: bool = False
    seconds_a_write: float = 0
    closed_folder: bool = False
    only_interactive: bool = False
    client_key: str = ""
    prompts: list[str] = field(default_factory=lambda: ["Password: "])
    # What it has seen.
    port: int = 0
    host_key: str = ""
    logins: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    writes: int = 0

    @property
    def folder(self) -> Path:
        """Where the feed's file arrives."""
        return self.root / FOLDER


class Files(asyncssh.SFTPServer):
    """The files, with the faults that the vendor is told to have."""

    def __init__(self, channel: Any, vendor: Vendor) -> None:
        super().__init__(channel, chroot=str(vendor.root).encode())
        self.vendor = vendor

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        self.vendor.requests.append("open")
        if attrs.permissions is not None:
            self.vendor.requests.append("open with attributes")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        vendor = self.vendor
        vendor.writes += 1
        time.sleep(vendor.seconds_a_write)
        if vendor.writes == vendor.cut_at_write:
            self.connection.abort()
            raise asyncssh.SFTPFailure("gone")
        if vendor.writes == vendor.refuse_write:
            raise asyncssh.SFTPFailure("Failure")
        if vendor.disk_full_at and vendor.writes >= vendor.disk_full_at:
            raise asyncssh.SFTPNoSpaceOnFilesystem("No space left")
        if vendor.append:
            super().write(file_obj, offset + len(data), data)
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def close(self, file_obj: Any) -> None:
        self.vendor.requests.append("close")
        super().close(file_obj)
        if self.vendor.refuse_close:
            raise asyncssh.SFTPFailure("the file could not be kept")

    def setstat(self, path: bytes, attrs: Any, follow_symlinks: bool = True) -> None:
        self.vendor.requests.append("setstat")

    def rename(self, oldpath: bytes, newpath: bytes, flags: int = 0) -> None:
        self.vendor.requests.append("rename")
        if self.vendor.refuse_rename:
            raise asyncssh.SFTPFailure("no renaming here")
        if self.vendor.rename_will_not_replace and Path(self.map_path(newpath).decode()).exists():
            raise asyncssh.SFTPFailure("the file exists")
        Path(self.map_path(oldpath).decode()).replace(self.map_path(newpath).decode())

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self.vendor.requests.append("posix-rename")
        if self.vendor.refuse_posix_rename:
            raise asyncssh.SFTPOpUnsupported("not here")
        super().posix_rename(oldpath, newpath)
        if self.vendor.shorten_at_rename:
            os.truncate(self.map_path(newpath), 100)
        if self.vendor.cut_at_rename:
            self.connection.abort()

    def stat(self, path: bytes) -> Any:
        if self.vendor.hide_sizes:
            raise asyncssh.SFTPPermissionDenied("no")
        return super().stat(path)

    def fstat(self, file_obj: Any) -> Any:
        if self.vendor.hide_sizes:
            raise asyncssh.SFTPOpUnsupported("no")
        return super().fstat(file_obj)

    def scandir(self, path: bytes) -> Any:
        if self.vendor.closed_folder:
            raise asyncssh.SFTPPermissionDenied("no")
        return super().scandir(path)


class Door(asyncssh.SSHServer):
    """The login."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    def password_auth_supported(self) -> bool:
        return not (self.vendor.only_interactive or self.vendor.client_key)

    def validate_password(self, username: str, password: str) -> bool:
        self.vendor.logins.append(username)
        return username == USER and password == self.vendor.password

    def public_key_auth_supported(self) -> bool:
        return bool(self.vendor.client_key)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.export_public_key().decode().split()[:2] == self.vendor.client_key.split()[:2]

    def kbdint_auth_supported(self) -> bool:
        return self.vendor.only_interactive

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [(prompt, False) for prompt in self.vendor.prompts]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        self.vendor.logins.append(username)
        return list(responses) == [self.vendor.password]


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """Serves on a free loopback port, in a thread of its own, until the block ends."""
    vendor.folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    key = asyncssh.generate_private_key("ssh-ed25519")
    started = threading.Event()
    servers: list[asyncssh.SSHAcceptor] = []

    async def start() -> None:
        server = await asyncssh.create_server(
            lambda: Door(vendor), "127.0.0.1", 0, server_host_keys=[key],
            sftp_factory=lambda channel: Files(channel, vendor), allow_scp=False,
        )  # fmt: skip
        servers.append(server)
        vendor.port = server.get_port()
        vendor.host_key = " ".join(key.export_public_key().decode().split()[:2])
        started.set()

    async def stop() -> None:
        for server in servers:
            server.close()
            await server.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def run() -> None:
        task = loop.create_task(start())
        loop.run_forever()
        del task

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the test's server did not start")
    try:
        yield vendor
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
