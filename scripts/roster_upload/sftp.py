"""SFTP over paramiko's transport, with a writer that believes nothing it was not told.

paramiko's own `put` drops the answers to its last writes and closes a file that was cut off as if
it were whole (https://github.com/paramiko/paramiko/blob/main/paramiko/sftp_file.py). Here each
request's answer is read and checked. The protocol is version 3,
draft-ietf-secsh-filexfer-02, which is what servers speak.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import paramiko

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.ssh import ANSWER_SECONDS, TIDY_SECONDS, Facts, Watch, in_time, logged_in

if TYPE_CHECKING:
    from roster_upload.server import Profile

__all__ = ["Delivered", "Facts", "deliver"]

CHUNK_BYTES = 32_640  # with its request's header it fits into one packet of SSH
CHUNKS_IN_FLIGHT = 64  # OpenSSH's window for a session: 64 packets of 32 KiB

(INIT, VERSION, OPEN, CLOSE, WRITE, FSTAT) = (1, 2, 3, 4, 6, 8)
(OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME) = (11, 12, 13, 14, 17, 18)
(STATUS, HANDLE, NAME, ATTRS, EXTENDED, EXTENDED_REPLY) = (101, 102, 104, 105, 200, 201)
(OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE) = (0, 1, 2, 3, 4)
CREATE_FLAGS = 0x02 | 0x08 | 0x10  # write, create, truncate
SIZE_PRESENT = 0x01
READ_ONLY_FLAG = 0x01  # of statvfs
POSIX_RENAME = "posix-rename@openssh.com"
STATVFS = "statvfs@openssh.com"
HASHES = {"check-file", "check-file-name"}  # servers announce either name

# The ways to the final name, the best first. IN_PLACE is none of them: only a profile allows it.
WAYS = ("posix-rename", "rename", "aside")
IN_PLACE = "in-place"

# What a refusal means: by its status, also of later protocol versions, or else by its words.
MEANINGS = {
    NO_SUCH_FILE: Exit.REMOTE_PATH,
    PERMISSION_DENIED: Exit.PERMISSION,
    10: Exit.REMOTE_PATH,  # no such path
    12: Exit.READ_ONLY,  # write protect
    14: Exit.DISK_FULL,  # no space on file system
    15: Exit.QUOTA,  # quota exceeded
    19: Exit.REMOTE_PATH,  # not a directory
}
WORDS = (
    (re.compile(r"quota", re.I), Exit.QUOTA),
    (re.compile(r"no space|space left|disk.*full|out of space", re.I), Exit.DISK_FULL),
    (re.compile(r"read-?\s?only|write.?protect", re.I), Exit.READ_ONLY),
)
ADVICE = {
    Exit.REMOTE_PATH: "{folder} does not exist on the server; compare remote_dir with the upload "
    "path that the vendor gave you",
    Exit.PERMISSION: "{doing} in {folder} is not allowed to {user}: {why}; ask the vendor for the "
    "right to write, rename and delete there",
    Exit.READ_ONLY: "{folder} lies on a file system that is read-only: {why}; ask the vendor until "
    "when",
    Exit.DISK_FULL: "the server's disk is full, {doing} in {folder} failed: {why}; the vendor has "
    "to make room",
    Exit.QUOTA: "the quota of {user} is used up, {doing} in {folder} failed: {why}; ask the vendor "
    "for more room",
    Exit.TRANSFER: "the server refused {doing} in {folder}: {why}; if it stays so, ask the vendor",
}
NEW_LOGIN = (
    "The login itself was accepted; if it is new, its password may still have to be reset by the "
    "vendor's mailed link"
)
LOSSES = {
    Exit.VANISHED: "ended the connection",
    Exit.SILENT: "stopped answering",
    Exit.TRANSFER: "broke the protocol",
}
STEPS = {
    "list": "looking around",
    "write": "writing",
    "close": "closing the file",
    "rename": "renaming",
    "verify": "verifying",
}


class Refused(Exception):
    """A request that the server answered with an error: its status code and its own words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words or 'no reason given'} (SFTP status {code})")
        self.code = code
        self.words = words


class Lost(Exception):
    """The conversation cannot go on: with which exit code, and why."""

    def __init__(self, why: str, code: Exit = Exit.VANISHED) -> None:
        super().__init__(why)
        self.code = code


class Garbled(Lost):
    """The server sent what is no answer to what it was asked."""

    def __init__(self, why: str = "the server answered another question") -> None:
        super().__init__(why, Exit.TRANSFER)


@dataclass
class Delivered:
    """What is known of a file that has arrived.

    `verified` is by what: "hash", "size", "answers" (the server hides sizes, but has acknowledged
    each request) or "taken" (so it has, and took the file away at once).
    """

    bytes: int | None  # None where the server does not tell
    method: str  # one of WAYS, or IN_PLACE
    verified: str = "size"


class Sftp:
    """The SFTP requests that a delivery needs, on one channel."""

    def __init__(self, channel: paramiko.Channel, watch: Watch | None = None) -> None:
        self.channel = channel
        self.watch = watch or Watch()
        self.ends = self.watch.ends
        self._number = 0
        self._buffer = bytearray()
        self._waiting: dict[int, int] = {}  # writes without their answer yet: number to bytes
        self._acknowledged = 0  # bytes of the present file
        self._posted: set[int] = set()  # other requests without their answer yet
        self._early: dict[int, tuple[int, bytes]] = {}  # answers that came before they were asked
        self._refusal: Refused | None = None  # of a write of the present file
        self._is_torn = False  # whether a request was sent in part
        self._send(INIT, struct.pack(">I", 3), numbered=False)
        kind, body = self._receive()
        if kind != VERSION:
            raise Garbled("the server does not speak SFTP")
        self.extensions = dict(_strings_in_pairs(body[4:]))

    def _allow_time(self) -> None:
        """Sets how long the next step may take; raises Lost where no time is left."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise Lost("the time is up", Exit.SILENT)
        self.channel.settimeout(min(ANSWER_SECONDS, left))

    def _lost(self, error: Exception | str) -> Lost:
        is_late = isinstance(error, TimeoutError) or "timed out" in str(error)
        if is_late or self.watch.has_hung_up:
            return Lost(f"no answer within {ANSWER_SECONDS} s", Exit.SILENT)
        return Lost(str(error) or "the connection is gone")

    def _send(self, kind: int, *body: bytes, numbered: bool = True) -> int:
        """Sends a request; its parts are joined once, since they are copied by that."""
        number = b""
        if numbered:
            self._number += 1
            number = struct.pack(">I", self._number)
        length = sum(map(len, body)) + len(number) + 1
        if self._is_torn:
            raise Lost("the last request was not sent whole")
        self._allow_time()
        self._is_torn = True
        try:
            self.channel.sendall(b"".join((struct.pack(">IB", length, kind), number, *body)))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from None
        self._is_torn = False
        return self._number

    def _receive(self) -> tuple[int, bytes]:
        """The next answer: its kind and the rest. One that a signal interrupts can be had again."""
        self._fill(4)
        length = struct.unpack(">I", self._buffer[:4])[0]
        if not 5 <= length <= 1 << 20:
            raise Garbled("the server sent something that is not SFTP")
        self._fill(4 + length)
        data = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return data[0], data[1:]

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._allow_time()
            try:
                data = self.channel.recv(65536)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost(error) from None
            if not data:
                raise self._lost("it was closed")
            self._buffer += data
            self.watch.moved()

    def _answer(self) -> tuple[int, int, bytes]:
        """The next answer: the number of its request, its kind and the rest."""
        kind, body = self._receive()
        return struct.unpack(">I", body[:4])[0], kind, body[4:]

    def post(self, kind: int, body: bytes) -> int:
        """Sends a request and does not wait for its answer; returns its number."""
        number = self._send(kind, body)
        self._posted.add(number)
        return number

    def take(self, number: int, expected: int = STATUS) -> bytes:
        """The answer to a request that was posted; raises Refused where it is an error."""
        while number not in self._early:
            self._next()
        kind, body = self._early.pop(number)
        _check(kind, body, expected)
        return body

    def _next(self) -> None:
        """Receives an answer, in whatever order the server gives them."""
        number, kind, body = self._answer()
        if number in self._waiting:
            self._acknowledged += self._waiting.pop(number)
            try:
                _check(kind, body, STATUS)
            except Refused as refused:
                self._refusal = self._refusal or refused
        elif number in self._posted:
            self._posted.remove(number)
            self._early[number] = kind, body
        else:
            raise Garbled

    def _ask(self, kind: int, body: bytes, expected: int = STATUS) -> bytes:
        """Asks and returns the answer; raises Refused where it is an error."""
        return self.take(self.post(kind, body), expected)

    def post_create(self, path: str) -> int:
        """Asks for a file to be written anew, without any attributes."""
        return self.post(OPEN, _packed(path) + struct.pack(">II", CREATE_FLAGS, 0))

    def create(self, path: str) -> bytes:
        """Opens a file to be written anew; returns its handle."""
        return self.take(self.post_create(path), HANDLE)

    def write(
        self,
        handle: bytes,
        data: BinaryIO,
        progress: Callable[[int], None] | None = None,
        *,
        meanwhile: Callable[[], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Writes all data: a window of requests in flight, each one's answer checked.

        `progress` is told the bytes that are acknowledged; `meanwhile` is done once, when as much
        is on its way as may be, and `then` when all is, so that neither waits for the writing.
        Raises Refused or Lost; the file is of no use then, closed or not.
        """
        self._acknowledged, self._refusal = 0, None
        offset = 0
        while chunk := data.read(CHUNK_BYTES):
            where = struct.pack(">QI", offset, len(chunk))
            self._waiting[self._send(WRITE, handle, where, chunk)] = len(chunk)
            offset += len(chunk)
            if len(self._waiting) >= CHUNKS_IN_FLIGHT:
                if meanwhile:
                    meanwhile()
                    meanwhile = None
                self._acknowledge(progress)
        if then:
            then()
        if meanwhile:
            meanwhile()
        while self._waiting:
            self._acknowledge(progress)
        if self._refusal:
            raise self._refusal

    def _acknowledge(self, progress: Callable[[int], None] | None) -> None:
        before = self._acknowledged
        self._next()
        if self._refusal:
            raise self._refusal
        if progress and self._acknowledged > before:
            progress(self._acknowledged)

    def close(self, handle: bytes) -> None:
        """Closes a handle; to servers that is what makes a file whole."""
        self._ask(CLOSE, handle)

    def size(self, path: str) -> int | None:
        """Size in bytes of a remote file, None where the server does not tell.

        Raises Refused where there is no such file.
        """
        return self.size_told(self.post_size(path))

    def size_of(self, handle: bytes) -> int | None:
        """Size in bytes of an open file, None where the server does not tell."""
        with contextlib.suppress(Refused):
            return self.size_told(self.post(FSTAT, handle))
        return None

    def post_size(self, path: str) -> int:
        """Asks for the size of a remote file."""
        return self.post(STAT, _packed(path))

    def size_told(self, number: int) -> int | None:
        """The size that was asked for, None where the server does not tell.

        Raises Refused where there is no such file.
        """
        try:
            attributes = self.take(number, ATTRS)
        except Refused as refused:
            if refused.code == NO_SUCH_FILE:
                raise
            return None  # some servers do not let anyone look
        flags = struct.unpack(">I", attributes[:4])[0]
        return struct.unpack(">Q", attributes[4:12])[0] if flags & SIZE_PRESENT else None

    def is_there(self, path: str) -> bool:
        """Whether there is such a file, as far as the server tells."""
        try:
            self.size(path)
        except Refused:
            return False
        return True

    @property
    def offers_hash(self) -> bool:
        """Whether the server announces that it computes hashes."""
        return bool(HASHES & self.extensions.keys())

    def sha256(self, path: str) -> str | None:
        """The SHA-256 that the server has computed of a file, None where it does not do that.

        draft-ietf-secsh-filexfer-extensions-00, section 3. ProFTPD announces it to later versions
        of the protocol only, and leaves out the answer's name.
        """
        whole = struct.pack(">QQI", 0, 0, 0)
        body = _packed("check-file-name") + _packed(path) + _packed("sha256") + whole
        try:
            answer = self._ask(EXTENDED, body, expected=EXTENDED_REPLY)
        except Refused:
            return None
        algorithm, at = _string(answer, 0)
        if algorithm == b"check-file":
            algorithm, at = _string(answer, at)
        is_one = algorithm == b"sha256" and len(answer) - at == hashlib.sha256().digest_size
        return answer[at:].hex() if is_one else None

    def space(self, path: str) -> tuple[int, bool] | None:
        """Free bytes of a folder's file system and whether it is read-only, None if not told."""
        if STATVFS not in self.extensions:
            return None
        body = _packed(STATVFS) + _packed(path)
        told = struct.unpack(">11Q", self._ask(EXTENDED, body, expected=EXTENDED_REPLY)[:88])
        (_, unit, blocks, _, free, files, _, free_files, _, flags, _) = told
        if not blocks:
            return None  # it only says so
        room = unit * free if free_files or not files else 0
        return room, bool(flags & READ_ONLY_FLAG)

    def hurry(self) -> None:
        """From now on takes no longer than a clean-up may, all in all."""
        self.ends = time.monotonic() + TIDY_SECONDS

    def rename(self, old: str, new: str) -> None:
        """Renames by protocol version 3: most servers refuse where `new` exists."""
        self.take(self.post_rename(old, new))

    def post_rename(self, old: str, new: str) -> int:
        """Asks for a renaming by protocol version 3."""
        return self.post(RENAME, _packed(old) + _packed(new))

    def posix_rename(self, old: str, new: str) -> None:
        """Renames in one step over a file that exists (OpenSSH PROTOCOL, section 4.3)."""
        self.take(self.post_posix_rename(old, new))

    def post_posix_rename(self, old: str, new: str) -> int:
        """Asks for a renaming in one step."""
        return self.post(EXTENDED, _packed(POSIX_RENAME) + _packed(old) + _packed(new))

    def remove(self, path: str) -> None:
        """Deletes a remote file."""
        self._ask(REMOVE, _packed(path))

    def make_folder(self, path: str) -> None:
        """Makes one remote folder, without any attributes."""
        self._ask(MKDIR, _packed(path) + struct.pack(">I", 0))

    def names(self, folder: str) -> list[str]:
        """The names in a remote folder."""
        listing = Listing(self, folder)
        listing.begin()
        return listing.names()


class Listing:
    """The names in a remote folder, asked for beside other requests."""

    def __init__(self, sftp: Sftp, folder: str) -> None:
        self.sftp = sftp
        self._opened = sftp.post(OPENDIR, _packed(folder))
        self._handle = b""
        self._reads: list[int] = []

    def begin(self) -> None:
        """Asks for the names; raises Refused where the folder cannot be looked into."""
        self._handle = self.sftp.take(self._opened, HANDLE)
        # Most folders take one answer, and a second that says that this was all.
        self._reads = [self.sftp.post(READDIR, self._handle) for _ in range(2)]

    def names(self) -> list[str]:
        """The names; raises Refused."""
        found = []
        try:
            while True:
                number = self._reads.pop(0) if self._reads else (
                    self.sftp.post(READDIR, self._handle)
                )  # fmt: skip
                body = self.sftp.take(number, NAME)
                at = 4
                for _ in range(struct.unpack(">I", body[:4])[0]):
                    name, at = _string(body, at)
                    _, at = _string(body, at)
                    at = _after_attributes(body, at)
                    found.append(name.decode("utf-8", "replace"))
        except Refused as refused:
            if refused.code != EOF:
                raise
        self.sftp.post(CLOSE, self._handle)  # whatever the answer, when it comes
        return found


def _packed(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack(">I", len(data)) + data


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    length = struct.unpack(">I", body[at : at + 4])[0]
    return body[at + 4 : at + 4 + length], at + 4 + length


def _strings_in_pairs(body: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(body):
        name, at = _string(body, at)
        value, at = _string(body, at)
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def _check(kind: int, body: bytes, expected: int) -> None:
    """Raises Refused where an answer is an error, Garbled where it is none that was asked for."""
    if kind == STATUS:
        code = struct.unpack(">I", body[:4])[0]
        if code != OK:
            words = _string(body, 4)[0].decode("utf-8", "replace") if len(body) > 4 else ""
            raise Refused(code, " ".join(words.split()))
    if kind != expected:
        raise Garbled


def _after_attributes(body: bytes, at: int) -> int:
    """Where a set of attributes ends (draft-ietf-secsh-filexfer-02, section 5)."""
    flags = struct.unpack(">I", body[at : at + 4])[0]
    at += 4
    for flag, length in ((0x01, 8), (0x02, 8), (0x04, 4), (0x08, 8)):
        at += length if flags & flag else 0
    if flags & 0x80000000:
        count = struct.unpack(">I", body[at : at + 4])[0]
        at += 4
        for _ in range(2 * count):
            _, at = _string(body, at)
    return at


class Place:
    """The feed's folder on its server: the names in it, and what a refusal there means."""

    def __init__(self, sftp: Sftp, feed: Feed, facts: Facts) -> None:
        self.sftp = sftp
        self.feed = feed
        self.facts = facts
        # Its own feed's leftovers only; another feed of the folder may be at work.
        own = hashlib.sha256(feed.feed.encode()).hexdigest()[:8]
        self.prefix = f".roster-upload-{own}-"
        self.folder = feed.remote_dir.rstrip("/")
        self.final = f"{self.folder}/{feed.remote_name}"
        self.aside = f"{self.folder}/{self.prefix}old.part"
        self.is_seen = False  # whether the folder was looked into
        self.doing = STEPS["list"]

    def passing(self, what: str = "") -> str:
        """A new path for a file that is not to stay."""
        return f"{self.folder}/{self.prefix}{what}{secrets.token_hex(4)}.part"

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A phase of a delivery, which a failure in it is told of."""
        self.doing = STEPS[name]
        with self.facts.phase(name):
            yield

    def names(self) -> list[str]:
        """The names in the folder, which is made where it is missing and the feed says so."""
        with self.step("list"):
            try:
                names = self.sftp.names(self.folder)
            except Refused as refused:
                self._make(refused)
                names = self.sftp.names(self.folder)
        self.is_seen = True
        return names

    def begin(self, path: str) -> tuple[Listing, bytes]:
        """Looks into the folder, made as by `names`, and makes a file in it at the same time.

        Returns the names to come, and the file's handle.
        """
        with self.step("list"):
            try:
                begun = self._begin(path)
            except Refused as refused:
                self._make(refused)
                begun = self._begin(path)
        self.is_seen = True
        return begun

    def _begin(self, path: str) -> tuple[Listing, bytes]:
        listing = Listing(self.sftp, self.folder)
        created = self.sftp.post_create(path)
        listing.begin()
        try:
            return listing, self.sftp.take(created, HANDLE)
        except Refused:
            self.doing = STEPS["list"]
            listing.names()  # some servers open what is not there; then that is the cause
            self.is_seen, self.doing = True, STEPS["write"]
            raise

    def _make(self, refused: Refused) -> None:
        """Makes the folder where that was the cause of a refusal; raises it where not."""
        is_missing = MEANINGS.get(refused.code) is Exit.REMOTE_PATH and not self.is_seen
        if not (is_missing and self.feed.make_remote_dir):
            raise refused
        parts = self.folder.split("/")
        for path in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if not path or self.sftp.is_there(path):
                continue
            try:
                self.sftp.make_folder(path)
            except Refused:
                if not self.sftp.is_there(path):  # another feed may have made it meanwhile
                    raise

    def failure(self, refused: Refused) -> Failure:
        """What a refusal means to an operator; asks the server for evidence where it is bare."""
        code = self._meaning(refused)
        if code is Exit.REMOTE_PATH and self.is_seen:
            code = Exit.TRANSFER  # the folder is there: something in it is not
        text = ADVICE[code].format(
            folder=self.folder, user=self.feed.username, doing=self.doing, why=refused
        )
        hint = f". {NEW_LOGIN}" if code is Exit.PERMISSION and not self.is_seen else ""
        return Failure(code, f"{self.feed.remote_host}: {text}{hint}")

    def _meaning(self, refused: Refused) -> Exit:
        if refused.code in MEANINGS:
            return MEANINGS[refused.code]
        for pattern, code in WORDS:
            if pattern.search(refused.words):
                return code
        with contextlib.suppress(Refused, Lost, struct.error):
            # OpenSSH answers a full disk and a read-only one with a bare "Failure".
            if refused.code == FAILURE and (told := self.sftp.space(self.folder)):
                room, is_read_only = told
                if is_read_only:
                    return Exit.READ_ONLY
                if room < CHUNK_BYTES:
                    return Exit.DISK_FULL
        return Exit.TRANSFER

    def broken(self, error: Lost | struct.error) -> Failure:
        """What a lost conversation means to an operator."""
        code = error.code if isinstance(error, Lost) else Exit.TRANSFER
        where = f"{self.feed.remote_host} ({self.facts.address})"
        return Failure(code, f"{where} {LOSSES[code]} while {self.doing} ({error})")


class Delivery:
    """Brings one file to its place on the server, by way of a temporary name beside it."""

    def __init__(
        self,
        place: Place,
        *,
        profile: Profile | None = None,
        sha256: str = "",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.place = place
        self.sftp = place.sftp
        self.sha256 = sha256
        self.progress = progress
        self.asks_hash = bool(sha256) and (profile.hash if profile else self.sftp.offers_hash)
        self.way = profile.rename if profile else WAYS[0]  # the first to be tried
        self.target = place.final if self.way == IN_PLACE else place.passing()
        self.is_partial = False  # whether the target is there, but of no use
        self.is_tidy = False  # whether a broken delivery's leftovers were looked for
        self.seen: int | None = None  # request for the final name's size, behind the renaming
        self.outcome = "the vendor still has what it had before"

    def run(self, source: Path, size: int) -> Delivered:
        """Sends, renames and verifies; the final name holds the old file or the new one, whole."""
        try:
            before = self._write(source, size)
            if self.way == IN_PLACE:
                return self._verified(before, size, IN_PLACE)
            is_hashed = self._is_hashed(self.target)  # while the old file is still there
            self.outcome = "whether the new file has taken its place is not known; start it again"
            with self.place.step("rename"):
                method = self._rename()
            self.is_partial = False
            return self._verified(before, size, method, is_hashed=is_hashed)
        except Refused as refused:
            failure = self.place.failure(refused)
        except (Lost, struct.error) as error:
            failure = self.place.broken(error)
        except Failure as known:
            failure = known
        except BaseException:
            self._drop()
            raise
        self._drop()
        raise Failure(failure.code, f"{failure.message}; {self.outcome}")

    def _tidy(self, names: list[str]) -> None:
        """Removes what a broken delivery left in the folder."""
        place, doing = self.place, self.place.doing
        self.is_tidy = True
        with place.step("list"):
            for name in (name for name in names if name.startswith(place.prefix)):
                path = f"{place.folder}/{name}"
                if path == self.target:
                    continue
                with contextlib.suppress(Refused):
                    if path == place.aside and place.feed.remote_name not in names:
                        self.sftp.rename(path, place.final)  # the only whole file that there is
                    else:
                        self.sftp.remove(path)
        place.doing = doing

    def _write(self, source: Path, size: int) -> int | None:
        """Writes the target; returns the size that the server has for it.

        A temporary file is looked at and closed without waiting for the last writes: all answers
        are checked before it is renamed. In place it is closed only when they were.
        """
        if self.way == IN_PLACE:
            self._tidy(self.place.names())
            with self.place.step("write"), source.open("rb") as data:
                return self._write_in_place(data, size)
        self.is_partial = True
        listing, handle = self.place.begin(self.target)
        with self.place.step("write"), source.open("rb") as data:
            asked: list[int] = []
            self.sftp.write(
                handle,
                data,
                self.progress,
                meanwhile=lambda: self._tidy(listing.names()),
                then=lambda: asked.extend(self.sftp.post(kind, handle) for kind in (FSTAT, CLOSE)),
            )
            there = None
            with contextlib.suppress(Refused):
                there = self._told(asked[0], self.target, size)
            self._same(there, size, "the file as written")
        with self.place.step("close"):
            self.sftp.take(asked[1])
        return there

    def _write_in_place(self, data: BinaryIO, size: int) -> int | None:
        created = self.sftp.create(self.target)
        self.outcome = (
            "this server only takes a file in place, so the vendor may hold a part of it, or "
            "none, until the next run: start it again"
        )
        self.is_partial = True
        self.sftp.write(created, data, self.progress)
        there = self.sftp.size_of(created)
        self._same(there, size, "the file as written")
        with self.place.step("close"):
            self.sftp.close(created)
        self.is_partial = False
        return there

    def _rename(self) -> str:
        """Puts the temporary file in its place; returns by which way."""
        refused = Refused(FAILURE, "")
        for way in self._ways():
            try:
                if way == "aside":
                    self._rename_aside(self.target, self.place.final)
                else:
                    self._rename_and_look(way)
                return way
            except Refused as reason:  # some servers offer posix-rename and refuse it
                refused = reason
            if refused.code == NO_SUCH_FILE and not self.sftp.is_there(self.target):
                raise Failure(
                    Exit.VERIFY,
                    f"{self.place.feed.remote_host} took the file away under its temporary name "
                    "as soon as it was closed; learn the server's ways with `roster-upload probe`",
                )
        raise refused

    def _rename_and_look(self, way: str) -> None:
        """Renames, and asks for the size of what is there then, without waiting in between."""
        by = {"posix-rename": self.sftp.post_posix_rename, "rename": self.sftp.post_rename}
        renamed = by[way](self.target, self.place.final)
        seen = self.sftp.post_size(self.place.final)
        self.sftp.take(renamed)
        self.seen = seen

    def _ways(self) -> Iterator[str]:
        """The ways of renaming that can help, from the profile's on, each asked for in its turn."""
        if self.way == "posix-rename" and POSIX_RENAME in self.sftp.extensions:
            yield "posix-rename"
        if self.way != "aside" or not self.sftp.is_there(self.place.final):
            yield "rename"
        if self.sftp.is_there(self.place.final):  # else nothing stands in the way
            yield "aside"

    def _rename_aside(self, new: str, final: str) -> None:
        """Makes room for the new file, and puts the old one back where that fails."""
        self.sftp.rename(final, self.place.aside)
        try:
            self.sftp.rename(new, final)
        except BaseException:
            self.sftp.hurry()
            self.sftp.rename(self.place.aside, final)  # else the next run does it
            raise
        with contextlib.suppress(Refused):
            self.sftp.remove(self.place.aside)

    def _verified(
        self, before: int | None, size: int, method: str, *, is_hashed: bool = False
    ) -> Delivered:
        """What is known of the file in its place, compared with what was sent."""
        self.outcome = "the new file has taken the old one's place; start it again to be sure"
        final = self.place.final
        with self.place.step("verify"):
            try:
                there = self._told(self.seen, final, size)
            except Refused:
                self._was_taken(method)
                return Delivered(before, method, "taken")
            self._same(there, size, final)
            if is_hashed or self._is_hashed(final):
                return Delivered(there, method, "hash")
        return Delivered(there, method, "answers" if there is None else "size")

    def _told(self, asked: int | None, path: str, size: int) -> int | None:
        """A size that was asked for ahead, or asked again where it is not the one that is wanted.

        Requests of one file are to be answered as if each had waited for the one before
        (filexfer-02, section 4.1), but not every server may keep that. Raises Refused.
        """
        if asked is not None:
            with contextlib.suppress(Refused):
                there = self.sftp.size_told(asked)
                if there in (None, size):
                    return there
        return self.sftp.size(path)

    def _was_taken(self, method: str) -> None:
        """Raises Failure where the renaming was acknowledged but not done."""
        if method != IN_PLACE and self.sftp.is_there(self.target):
            self.is_partial = True
            raise Failure(
                Exit.VERIFY,
                f"{self.place.feed.remote_host} acknowledged the renaming to {self.place.final}, "
                "but did not do it",
            )

    def _is_hashed(self, path: str) -> bool:
        """Whether the server has computed the hash of what was sent, False where it does not."""
        if not self.asks_hash:
            return False
        with self.place.step("verify"):
            told = self.sftp.sha256(path)
        if told is None or told == self.sha256:
            return told is not None
        raise Failure(
            Exit.VERIFY,
            f"{path} has the SHA-256 {told} on {self.place.feed.remote_host}, {self.sha256} was "
            "sent: the server has changed or damaged it",
        )

    def _same(self, there: int | None, size: int, what: str) -> None:
        if there is None or there == size:
            return
        why = "is full, or cut it short" if there < size else "added to what was there"
        raise Failure(
            Exit.VERIFY,
            f"{what} has {there} bytes on the server, {size} were sent: the server {why}",
        )

    def _drop(self) -> None:
        """Removes a partial file where the connection still lives; else the next run does."""
        with contextlib.suppress(Refused, Lost, struct.error):
            self.sftp.hurry()
            if self.is_partial:
                with contextlib.suppress(Refused):
                    self.sftp.remove(self.target)
            if self.place.is_seen and not self.is_tidy:
                self._tidy(self.sftp.names(self.place.folder))


def _opened(transport: paramiko.Transport, feed: Feed, facts: Facts, watch: Watch) -> Sftp:
    """Opens the SFTP session of a connection that is logged in; raises Failure."""
    with facts.phase("open"):
        try:
            channel = transport.open_session(timeout=watch.left(ANSWER_SECONDS))
            watch.moved()
            channel.invoke_subsystem("sftp")
            sftp = Sftp(channel, watch)
        except (Lost, struct.error, paramiko.SSHException, EOFError, OSError) as error:
            if watch.has_hung_up or "Timeout" in str(error):
                code = Exit.SILENT
            elif isinstance(error, Lost):
                code = error.code
            else:
                code = Exit.PERMISSION if transport.is_active() else Exit.VANISHED
            raise Failure(
                code,
                f"{feed.remote_host} ({facts.address}) opens no SFTP session for {feed.username}: "
                f"{error or 'no reason given'}. {NEW_LOGIN}",
            ) from None
    facts.extensions = tuple(sorted(sftp.extensions))
    return sftp


@contextlib.contextmanager
def place_of(
    feed: Feed, secret: bytes, facts: Facts, limit: float | None = None, login: str = ""
) -> Iterator[Place]:
    """The feed's folder on its server, over a connection for the time of the block.

    `login` is the method that the server is known to take. After `limit` seconds, and those that
    a clean-up may take, it ends as `Exit.SILENT`. What is refused or lost in the block becomes a
    Failure.
    """
    watch = Watch(limit)
    with in_time(watch, limit), logged_in(feed, secret, facts, watch, login) as transport:
        place = Place(_opened(transport, feed, facts, watch), feed, facts)
        try:
            yield place
        except Refused as refused:
            raise place.failure(refused) from None
        except (Lost, struct.error) as error:
            raise place.broken(error) from None


def deliver(
    feed: Feed,
    secret: bytes,
    source: Path,
    size: int,
    facts: Facts,
    *,
    profile: Profile | None = None,
    sha256: str = "",
    progress: Callable[[int], None] | None = None,
    limit: float | None = None,
) -> Delivered:
    """Delivers a file of `size` bytes to the feed's place on its server.

    `facts` is filled on the way. `profile` says by which way of renaming to begin, or to write in
    place; `sha256`, in hexadecimal, is compared where the server computes it; `progress` is told
    the bytes that the server has acknowledged; `limit` is what all may take, in seconds. Raises
    Failure; the final name is then as it was, unless the message says otherwise.
    """
    # Learned with a password, or from before a key gave way to one.
    login = profile.login if profile and profile.login != "publickey" else ""
    with place_of(feed, secret, facts, limit, login) as place:
        delivery = Delivery(place, profile=profile, sha256=sha256.lower(), progress=progress)
        return delivery.run(source, size)
