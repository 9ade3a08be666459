"""The SFTP requests over a channel whose answers are written down beforehand; profiles."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import paramiko
import pytest
from roster_upload import config, sftp, ssh
from roster_upload.exits import Exit, Failure
from roster_upload.server import Probe, Profile, changes
from unit.test_config import GOOD


def answer(kind: int, number: int, body: bytes) -> bytes:
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int = sftp.OK) -> bytes:
    return answer(sftp.STATUS, number, struct.pack(">I", code) + struct.pack(">I", 0) * 2)


def packed(*texts: str) -> bytes:
    return b"".join(struct.pack(">I", len(text)) + text.encode() for text in texts)


class Channel:
    """Takes all requests, and answers with what it was given, a few bytes at a time."""

    def __init__(self, *answers: bytes, extensions: tuple[str, ...] = ()) -> None:
        offered = b"".join(packed(name, "1") for name in extensions)
        version = struct.pack(">IBI", 5 + len(offered), sftp.VERSION, 3) + offered
        self.data = version + b"".join(answers)
        self.sent: list[bytes] = []

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, _count: int) -> bytes:
        data, self.data = self.data[:3], self.data[3:]
        return data


def over(*answers: bytes, extensions: tuple[str, ...] = ()) -> Any:
    channel: Any = Channel(*answers, extensions=extensions)
    return sftp.Sftp(channel)


DATA = b"x" * (2 * sftp.CHUNK_BYTES + 1)  # three requests


def put(connection: sftp.Sftp) -> int | None:
    """Writes a file; returns the size that the server has for it."""
    handle = connection.create("x")
    connection.write(handle, io.BytesIO(DATA))
    size = connection.size_of(handle)
    connection.close(handle)
    return size


HANDLE = answer(sftp.HANDLE, 1, struct.pack(">I", 1) + b"h")


def test_answers_may_come_in_any_order() -> None:
    size = answer(sftp.ATTRS, 5, struct.pack(">IQ", 1, 65537))
    connection = over(HANDLE, status(4), status(2), status(3), size, status(6))
    assert put(connection) == 65537


def test_a_transfer_given_up_leaves_the_channel_in_step() -> None:
    """What is asked next gets its own answer, not that of a write which was under way."""
    connection = over(HANDLE, status(2, sftp.FAILURE), status(3), status(4), status(5))
    with pytest.raises(sftp.Refused):
        put(connection)
    connection.remove("x")


def test_a_request_sent_in_part_ends_the_conversation() -> None:
    connection = over(status(1))

    def interrupted(_data: bytes) -> None:
        raise GeneratorExit  # as a signal's exception, but pytest itself does not stop at it

    connection.channel.sendall = interrupted
    with pytest.raises(GeneratorExit):
        connection.remove("x")
    with pytest.raises(sftp.Lost, match="not sent whole"):
        connection.remove("x")


@pytest.mark.parametrize("seed", range(200))
def test_nonsense_is_never_taken_for_an_answer(seed: int) -> None:
    """A server's mistake in its later answers: neither success nor an exception of another kind."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    good = bytearray(b"".join([HANDLE, status(2), status(3), status(4)]))
    for _ in range(noise.randint(1, 8)):
        good[noise.randrange(len(good))] = noise.randrange(256)
    connection = over(bytes(good))
    with pytest.raises((sftp.Lost, sftp.Refused, struct.error)):
        put(connection)


DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed("check-file", "sha256") + DIGEST, DIGEST.hex()),
        (packed("sha256") + DIGEST, DIGEST.hex()),
        (packed("check-file", "md5") + DIGEST[:16], None),
        (packed("check-file", "sha512/256") + DIGEST, None),
        (packed("check-file", "sha256") + DIGEST + DIGEST, None),
        (packed("check-file", "sha256"), None),
    ],
)
def test_a_hash_is_only_taken_for_what_it_is(body: bytes, told: str | None) -> None:
    assert over(answer(sftp.EXTENDED_REPLY, 1, body)).sha256("x") == told


@pytest.mark.parametrize(
    ("blocks", "free", "files", "free_files", "flags", "told"),
    [
        (100, 7, 10, 5, 0, (7 * 4096, False)),
        (100, 0, 10, 5, 0, (0, False)),
        (100, 7, 10, 0, 0, (0, False)),  # no room for another name
        (100, 7, 0, 0, 3, (7 * 4096, True)),  # a file system that does not count names
        (0, 0, 0, 0, 0, None),  # a server that knows nothing
    ],
)
def test_what_a_file_system_says_of_its_room(
    blocks: int, free: int, files: int, free_files: int, flags: int, told: object
) -> None:
    numbers = (512, 4096, blocks, free, free, files, free_files, free_files, 0, flags, 255)
    reply = answer(sftp.EXTENDED_REPLY, 1, struct.pack(">11Q", *numbers))
    assert over(reply, extensions=("statvfs@openssh.com",)).space("x") == told
    assert over(reply).space("x") is None


def test_no_request_is_made_when_the_time_is_up() -> None:
    connection = over(status(1))
    connection.ends = 0
    with pytest.raises(sftp.Lost, match="time is up") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT
    assert len(connection.channel.sent) == 1  # the greeting


def test_a_watch_hangs_up_where_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_upload.ssh.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("roster_upload.ssh.TIDY_SECONDS", 0.02)
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    watch = ssh.Watch()
    with ours, theirs, watch.over(ours):
        assert ours.recv(1) == b""
        assert watch.has_hung_up


def test_a_watch_that_is_over_leaves_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_upload.ssh.TIDY_SECONDS", 0.02)
    before = set(threading.enumerate())
    ours, theirs = socket.socketpair()
    watch = ssh.Watch(limit=0)
    with ours, theirs:
        with watch.over(ours):
            started = set(threading.enumerate()) - before
        for thread in started:
            thread.join(5)
        assert (watch.is_over, watch.has_hung_up) == (True, False)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


@pytest.mark.parametrize(
    ("prompt", "finds"),
    [
        ("Password: ", None),
        ("rosters@maple.example's password: ", None),
        ("Spinach password: ", None),
        ("PIN: ", ssh.CODE),
        ("Enter OTP code", ssh.CODE),
        ("Enter new password:", ssh.NEW_PASSWORD),
        ("Change your password now", ssh.NEW_PASSWORD),
        ("Your password has expired", ssh.NEW_PASSWORD),
    ],
)
def test_what_a_prompt_is_taken_for(prompt: str, finds: object) -> None:
    matching = [words for words in (ssh.CODE, ssh.NEW_PASSWORD) if words.search(prompt)]
    assert matching == ([finds] if finds else [])


PROFILE = Profile(
    server="SSH-2.0-Vendor_1",
    extensions=("check-file", "statvfs@openssh.com"),
    login="password",
    rename="posix-rename",
    stat_after_close=True,
    takes_on_close=False,
    sizes=True,
    hash=True,
    learned="2027-01-01T00:00:00Z",
)


def test_a_profile_survives_its_file() -> None:
    assert Profile.from_json(PROFILE.to_json()) == PROFILE


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"server": "x"}', "{"])
def test_what_is_no_profile_is_told(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
        Profile.from_json(text)


def test_a_profile_with_an_unknown_way_is_told() -> None:
    text = dataclasses.replace(PROFILE, rename="by-hand").to_json()
    with pytest.raises(ValueError, match="'by-hand' is no way of renaming"):
        Profile.from_json(text)


def test_what_has_changed_is_told_in_words() -> None:
    later = dataclasses.replace(PROFILE, learned="2027-02-01T00:00:00Z")
    assert changes(PROFILE, later) == []
    later = dataclasses.replace(
        later, server="SSH-2.0-Vendor_2", hash=False, extensions=("limits", "statvfs@openssh.com")
    )
    assert changes(PROFILE, later) == [
        "the server's version was SSH-2.0-Vendor_1, is SSH-2.0-Vendor_2",
        "whether the server computes hashes was yes, is no",
        "check-file is offered no longer",
        "limits is offered now",
    ]


# ---- a delivery, to a server in memory ----------------------------------------------------------

KINDS = {
    sftp.OPEN: "open", sftp.CLOSE: "close", sftp.WRITE: "write", sftp.FSTAT: "fstat",
    sftp.OPENDIR: "opendir", sftp.READDIR: "readdir", sftp.REMOVE: "remove",
    sftp.MKDIR: "mkdir", sftp.STAT: "stat", sftp.RENAME: "rename",
}  # fmt: skip
FOLDER = GOOD["remote_dir"]
FINAL = f"{FOLDER}/OneRoster.zip"
YESTERDAY, TODAY = b"yesterday's", DATA
ALL = (sftp.POSIX_RENAME, sftp.STATVFS)
Faults = dict[str, Any]


class Server:
    """A channel to a server whose files are a dictionary; each attribute is a way to misbehave."""

    def __init__(self, **faults: Any) -> None:
        self.files = {FINAL: YESTERDAY}
        self.folders = {"imagine", FOLDER.rpartition("/")[0], FOLDER}
        self.extensions: tuple[str, ...] = ALL
        self.refuse: dict[Any, int] = {}  # kind, or kind and which of them, to a status
        self.words = ""
        self.cut: tuple[str, int] = ("", 0)  # no answer from this request on
        self.hides: tuple[str, ...] = ()  # kinds whose answer holds no size
        self.wrong: dict[Any, int] = {}  # kind and which of them, to the size that is told
        self.does_nothing: tuple[str, ...] = ()  # acknowledged, and not done
        self.replaces = True  # whether a plain renaming does
        self.takes: str = ""  # kind behind which the file is gone
        self.spoils: str = ""  # kind behind which the final file is cut short
        self.hash: bytes | None = None  # told in the place of the right one
        self.room = (100, 0)  # free blocks, flags
        self.requests: list[str] = []
        for name, value in faults.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        self._in, self._out = bytearray(), bytearray()
        self._is_cut = False
        self._is_listed = False

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 4:
            length = int.from_bytes(self._in[:4], "big")
            kind, rest = self._in[4], bytes(self._in[5 : 4 + length])
            del self._in[: 4 + length]
            if kind == sftp.INIT:
                offered = b"".join(packed(name, "1") for name in self.extensions)
                self._out += struct.pack(">IBI", 5 + len(offered), sftp.VERSION, 3) + offered
            elif not self._is_cut:
                self._take(kind, struct.unpack(">I", rest[:4])[0], rest[4:])

    def recv(self, count: int) -> bytes:
        data = bytes(self._out[:count])
        del self._out[: len(data)]
        return data

    def _take(self, kind: int, number: int, body: bytes) -> None:
        texts = self._texts(kind, body)
        name = KINDS.get(kind) or texts.pop(0).partition("@")[0]
        self.requests.append(name)
        count = self.requests.count(name)
        self._is_cut = (name, count) == self.cut
        if self._is_cut:
            return
        code: int | None = self.refuse.get((name, count), self.refuse.get(name, sftp.OK))
        if code == sftp.OK and name not in self.does_nothing:
            code = self._do(name, number, count, texts, body)
        if code is not None:
            words = struct.pack(">I", code) + packed(self.words, "")
            self._out += answer(sftp.STATUS, number, words)
        if name == self.takes:
            self.files = {path: b for path, b in self.files.items() if path != texts[-1]}
        if name == self.spoils and FINAL in self.files:
            self.files[FINAL] = self.files[FINAL][:5]

    @staticmethod
    def _texts(kind: int, body: bytes) -> list[str]:
        found: list[str] = []
        at = 0
        wanted = {sftp.EXTENDED: 3, sftp.RENAME: 2}.get(kind, 1)
        while len(found) < wanted and at < len(body):
            text, at = sftp._string(body, at)
            found.append(text.decode())
        return found

    def _do(self, name: str, number: int, count: int, texts: list[str], body: bytes) -> int | None:
        """Does what was asked; returns the status that is the answer, None where it is given."""
        path = texts[0] if texts else ""
        reply: bytes | int | None = sftp.OK
        if name in ("open", "opendir"):
            reply = self._open(name, path, body)
        elif name == "write":
            at = 4 + len(path.encode())
            offset, length = struct.unpack(">QI", body[at : at + 12])
            assert length == len(body) - at - 12 <= 32768
            self.files[path] = self.files[path][:offset].ljust(offset) + body[at + 12 :]
        elif name in ("stat", "fstat"):
            reply = self._size(name, number, count, path)
        elif name == "readdir":
            reply = self._names(number, path)
        elif name in ("rename", "posix-rename"):
            reply = self._rename(name, *texts)
        elif name == "remove":
            reply = sftp.NO_SUCH_FILE if self.files.pop(path, None) is None else sftp.OK
        elif name == "mkdir":
            self.folders.add(path)
        elif name == "statvfs":
            free, flags = self.room
            numbers = (512, 4096, 1000, free, free, 9, 9, 9, 0, flags, 255)
            reply = struct.pack(">11Q", *numbers)
        elif name == "check-file-name":
            digest = self.hash or hashlib.sha256(self.files[texts[0]]).digest()
            reply = packed("sha256") + digest
        if isinstance(reply, bytes):
            kind = sftp.HANDLE if name in ("open", "opendir") else sftp.EXTENDED_REPLY
            self._out += answer(kind, number, reply)
            return None
        return reply

    def _open(self, name: str, path: str, body: bytes) -> bytes | int:
        if (path.rpartition("/")[0] if name == "open" else path) not in self.folders:
            return sftp.NO_SUCH_FILE
        if name == "open":
            flags, attributes = struct.unpack(">II", body[-8:])
            assert (flags, attributes) == (0x1A, 0), "written anew, without attributes"
            self.files[path] = b""
        self._is_listed = False
        return packed(path)

    def _size(self, name: str, number: int, count: int, path: str) -> int | None:
        if path not in self.files and path not in self.folders:
            return sftp.NO_SUCH_FILE
        size = self.wrong.get((name, count), len(self.files.get(path, b"")))
        attributes = struct.pack(">I", 0) if name in self.hides else struct.pack(">IQ", 1, size)
        self._out += answer(sftp.ATTRS, number, attributes)
        return None

    def _names(self, number: int, folder: str) -> int | None:
        if self._is_listed:
            return sftp.EOF
        self._is_listed = True
        names = [path.rpartition("/")[2] for path in self.files if path.startswith(f"{folder}/")]
        body = b"".join(packed(name, "long") + struct.pack(">IQ", 1, 7) for name in names)
        self._out += answer(sftp.NAME, number, struct.pack(">I", len(names)) + body)
        return None

    def _rename(self, name: str, old: str, new: str) -> int:
        if old not in self.files:
            return sftp.NO_SUCH_FILE
        if new in self.files and name == "rename" and not self.replaces:
            return sftp.FAILURE
        self.files[new] = self.files.pop(old)
        return sftp.OK


def profile(rename: str, **changes: Any) -> Profile:
    return dataclasses.replace(PROFILE, rename=rename, hash=False, **changes)


def attempt(
    server: Server,
    tmp_path: Path,
    *,
    known: Profile | None = None,
    sha256: str = "",
    progress: Any = None,
    **changes: Any,
) -> tuple[Exit, str]:
    """Delivers today's file; returns the exit code, and the message or the way and the proof."""
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    channel: Any = server
    place = sftp.Place(sftp.Sftp(channel), config.parse({**GOOD, **changes}), ssh.Facts())
    delivery = sftp.Delivery(place, profile=known, sha256=sha256, progress=progress)
    try:
        done = delivery.run(source, len(TODAY))
    except Failure as failure:
        return failure.code, failure.message
    return Exit.OK, f"{done.method}, {done.bytes}, {done.verified}"


TODAYS_HASH = hashlib.sha256(TODAY).hexdigest()
SIZE = len(TODAY)
PLAIN = {"extensions": ()}
NO_REPLACING = {"extensions": (), "replaces": False}
HASHES = {"extensions": (*ALL, "check-file")}


@pytest.mark.parametrize(
    ("faults", "known", "told"),
    [
        ({}, None, f"posix-rename, {SIZE}, size"),
        (PLAIN, None, f"rename, {SIZE}, size"),
        ({"refuse": {"posix-rename": 8}}, None, f"rename, {SIZE}, size"),
        (NO_REPLACING, None, f"aside, {SIZE}, size"),
        ({**NO_REPLACING, "files": {}}, None, f"rename, {SIZE}, size"),
        ({}, "rename", f"rename, {SIZE}, size"),
        ({}, "aside", f"aside, {SIZE}, size"),
        ({"files": {}}, "aside", f"rename, {SIZE}, size"),
        (PLAIN, "posix-rename", f"rename, {SIZE}, size"),
        ({"replaces": False}, "rename", f"aside, {SIZE}, size"),
        ({}, "in-place", f"in-place, {SIZE}, size"),
        ({"hides": ("stat", "fstat")}, None, "posix-rename, None, answers"),
        ({"refuse": {"stat": 3, "fstat": 8}}, None, "posix-rename, None, answers"),
        ({"hides": ("fstat",)}, None, f"posix-rename, {SIZE}, size"),
        ({"takes": "posix-rename"}, None, f"posix-rename, {SIZE}, taken"),
        ({"takes": "close"}, "in-place", f"in-place, {SIZE}, taken"),
        (HASHES, None, f"posix-rename, {SIZE}, hash"),
        ({"extensions": (*ALL, "check-file-name")}, None, f"posix-rename, {SIZE}, hash"),
        ({**HASHES, "refuse": {"check-file-name": 8}}, None, f"posix-rename, {SIZE}, size"),
        ({**HASHES, "refuse": {("check-file-name", 1): 8}}, None, f"posix-rename, {SIZE}, hash"),
        ({**HASHES, "hides": ("stat", "fstat")}, None, "posix-rename, None, hash"),
        # A size that is told too early is asked for again.
        ({"wrong": {("fstat", 1): 7}}, None, f"posix-rename, {SIZE}, size"),
        ({"wrong": {("stat", 1): 7}}, None, f"posix-rename, {SIZE}, size"),
    ],
)
def test_a_server_with_ways_of_its_own(
    tmp_path: Path, faults: Faults, known: str | None, told: str
) -> None:
    server = Server(**faults)
    learned = profile(known) if known else None
    assert attempt(server, tmp_path, known=learned, sha256=TODAYS_HASH) == (Exit.OK, told)
    assert server.files == ({} if "taken" in told else {FINAL: TODAY})
    assert server.requests.count("open") == 1


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse": {"write": 4}}, Exit.TRANSFER, "refused writing in"),
        ({"refuse": {("write", 3): 4}}, Exit.TRANSFER, "refused writing in"),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, "refused closing the file"),
        ({"refuse": {"posix-rename": 4, "rename": 4}}, Exit.TRANSFER, "refused renaming"),
        ({"refuse": {"write": 14}}, Exit.DISK_FULL, "make room"),
        ({"refuse": {"write": 4}, "room": (0, 0)}, Exit.DISK_FULL, "disk is full"),
        ({"refuse": {"write": 4}, "room": (7, 0)}, Exit.DISK_FULL, "disk is full"),
        ({"refuse": {"write": 4}, "room": (8, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"write": 5}, "room": (0, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"open": 4}, "room": (9, 1)}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "room": (0, 0), **PLAIN}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"open": 4, "statvfs": 4}, "room": (0, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"close": 4}, "words": "No space left on device"}, Exit.DISK_FULL, "closing"),
        ({"refuse": {"write": 8}, "words": "Disk quota exceeded"}, Exit.QUOTA, "more room"),
        ({"refuse": {"write": 15}}, Exit.QUOTA, "quota of rosters@maple.example is used up"),
        ({"refuse": {"open": 12}}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "words": "Read-only file system"}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 3}}, Exit.PERMISSION, "writing in"),
        ({"refuse": {"open": 2}}, Exit.TRANSFER, "refused writing"),  # the folder is there
        ({"refuse": {"rename": 3, "posix-rename": 3}}, Exit.PERMISSION, "renaming in"),
        ({"refuse": {"opendir": 3}}, Exit.PERMISSION, "reset by the vendor's mailed link"),
        ({"refuse": {"opendir": 2}}, Exit.REMOTE_PATH, "does not exist"),
        ({"refuse": {"opendir": 10}}, Exit.REMOTE_PATH, "does not exist"),
        ({"refuse": {"opendir": 19}}, Exit.REMOTE_PATH, "does not exist"),
        ({"folders": set()}, Exit.REMOTE_PATH, "does not exist"),
        ({"refuse": {("readdir", 1): 4}}, Exit.TRANSFER, "refused"),
        ({"cut": ("opendir", 1)}, Exit.VANISHED, "while looking around"),
        ({"cut": ("write", 1)}, Exit.VANISHED, "while writing"),
        ({"cut": ("write", 3)}, Exit.VANISHED, "while writing"),
        ({"cut": ("close", 1)}, Exit.VANISHED, "while closing the file"),
        ({"cut": ("posix-rename", 1)}, Exit.VANISHED, "its place is not known"),
        ({"does_nothing": ("write",)}, Exit.VERIFY, "or cut it short"),
        ({"wrong": {("fstat", 1): SIZE + 1, ("stat", 1): SIZE + 1}}, Exit.VERIFY, "added to"),
        ({"wrong": {("fstat", 1): 1, ("stat", 1): SIZE - 1}}, Exit.VERIFY, "or cut it short"),
        ({**HASHES, "hash": bytes(32)}, Exit.VERIFY, "changed or damaged"),
        ({"takes": "close"}, Exit.VERIFY, "roster-upload probe"),
    ],
)
def test_a_fault_leaves_yesterdays_roster_whole(
    tmp_path: Path, faults: Faults, code: Exit, told: str
) -> None:
    server = Server(**faults)
    result, said = attempt(server, tmp_path, sha256=TODAYS_HASH)
    assert (result, told in said) == (code, True), said
    assert ("still has what it had before" in said) is ("is not known" not in said)
    assert server.files.pop(FINAL) == YESTERDAY
    if "cut" not in faults:  # the connection lives, so nothing is left behind
        assert server.files == {}


def leftover(server: Server, name: str = "0badcafe.part") -> str:
    """The path of a file that a broken delivery of the feed may have left."""
    channel: Any = server
    place = sftp.Place(sftp.Sftp(channel), config.parse(GOOD), ssh.Facts())
    return f"{FOLDER}/{place.prefix}{name}"


def test_only_the_feeds_own_leftovers_are_removed(tmp_path: Path) -> None:
    server = Server()
    others = {f"{FOLDER}/{name}": b"x" for name in ("a.csv", ".roster-upload-0-b.part")}
    server.files |= {**others, leftover(server): b"x", leftover(server, "old.part"): b"x"}
    assert attempt(server, tmp_path)[0] == Exit.OK
    assert server.files == {**others, FINAL: TODAY}
    assert sftp.Place(over(), config.parse({**GOOD, "feed": "b"}), ssh.Facts()).prefix not in (
        leftover(server)
    )


@pytest.mark.parametrize(
    ("faults", "left"),
    [
        ({}, TODAY),
        ({"refuse": {"write": 4}}, YESTERDAY),
        ({"refuse": {"open": 4}}, YESTERDAY),
        ({"refuse": {"close": 4}}, YESTERDAY),
    ],
)
def test_the_only_whole_file_comes_back_from_aside(
    tmp_path: Path, faults: Faults, left: bytes
) -> None:
    """The run before ended between its two renamings."""
    server = Server(**faults)
    server.files = {leftover(server, "old.part"): YESTERDAY, leftover(server): b"x"}
    attempt(server, tmp_path)
    assert server.files == {FINAL: left}


def test_a_leftover_that_may_not_be_removed_is_no_obstacle(tmp_path: Path) -> None:
    server = Server(refuse={"remove": 3})
    server.files[leftover(server)] = b"x"
    assert attempt(server, tmp_path)[0] == Exit.OK
    assert server.files[FINAL] == TODAY


def test_an_old_file_that_was_put_aside_comes_back_at_once(tmp_path: Path) -> None:
    """The server lets the old file be moved away, but not the new one into its place."""
    server = Server(**NO_REPLACING, refuse={("rename", 3): 4})
    code, told = attempt(server, tmp_path)
    assert (code, "refused renaming" in told) == (Exit.TRANSFER, True)
    assert server.requests.count("rename") == 4
    assert server.files == {FINAL: YESTERDAY}


@pytest.mark.parametrize("way", ["posix-rename", "rename", "aside"])
def test_a_renaming_that_is_only_acknowledged_is_noticed(tmp_path: Path, way: str) -> None:
    server = Server(files={}, does_nothing=(way, "rename"))
    code, told = attempt(server, tmp_path, known=profile(way))
    assert (code, "did not do it" in told) == (Exit.VERIFY, True)
    assert "has taken the old one's place" in told
    assert server.files == {}


@pytest.mark.parametrize("known", [None, profile("in-place")])
def test_a_file_that_shrinks_in_its_place_is_noticed(tmp_path: Path, known: Profile | None) -> None:
    server = Server(spoils="close" if known else "posix-rename")
    code, told = attempt(server, tmp_path, known=known)
    assert (code, "has 5 bytes on the server" in told) == (Exit.VERIFY, True)
    assert "start it again to be sure" in told
    assert server.files == {FINAL: TODAY[:5]}, "the vendor has nothing else"


@pytest.mark.parametrize(
    ("faults", "code", "says_so", "left"),
    [
        ({"refuse": {"open": 3}}, Exit.PERMISSION, False, {FINAL: YESTERDAY}),
        ({"refuse": {"write": 4}}, Exit.TRANSFER, True, {}),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, True, {}),
        ({"wrong": {("fstat", 1): 1}}, Exit.VERIFY, True, {}),
        ({"cut": ("write", 1)}, Exit.VANISHED, True, {FINAL: b""}),
        ({"cut": ("stat", 1)}, Exit.VANISHED, False, {FINAL: TODAY}),
    ],
)
def test_in_place_a_broken_transfer_says_what_it_has_cost(
    tmp_path: Path, faults: Faults, code: Exit, says_so: bool, left: dict[str, bytes]
) -> None:
    server = Server(**faults)
    server.files[leftover(server)] = b"x"
    result, told = attempt(server, tmp_path, known=profile("in-place"))
    assert (result, "may hold a part of it" in told) == (code, says_so)
    assert ("still has what it had" in told) is (left == {FINAL: YESTERDAY})
    assert server.files == left
    assert not any("rename" in request for request in server.requests)


def test_in_place_all_is_acknowledged_before_it_is_closed(tmp_path: Path) -> None:
    server = Server(refuse={("write", 3): 4})
    attempt(server, tmp_path, known=profile("in-place"))
    assert server.requests.index("remove") < len(server.requests)
    assert "fstat" not in server.requests
    server = Server()
    attempt(server, tmp_path, known=profile("in-place"))
    assert server.requests[-3:] == ["fstat", "close", "stat"]


@pytest.mark.parametrize(
    ("has_profile", "hashes", "sha256", "told"),
    [
        (False, True, "", "size"),
        (False, True, TODAYS_HASH, "hash"),
        (False, False, TODAYS_HASH, "size"),
        (True, False, TODAYS_HASH, "hash"),  # not announced, and learned all the same
        (True, True, "", "size"),
    ],
)
def test_a_hash_is_asked_for_where_there_is_one(
    tmp_path: Path, has_profile: bool, hashes: bool, sha256: str, told: str
) -> None:
    server = Server(**HASHES) if hashes else Server()
    known = dataclasses.replace(PROFILE, hash=True) if has_profile else None
    result = attempt(server, tmp_path, known=known, sha256=sha256)
    assert result == (Exit.OK, f"posix-rename, {SIZE}, {told}")
    assert server.requests.count("check-file-name") == (told == "hash")


def test_a_wrong_hash_is_noticed_before_the_old_file_is_gone(tmp_path: Path) -> None:
    server = Server(**HASHES, hash=bytes(32))
    assert attempt(server, tmp_path, sha256=TODAYS_HASH)[0] == Exit.VERIFY
    assert not any("rename" in request for request in server.requests)


def test_progress_is_what_the_server_has_acknowledged(tmp_path: Path) -> None:
    counts: list[int] = []
    attempt(Server(), tmp_path, progress=counts.append)
    assert counts == [sftp.CHUNK_BYTES, 2 * sftp.CHUNK_BYTES, SIZE]
    counts.clear()
    attempt(Server(refuse={("write", 2): 4}), tmp_path, progress=counts.append)
    assert counts == [sftp.CHUNK_BYTES]


@pytest.mark.parametrize(
    ("makes", "folders", "refuse", "code"),
    [
        (False, {"imagine"}, {}, Exit.REMOTE_PATH),
        (True, {"imagine"}, {}, Exit.OK),
        (True, set(), {}, Exit.OK),
        (True, {"imagine"}, {"mkdir": 3}, Exit.PERMISSION),
        (True, {"imagine"}, {"mkdir": 4}, Exit.TRANSFER),
        (True, None, {("opendir", 1): 3}, Exit.PERMISSION),  # and it is not tried again
        (True, None, {("open", 1): 2}, Exit.TRANSFER),
    ],
)
def test_a_missing_folder_is_made_where_the_feed_says_so(
    tmp_path: Path, makes: bool, folders: set[str] | None, refuse: dict[Any, int], code: Exit
) -> None:
    server = Server(files={}, refuse=refuse)
    server.folders = server.folders if folders is None else set(folders)
    made = server.folders.copy()
    assert attempt(server, tmp_path, make_remote_dir=makes)[0] == code
    assert ("mkdir" in server.requests) is (makes and folders is not None)
    if code is Exit.OK:
        assert server.folders == {"imagine", FOLDER.rpartition("/")[0], FOLDER}
        assert server.requests.count("mkdir") == 3 - len(made), "what is there stays"


def test_nothing_is_put_aside_where_there_is_nothing(tmp_path: Path) -> None:
    server = Server(files={}, refuse={"posix-rename": 3, ("rename", 1): 3})
    assert attempt(server, tmp_path)[0] == Exit.PERMISSION
    assert server.requests.count("rename") == 1


def test_an_interrupted_delivery_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    server = Server()
    with pytest.raises(KeyboardInterrupt):
        attempt(server, tmp_path, progress=interrupt)
    assert server.files == {FINAL: YESTERDAY}


# ---- requests and answers -----------------------------------------------------------------------


def test_no_more_than_a_window_is_on_its_way() -> None:
    """Beyond it OpenSSH's server stops reading, and both sides would wait for each other."""
    count = sftp.CHUNKS_IN_FLIGHT + 3
    connection = over(*(status(number) for number in range(1, count + 1)))
    seen: list[tuple[str, int]] = []

    def note(what: str) -> Any:
        return lambda *_: seen.append((what, len(connection.channel.sent) - 1))

    connection.write(
        b"h",
        io.BytesIO(bytes(count * sftp.CHUNK_BYTES)),
        note("progress"),
        meanwhile=note("meanwhile"),
        then=note("then"),
    )
    window = sftp.CHUNKS_IN_FLIGHT
    assert seen[:2] == [("meanwhile", window), ("progress", window)]
    assert [what for what, _ in seen].count("meanwhile") == 1
    assert [sent for what, sent in seen if what == "progress"] == [
        *range(window, count + 1), *[count] * (window - 1)
    ]  # fmt: skip
    assert ("then", count) in seen
    assert seen.index(("then", count)) == 1 + count - window + 1


def test_a_refused_write_ends_the_writing_and_is_the_one_that_is_told() -> None:
    count = sftp.CHUNKS_IN_FLIGHT * 3
    answers = [status(1), status(2, 14), status(3, 4), *map(status, range(4, count))]
    connection = over(*answers)
    with pytest.raises(sftp.Refused) as refused:
        connection.write(b"h", io.BytesIO(bytes(count * sftp.CHUNK_BYTES)))
    assert refused.value.code == 14
    assert len(connection.channel.sent) <= sftp.CHUNKS_IN_FLIGHT + 3


def test_a_refusal_that_comes_beside_another_answer_counts() -> None:
    """The answers to the writes are read while another request's is waited for."""
    connection = over(status(1), status(2, 14), status(3, 4), status(4))

    def then() -> None:
        connection.remove("x")

    with pytest.raises(sftp.Refused) as refused:
        connection.write(b"h", io.BytesIO(DATA), then=then)
    assert refused.value.code == 14, "the first says most"


@pytest.mark.parametrize("length", [0, 4, (1 << 20) + 1])
def test_an_answer_of_another_length_is_none(length: int) -> None:
    connection = over(struct.pack(">I", length) + bytes(40))
    with pytest.raises(sftp.Garbled, match="not SFTP") as lost:
        connection.remove("x")
    assert lost.value.code is Exit.TRANSFER


@pytest.mark.parametrize("length", [5, 1 << 20])
def test_an_answer_may_be_as_short_or_long_as_this(length: int) -> None:
    body = bytes(length - 5)
    connection = over()
    replies = io.BytesIO(answer(sftp.EXTENDED_REPLY, 1, body))
    connection.channel.recv = replies.read
    assert connection.take(connection.post(sftp.EXTENDED, b""), sftp.EXTENDED_REPLY) == body


def test_a_server_that_greets_otherwise_speaks_no_sftp() -> None:
    channel: Any = Channel()
    channel.data = struct.pack(">IBI", 5, sftp.STATUS, 3)
    with pytest.raises(sftp.Garbled, match="does not speak SFTP"):
        sftp.Sftp(channel)


@pytest.mark.parametrize(
    "reply",
    [
        status(2),  # to another question
        answer(sftp.HANDLE, 1, packed("h")),  # of another kind
        answer(sftp.ATTRS, 1, struct.pack(">I", 0)),
    ],
)
def test_another_answer_is_garbled(reply: bytes) -> None:
    with pytest.raises(sftp.Garbled):
        over(reply, status(1)).remove("x")


@pytest.mark.parametrize(
    ("reply", "size"),
    [
        (answer(sftp.ATTRS, 1, struct.pack(">IQ", 1, 7)), 7),
        (answer(sftp.ATTRS, 1, struct.pack(">IQ", 0x0D, 7)), 7),
        (answer(sftp.ATTRS, 1, struct.pack(">IQ", 0x0C, 7)), None),
        (status(1, sftp.PERMISSION_DENIED), None),
        (status(1, sftp.FAILURE), None),
        (status(1, sftp.NO_SUCH_FILE), "none"),
    ],
)
def test_what_a_server_tells_of_a_size(reply: bytes, size: object) -> None:
    assert over(reply).is_there("x") is (size != "none")
    assert over(reply).size_of(b"h") == (None if size == "none" else size)
    if size == "none":
        with pytest.raises(sftp.Refused):
            over(reply).size("x")
    else:
        assert over(reply).size("x") == size


def test_a_folder_is_read_to_its_end() -> None:
    """Its names come in several answers, with attributes of all kinds, which are left out."""
    extended = struct.pack(">II", 0x80000001, 0) + b"size" + struct.pack(">I", 1) + packed("a", "b")
    kinds = [
        struct.pack(">I", 0),
        struct.pack(">IQ", 1, 7),
        struct.pack(">I", 0x0F) + bytes(8 + 8 + 4 + 8),
        struct.pack(">I", 0x04) + bytes(4),
        extended,
    ]
    answers = [answer(sftp.HANDLE, 1, packed("h"))]
    for number, attributes in enumerate(kinds, 2):
        entries = b"".join(packed(f"{number}{x}", "long") + attributes for x in "ab")
        answers.append(answer(sftp.NAME, number, struct.pack(">I", 2) + entries))
    connection = over(*answers, status(7, sftp.EOF))
    assert connection.names("x") == [f"{n}{x}" for n in range(2, 7) for x in "ab"]
    assert connection.channel.sent[-1][4] == sftp.CLOSE
    with pytest.raises(sftp.Refused):
        over(answers[0], status(2, sftp.FAILURE)).names("x")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), Exit.SILENT),
        (OSError("timed out"), Exit.SILENT),
        (OSError("Connection reset"), Exit.VANISHED),
        (EOFError(), Exit.VANISHED),
        (paramiko.SSHException("no key"), Exit.VANISHED),
    ],
)
@pytest.mark.parametrize("way", ["recv", "sendall"])
def test_a_conversation_that_breaks_off(error: Exception, code: Exit, way: str) -> None:
    def broken(*_: object) -> bytes:
        raise error

    connection = over()
    setattr(connection.channel, way, broken)
    with pytest.raises(sftp.Lost) as lost:
        connection.remove("x")
    assert lost.value.code is code
    connection = over()
    connection.watch.has_hung_up = True
    with pytest.raises(sftp.Lost) as lost:
        connection.remove("x")
    assert lost.value.code is Exit.SILENT


@pytest.mark.parametrize(("left", "most"), [(5, 5), (1000, ssh.ANSWER_SECONDS)])
def test_a_step_takes_no_longer_than_is_left(left: float, most: float) -> None:
    limits: list[float] = []
    connection = over(status(1))
    connection.channel.settimeout = limits.append
    connection.ends = time.monotonic() + left
    connection.remove("x")
    assert limits
    assert all(most - 5 <= limit <= most for limit in limits)


def test_a_clean_up_is_short() -> None:
    connection = over()
    connection.hurry()
    assert connection.ends - time.monotonic() <= ssh.TIDY_SECONDS


@pytest.mark.parametrize(
    ("known", "login"),
    [
        (None, ""),
        (profile("rename"), "password"),
        (profile("rename", login="keyboard-interactive"), "keyboard-interactive"),
        (profile("rename", login="publickey"), ""),  # a password takes its place meanwhile
    ],
)
def test_a_delivery_logs_in_as_it_was_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Profile | None, login: str
) -> None:
    got: list[object] = []

    @contextlib.contextmanager
    def logged_in(*arguments: object) -> Iterator[object]:
        got.extend([arguments[1], arguments[-1]])
        yield None

    channel: Any = Server(**HASHES)
    monkeypatch.setattr(sftp, "logged_in", logged_in)
    monkeypatch.setattr(sftp, "_opened", lambda *_: sftp.Sftp(channel))
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    feed = config.parse(GOOD)
    done = sftp.deliver(
        feed, b"secret", source, SIZE, ssh.Facts(), profile=known, sha256=TODAYS_HASH.upper()
    )
    assert got == [b"secret", login]
    assert done.verified == ("size" if known else "hash")


@pytest.mark.parametrize(
    ("error", "is_active", "code"),
    [
        (paramiko.ChannelException(1, "Administratively prohibited"), True, Exit.PERMISSION),
        (paramiko.SSHException("x"), False, Exit.VANISHED),
        (paramiko.SSHException("Timeout opening channel."), True, Exit.SILENT),
        (sftp.Garbled("the server does not speak SFTP"), True, Exit.TRANSFER),
        (EOFError(), True, Exit.PERMISSION),
    ],
)
def test_a_session_that_does_not_open(error: Exception, is_active: bool, code: Exit) -> None:
    transport = mock.Mock()
    transport.open_session.side_effect = error
    transport.is_active.return_value = is_active
    facts, watch = ssh.Facts(), ssh.Watch()
    with pytest.raises(Failure, match="opens no SFTP session for rosters@maple") as failed:
        sftp._opened(transport, config.parse(GOOD), facts, watch)
    assert failed.value.code is code
    assert "mailed link" in failed.value.message
    watch.has_hung_up = True
    with pytest.raises(Failure) as failed:
        sftp._opened(transport, config.parse(GOOD), facts, watch)
    assert failed.value.code is Exit.SILENT


def test_what_is_lost_or_refused_in_a_place_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    channel: Any = Server()
    monkeypatch.setattr(sftp, "logged_in", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(sftp, "_opened", lambda *_: sftp.Sftp(channel))
    for error, code in (
        (sftp.Refused(3, ""), Exit.PERMISSION),
        (sftp.Lost("gone"), Exit.VANISHED),
        (struct.error(), Exit.TRANSFER),
    ):
        with (
            pytest.raises(Failure) as failed,
            sftp.place_of(config.parse(GOOD), b"", ssh.Facts()),
        ):
            raise error
        assert failed.value.code is code


# ---- what a probe learns ------------------------------------------------------------------------


def probed(server: Server) -> Profile:
    """What is learned of a server, which is left as it was found."""
    channel: Any = server
    connection = sftp.Sftp(channel)
    facts = ssh.Facts(server="SSH-2.0-V", method="password", extensions=("a",))
    place = sftp.Place(connection, config.parse(GOOD), facts)
    learned = Probe(place).run()
    assert server.files == {FINAL: YESTERDAY}, "nothing is left, and the final name is untouched"
    return learned


@pytest.mark.parametrize(
    ("faults", "learned"),
    [
        ({}, {}),
        (PLAIN, {"rename": "rename"}),
        (NO_REPLACING, {"rename": "aside"}),
        ({"refuse": {"posix-rename": 8}}, {"rename": "rename"}),
        ({"does_nothing": ("posix-rename",)}, {"rename": "rename"}),
        ({"does_nothing": ("posix-rename", "rename")}, {"rename": "in-place"}),
        ({"refuse": {"posix-rename": 8, "rename": 8}}, {"rename": "in-place"}),
        ({"hides": ("stat", "fstat")}, {"stat_after_close": False, "sizes": False}),
        ({"hides": ("stat",)}, {"stat_after_close": False}),
        ({"hides": ("fstat",)}, {}),
        ({"takes": "close"}, {"rename": "in-place", "takes_on_close": True,
                              "stat_after_close": False, "hash": False}),
        ({"refuse": {"check-file-name": 8}}, {"hash": False}),
        ({"hash": bytes(32)}, {"hash": False}),
        ({"cut": ("check-file-name", 1)}, {"hash": False}),
    ],
)  # fmt: skip
def test_what_a_probe_learns(faults: Faults, learned: dict[str, Any]) -> None:
    server = Server(**faults)
    if "cut" in faults:  # what it has made then is removed by the next one
        with pytest.raises(AssertionError, match="nothing is left"):
            probed(server)
        assert len(server.files) == 2
        server.cut = ("", 0)
        server._is_cut = False
        assert probed(server).hash
        return
    found = probed(server)
    assert found == dataclasses.replace(
        Profile("SSH-2.0-V", ("a",), "password", "posix-rename", True, False, True, True, ""),
        **learned,
        learned=found.learned,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.learned)


@pytest.mark.parametrize(
    "refuse", [{"open": 3}, {"write": 4}, {"close": 4}, {"opendir": 3}, {("open", 2): 4}]
)
def test_a_probe_that_fails_leaves_nothing(refuse: dict[Any, int]) -> None:
    server = Server(refuse=refuse)
    with pytest.raises(sftp.Refused):
        probed(server)
    assert server.files == {FINAL: YESTERDAY}


def test_a_probe_removes_what_another_has_left() -> None:
    server = Server(refuse={("remove", 1): 3})
    kept = {leftover(server): b"x", f"{FOLDER}/probe-1.part": b"x"}
    server.files |= {**kept, leftover(server, "probe-1.part"): b"x"}
    server.files |= {leftover(server, "probe-2.part"): b"x"}
    with pytest.raises(AssertionError, match="nothing is left"):
        probed(server)
    assert server.files == {FINAL: YESTERDAY, leftover(server, "probe-1.part"): b"x", **kept}


@pytest.mark.parametrize("refuse", [{}, {"write": 4}])
def test_a_trial_by_writing_leaves_nothing(refuse: dict[str, int]) -> None:
    server = Server(refuse=refuse)
    channel: Any = server
    place = sftp.Place(sftp.Sftp(channel), config.parse(GOOD), ssh.Facts())
    with pytest.raises(sftp.Refused) if refuse else contextlib.nullcontext():
        Probe(place).write()
    assert ("write" in server.requests, server.files) == (True, {FINAL: YESTERDAY})


@pytest.mark.parametrize("key", ["login", "rename", "stat_after_close", "takes_on_close", "sizes"])
def test_each_difference_of_a_server_is_told(key: str) -> None:
    old = getattr(PROFILE, key)
    new: Any = (not old) if isinstance(old, bool) else "aside"
    [told] = changes(PROFILE, dataclasses.replace(PROFILE, **{key: new}))
    words = {True: "yes", False: "no"}
    assert told.endswith(f" was {words.get(old, old)}, is {words.get(new, new)}")
