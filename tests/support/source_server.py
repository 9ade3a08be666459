"""The SIS's SFTP server in memory, which lists and gives files."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from roster_upload import config
from roster_upload.fetch.account import SourceAccount, account_of
from roster_upload.fetch.folder import SourceFolder
from roster_upload.transfer import connect, messages, protocol
from unit.test_config import GOOD

from support.sftp_server import Server, packed

NOW = 1_800_000_000
FOLDER = "/exports"
FILE, LINK = 0o100644, 0o120777
KEYS = GOOD["host_keys"]


class SourceServer(Server):
    """A server with files in one folder. Each attribute is a way to misbehave."""

    def __init__(self, *names: str, **faults: Any) -> None:
        self.times: dict[str, int] = {}
        self.modes: dict[str, int] = {}
        self.lists_attributes = True
        self.most_at_once = 1 << 20  # bytes in the answer to a read
        self.adds = b""  # to the answer of each read
        self.is_endless = False
        self.limits: list[float | None] = []  # of the logins, in seconds
        self.before_read: Callable[[], None] = lambda: None
        super().__init__(**faults)
        self.files, self.folders = {}, {FOLDER}
        for name in names:
            self.put(name)

    def reconnect(self) -> None:
        """Begin a session without anything of the one before."""
        self._in.clear()
        self._out.clear()
        self._answers.clear()
        self._handles.clear()
        self._is_cut = False

    def put(self, name: str, data: bytes = b"roster", when: int = NOW, mode: int = FILE) -> None:
        """Write a file."""
        path = f"{FOLDER}/{name}"
        self.files[path], self.times[path], self.modes[path] = data, when, mode

    def _open(self, name: str, path: str, body: bytes) -> bytes | int:
        if name == "open":
            assert struct.unpack(">II", body[-8:]) == (1, 0), "only to read"
            if path not in self.files:
                return messages.NO_SUCH_FILE
        elif path not in self.folders:
            return self.missing_as
        handle = f"handle {len(self.requests)}"
        self._handles[handle] = [path, b"", False]
        return packed(handle)

    def _do(self, name: str, number: int, count: int, texts: list[str], body: bytes) -> int | None:
        if name != "read":
            return super()._do(name, number, count, texts, body)
        self.before_read()
        offset, length = struct.unpack(">QI", body[-12:])
        data = self.files.get(self._path(texts[0]), b"")[offset : offset + length]
        data = bytes(length) if self.is_endless else data
        if not data:
            return messages.EOF
        data = data[: self.most_at_once] + self.adds
        self._say(messages.DATA, number, struct.pack(">I", len(data)) + data)
        return None

    def _attributes(self, path: str) -> bytes:
        when = self.times[path]
        return struct.pack(">IQIII", 0x0D, len(self.files[path]), self.modes[path], when, when)

    def _size(self, name: str, number: int, count: int, path: str) -> int | None:
        if path not in self.files:
            return super()._size(name, number, count, path)
        body = struct.pack(">I", 0) if name in self.hides else self._attributes(path)
        self._say(messages.ATTRS, number, body)
        return None

    def _names(self, number: int, handle: str) -> int | None:
        if self._handles[handle][2]:
            return messages.EOF
        self._handles[handle][2] = True
        body = b""
        for path in self.files:
            name = path.removeprefix(f"{FOLDER}/").encode("utf-8", "surrogateescape")
            seen = self._attributes(path) if self.lists_attributes else struct.pack(">I", 0)
            body += struct.pack(">I", len(name)) + name + packed("long") + seen
        self._say(messages.NAME, number, struct.pack(">I", len(self.files)) + body)
        return None


def feed_of(name: str = "*.zip", **changes: Any) -> config.Feed:
    """Return a feed that fetches its export."""
    source = {"source": f"sftp://sis@files.example{FOLDER}/{name}", "source_host_keys": KEYS}
    return config.parse({**GOOD, **source, **changes})


def account(name: str = "*.zip") -> SourceAccount:
    return account_of(feed_of(name))


def folder_of(server: object, name: str = "*.zip") -> SourceFolder:
    """Return the folder of a source on a server."""
    channel: Any = server
    return SourceFolder(protocol.Sftp(channel), account(name))


def serve(monkeypatch: pytest.MonkeyPatch, server: SourceServer) -> None:
    """Let each login lead to a server in memory."""
    channel: Any = server

    def session(_account: object, _secret: bytes, info: Any, **given: Any) -> Any:
        server.reconnect()
        server.limits.append(given.get("limit"))
        info.method, info.host_key, info.address = "password", "SHA256:abc", "192.0.2.7"
        return contextlib.nullcontext(protocol.Sftp(channel))

    monkeypatch.setattr(connect, "session", session)
