"""Imitate a vendor's SFTP server that can be set to misbehave, on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh import sftp as protocol
from asyncssh.packet import SSHPacket, String, UInt32
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.upload import deliver

from support import waiting
from support.district import FOLDER, USER, District

# Special characters that break careless tools.
PASSWORD = ' it\'s {{ 7 * 7 }} 100% "safe" \\ größe '
OLD = b"yesterday's roster"
CLOSE, STATUS, NAME, EXTENDED, EXTENDED_REPLY = 4, 101, 104, 200, 201
LISTED_AT_ONCE = 1000  # names in an answer, if they are endless
KINDS = {
    3: "open", 4: "close", 5: "read", 6: "write", 8: "fstat", 9: "setstat", 10: "setstat",
    11: "opendir", 12: "readdir", 13: "remove", 14: "mkdir", 17: "stat", 18: "rename",
}  # fmt: skip


@dataclass
class Vendor:
    """The server's behaviour and its observations."""

    root: Path
    password: str
    # By kind of request (`KINDS`, or an extension's name): the fault of each.
    refuse: dict[str, int] = field(default_factory=dict)  # the status of the answer
    words: str = "told to"  # in that answer
    cut_at: str = ""  # the connection ends instead
    silent_at: str = ""  # from then on nothing is answered
    at_write: int = 1  # the first affected write
    cut_once: bool = False  # that connection only
    # Its handling of files.
    allows: str = ".*"  # names that may be written
    rename_will_not_replace: bool = False
    rename_does_nothing: bool = False
    refuse_move: int = 0  # the refused one, counted from 1, if the target is free
    cut_after_rename: bool = False
    shorten_at_rename: bool = False
    append: bool = False
    hasty: list[str] = field(default_factory=list)  # kinds whose next size is an earlier one
    take: str = ""  # "close" or "rename": a file disappears after it
    seconds_a_write: float = 0
    seconds_to_close: float = 0  # for a file, as if it were scanned
    gate: threading.Event | None = None  # every write waits until it is open
    before_read: Callable[[int], None] | None = None  # called with the offset of each read
    # Its offers and reports.
    without: tuple[str, ...] = ()  # extensions
    space: tuple[int, int] = (1 << 20, 0)  # free blocks, flags of the file system
    lists_without_end: bool = False  # the names in a folder
    hashes: str = ""  # "named", "bare" and "unannounced" are right, "wrong" is not
    options: dict[str, Any] = field(default_factory=dict)  # of asyncssh's server
    key_kind: str = "ssh-ed25519"
    # The login.
    only_interactive: bool = False
    rounds: list[list[str]] = field(default_factory=lambda: [["Password: "]])
    wants_new_password: bool = False
    hangs_up: bool = False  # after a refused login
    drops_passwords: bool = False  # after a refused login: it offers the prompt only
    silent_login: bool = False
    no_sessions: bool = False
    client_key: str = ""
    # Its observations.
    most_connected: int = 0
    port: int = 0
    host_key: str = ""
    connected: int = 0
    connections: int = 0  # in all
    logins: list[str] = field(default_factory=list)
    macs: list[str] = field(default_factory=list)  # the agreed algorithms
    requests: list[str] = field(default_factory=list)
    writes: int = 0
    moves: int = 0
    taken: list[bytes] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Return where the feed's file arrives."""
        return self.root / FOLDER

    @property
    def held(self) -> dict[str, bytes]:
        """Return the files in that folder."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


CUT_SECONDS = 0.05


class Requests(protocol.SFTPServerHandler):
    """Read the requests as they arrive, before asyncssh turns them into file operations."""

    def __init__(self, server: Any, *arguments: Any) -> None:
        super().__init__(server, *arguments)
        self.vendor: Vendor = server.vendor
        self.is_silent = False
        offered = [pair for pair in self._extensions if pair[0].decode() not in self.vendor.without]
        if self.vendor.hashes not in ("", "unannounced"):
            offered.append((b"check-file", b"1"))
        self._extensions = offered

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        vendor, kind = self.vendor, self._kind(pkttype, packet)
        vendor.requests.append(kind)
        vendor.writes += kind == "write"
        is_due = kind != "write" or vendor.writes >= vendor.at_write
        self.is_silent |= is_due and kind == vendor.silent_at
        if self.is_silent:
            return
        if is_due and kind == vendor.cut_at:
            if vendor.cut_once:
                vendor.cut_at = ""
            self.is_silent = True
            connection = self._server._chan.get_connection()
            # Earlier answers are sent first.
            asyncio.get_running_loop().call_later(CUT_SECONDS, connection.abort)
        elif is_due and kind in vendor.refuse:
            body = UInt32(vendor.refuse[kind]) + String(vendor.words) + String("")
            self.send_packet(STATUS, pktid, UInt32(pktid), body)
        elif kind == "readdir" and vendor.lists_without_end:
            names = (String(f"{n}") + String("long") + UInt32(0) for n in range(LISTED_AT_ONCE))
            body = UInt32(LISTED_AT_ONCE) + b"".join(names)
            self.send_packet(NAME, pktid, UInt32(pktid), body)
        elif kind == "check-file-name" and vendor.hashes:
            reply = self._hash(packet)
            self.send_packet(EXTENDED_REPLY, pktid, UInt32(pktid), reply)
        else:
            await super()._process_packet(pkttype, pktid, packet)

    def _kind(self, pkttype: int, packet: SSHPacket) -> str:
        rest = packet.get_remaining_payload()
        if pkttype == EXTENDED:
            return rest[4 : 4 + int.from_bytes(rest[:4], "big")].decode().partition("@")[0]
        if pkttype == CLOSE and rest[4:] in self._dir_handles:
            return "closedir"
        return KINDS.get(pkttype, str(pkttype))

    def _hash(self, packet: SSHPacket) -> bytes:
        """Answer check-file-name: draft-ietf-secsh-filexfer-extensions-00, section 3."""
        _, path, algorithms = (packet.get_string() for _ in range(3))
        assert b"sha256" in algorithms.split(b",")
        assert (packet.get_uint64(), packet.get_uint64(), packet.get_uint32()) == (0, 0, 0)
        data = (self.vendor.root / path.decode().lstrip("/")).read_bytes()
        digest = hashlib.sha256(data + (b"!" if self.vendor.hashes == "wrong" else b"")).digest()
        name = String("check-file") if self.vendor.hashes in ("named", "wrong") else b""
        return name + String("sha256") + digest


class Files(asyncssh.SFTPServer):
    """Serve the files with the chosen faults."""

    def __init__(self, channel: Any, vendor: Vendor) -> None:
        super().__init__(channel, chroot=str(vendor.root).encode())
        self.vendor = vendor

    def _local(self, path: bytes) -> Path:
        return Path(os.fsdecode(self.map_path(path)))

    def _take(self, path: Path, moment: str) -> None:
        if self.vendor.take == moment:
            self.vendor.taken.append(path.read_bytes())
            path.unlink()

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if attrs.permissions is not None:
            self.vendor.requests.append("open with attributes")
        if not re.fullmatch(self.vendor.allows, self._local(path).name):
            raise asyncssh.SFTPPermissionDenied("this type of file is not allowed")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        time.sleep(self.vendor.seconds_a_write)
        if self.vendor.gate:
            self.vendor.gate.wait(waiting.HANG_SECONDS)
        if self.vendor.append:
            super().write(file_obj, offset + len(data), data)
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        if self.vendor.before_read:
            self.vendor.before_read(offset)
        data: Any = super().read(file_obj, offset, size)
        return bytes(data)

    def close(self, file_obj: Any) -> None:
        time.sleep(self.vendor.seconds_to_close)
        super().close(file_obj)
        self._take(Path(os.fsdecode(file_obj.name)), "close")

    def _sized(self, kind: str, attrs: Any) -> Any:
        if kind in self.vendor.hasty:
            self.vendor.hasty.remove(kind)
            attrs.size = 1
        return attrs

    def stat(self, path: bytes) -> Any:
        seen: Any = super().stat(path)
        return self._sized("stat", asyncssh.SFTPAttrs.from_local(seen))

    def fstat(self, file_obj: Any) -> Any:
        seen: Any = super().fstat(file_obj)
        return self._sized("fstat", asyncssh.SFTPAttrs.from_local(seen))

    def rename(self, oldpath: bytes, newpath: bytes, flags: int = 0) -> None:
        if self.vendor.rename_will_not_replace and self._local(newpath).exists():
            raise asyncssh.SFTPFailure("the file exists")
        self._move(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._move(oldpath, newpath)

    def _move(self, oldpath: bytes, newpath: bytes) -> None:
        self.vendor.moves += 1
        if self.vendor.moves == self.vendor.refuse_move:
            raise asyncssh.SFTPFailure("not this one")
        if self.vendor.rename_does_nothing:
            return
        new = self._local(newpath)
        self._local(oldpath).replace(new)
        if self.vendor.shorten_at_rename:
            os.truncate(new, 100)
        if self.vendor.cut_after_rename:
            self.vendor.cut_after_rename = False  # that connection only
            self.connection.abort()
        self._take(new, "rename")

    def statvfs(self, path: bytes) -> Any:
        free, flags = self.vendor.space
        return asyncssh.SFTPVFSAttrs(
            bsize=4096, frsize=4096, blocks=1 << 20, bfree=free, bavail=free, files=1000,
            ffree=900, favail=900, flags=flags, namemax=255,
        )  # fmt: skip


class Sessions:
    """Open a session of SFTP for each client, or none if it is false."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    def __bool__(self) -> bool:
        return not self.vendor.no_sessions

    def __call__(self, channel: Any) -> Files:
        return Files(channel, self.vendor)


class Door(asyncssh.SSHServer):
    """The login."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.rounds = 0
        self.has_dropped = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.vendor.connected += 1
        self.vendor.most_connected = max(self.vendor.most_connected, self.vendor.connected)
        self.vendor.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.vendor.connected -= 1

    def password_auth_supported(self) -> bool:
        return not (self.vendor.only_interactive or self.vendor.client_key or self.has_dropped)

    async def validate_password(self, username: str, password: str) -> bool:
        self.vendor.logins.append(username)
        self.vendor.macs.append(self.connection.get_extra_info("recv_mac"))
        if self.vendor.silent_login:
            await asyncio.Event().wait()
        if self.vendor.wants_new_password:
            raise asyncssh.PasswordChangeRequired("Your password has expired")
        is_right = username == USER and password == self.vendor.password
        if self.vendor.hangs_up and not is_right:
            raise asyncssh.DisconnectError(2, "Too many authentication failures")
        self.has_dropped = self.vendor.drops_passwords and not is_right
        return is_right

    def public_key_auth_supported(self) -> bool:
        return bool(self.vendor.client_key)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.export_public_key().decode().split()[:2] == self.vendor.client_key.split()[:2]

    def kbdint_auth_supported(self) -> bool:
        return self.vendor.only_interactive or self.vendor.drops_passwords

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [(prompt, False) for prompt in self.vendor.rounds[0]]

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        self.vendor.logins.append(username)
        self.rounds += 1
        if list(responses) != [self.vendor.password]:
            return False
        if self.rounds < len(self.vendor.rounds):
            prompts = self.vendor.rounds[self.rounds]
            return "", "", "", [(prompt, False) for prompt in prompts]
        return True


protocol.SFTPServerHandler = Requests  # type: ignore[misc, assignment]  # there is no other way in


def attempt(district: District, **options: Any) -> tuple[Exit, str]:
    """Deliver the export without its checks. Return the exit code and the output."""
    feed = config.load(district.config_file)
    size = district.export.stat().st_size
    secret = district.credential.read_bytes()
    try:
        done = deliver(feed, secret, district.export, size, ConnectionInfo(), **options)
    except Failure as failure:
        code, told = failure.code, failure.message
    else:
        assert done.bytes in (size, None)
        code, told = Exit.OK, f"{done.method}, by {done.verified}"
    assert len(told.splitlines()) == 1
    assert not secret or secret not in told.encode()
    return code, told


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """Serve on a free loopback port, in a thread of its own, until the block ends."""
    vendor.folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    key = asyncssh.generate_private_key(vendor.key_kind)
    started = threading.Event()
    servers: list[asyncssh.SSHAcceptor] = []

    async def start() -> None:
        server = await asyncssh.create_server(
            lambda: Door(vendor), "127.0.0.1", 0, server_host_keys=[key],
            sftp_factory=Sessions(vendor), allow_scp=False,
            **vendor.options,
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
    if not started.wait(waiting.HANG_SECONDS):
        raise RuntimeError("the test's server did not start")
    try:
        yield vendor
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(waiting.HANG_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(waiting.HANG_SECONDS)
        loop.close()
