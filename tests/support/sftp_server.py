"""An SFTP server in memory, and prepared answers."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import struct
from typing import Any

from roster_upload import config
from roster_upload.transfer import messages, protocol, writer
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.profile import Profile
from unit.test_config import GOOD

DATA = b"x" * (2 * writer.Pace.chunk_bytes + 1)
FOLDER = str(GOOD["remote_dir"])
FINAL = f"{FOLDER}/OneRoster.zip"
YESTERDAY, TODAY = b"yesterday's", DATA
ALL = (messages.POSIX_RENAME, protocol.STATVFS)
Faults = dict[str, Any]
PLAIN = {"extensions": ()}
NO_REPLACING = {"extensions": (), "replaces": False}
HASHES = {"extensions": (*ALL, "check-file")}
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


def profile(rename: str, **changes: Any) -> Profile:
    """Return a profile in which the rename method matters."""
    return dataclasses.replace(PROFILE, rename=rename, hash=False, **changes)


def answer(kind: int, number: int, body: bytes) -> bytes:
    """Return an answer as it comes over the channel."""
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int = messages.OK, words: str = "") -> bytes:
    """Return the answer that a request succeeded, or the reason of its failure."""
    return answer(messages.STATUS, number, struct.pack(">I", code) + packed(words, ""))


def packed(*texts: str) -> bytes:
    """Return texts with their lengths."""
    return b"".join(struct.pack(">I", len(text.encode())) + text.encode() for text in texts)


class Transport:
    """The connection below a channel, as far as a session needs it."""

    saved_exception: Exception | None = None


class Channel:
    """A channel that accepts all requests and gives prepared answers, a few bytes at a time."""

    def __init__(self, *answers: bytes, extensions: tuple[str, ...] = ()) -> None:
        offered = b"".join(packed(name, "1") for name in extensions)
        version = struct.pack(">IBI", 5 + len(offered), messages.VERSION, 3) + offered
        self.data = version + b"".join(answers)
        self.sent: list[bytes] = []
        self.is_ahead = False  # whether answers come before they are waited for

    def get_transport(self) -> type[Transport]:
        return Transport

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv_ready(self) -> bool:
        return self.is_ahead and bool(self.data)

    def recv(self, _count: int) -> bytes:
        data, self.data = self.data[:3], self.data[3:]
        return data


def over(*answers: bytes, extensions: tuple[str, ...] = ()) -> Any:
    """Return a session with these answers."""
    channel: Any = Channel(*answers, extensions=extensions)
    return protocol.Sftp(channel)


def directory_of(channel: object, **changes: Any) -> RemoteDirectory:
    """Return the feed's folder on a server."""
    there: Any = channel
    feed = config.parse({**GOOD, **changes})
    return RemoteDirectory(protocol.Sftp(there), feed, ConnectionInfo())


def leftover(server: object, name: str = "0badcafe", **changes: Any) -> str:
    """Return the path of a file that a broken delivery of the feed may have left."""
    place = directory_of(server, **changes)
    return f"{FOLDER}/.{place.prefix}{name}.part"


KINDS = {
    messages.READ: "read", messages.OPEN: "open", messages.CLOSE: "close", messages.WRITE: "write",
    messages.FSTAT: "fstat", messages.OPENDIR: "opendir", messages.READDIR: "readdir",
    messages.REMOVE: "remove", messages.MKDIR: "mkdir", messages.STAT: "stat",
    messages.RENAME: "rename",
}  # fmt: skip


class Server:
    """A channel to a server whose files are a dictionary. Each attribute is a way to misbehave."""

    def __init__(self, **faults: Any) -> None:
        self.files = {FINAL: YESTERDAY}
        self.folders = {"imagine", FOLDER.rpartition("/")[0], FOLDER}
        self.extensions: tuple[str, ...] = ALL
        self.refuse: dict[Any, int] = {}  # kind, or kind and which of them, to a status
        self.words: str | dict[str, str] = ""  # in all refusals, or by kind
        self.cut: tuple[str, int] = ("", 0)  # no answer from this request on
        self.cut_does = False  # whether the interrupted request is still carried out
        self.hides: tuple[str, ...] = ()  # kinds whose answer has no size
        self.wrong: dict[Any, int] = {}  # kind and which of them, to the reported size
        self.does_nothing: tuple[str, ...] = ()  # acknowledged, and not carried out
        self.replaces = True  # whether a plain rename does
        self.renames_to_final = True  # whether a new file may be renamed to the final name
        self.takes: str = ""  # kind after which the file is gone
        self.spoils: str = ""  # kind after which the final file is truncated
        self.hash: bytes | None = None  # reported instead of the right one
        self.room = (100, 0)  # free blocks, flags
        self.allows = ".*"  # names that may be written
        self.allows_at = "open"  # or when it is closed
        self.shows_on_close = False  # as object stores: until then, there is the old file
        self.kind_of_folder = 0  # mode of the upload path
        self.missing_as = messages.NO_SUCH_FILE  # the status of what lies in no folder
        self.is_prompt = False  # whether answers come before they are waited for
        self.shuffles: random.Random | None = None  # the answers, and the pieces they come in
        self.requests: list[str] = []
        for name, value in faults.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        self._in = bytearray()
        self._answers: list[bytes] = []
        self._out = bytearray()
        self._is_cut = False
        self._handles: dict[str, list[Any]] = {}  # handle: path, data, whether it was listed

    def get_transport(self) -> type[Transport]:
        return Transport

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 4:
            length = int.from_bytes(self._in[:4], "big")
            kind, rest = self._in[4], bytes(self._in[5 : 4 + length])
            del self._in[: 4 + length]
            if kind == messages.INIT:
                offered = b"".join(packed(name, "1") for name in self.extensions)
                version = struct.pack(">IBI", 5 + len(offered), messages.VERSION, 3)
                self._out += version + offered
            elif not self._is_cut:
                self._take(kind, struct.unpack(">I", rest[:4])[0], rest[4:])

    def recv_ready(self) -> bool:
        return self.is_prompt and bool(self._answers or self._out)

    def recv(self, count: int) -> bytes:
        if self.shuffles:
            self.shuffles.shuffle(self._answers)
            count = min(count, self.shuffles.randint(1, 40))
            if not self._out and self._answers:
                self._out += self._answers.pop()
        else:
            self._out += b"".join(self._answers)
            self._answers.clear()
        data = bytes(self._out[:count])
        del self._out[: len(data)]
        return data

    def _say(self, kind: int, number: int, body: bytes) -> None:
        self._answers.append(answer(kind, number, body))

    def _take(self, kind: int, number: int, body: bytes) -> None:
        texts = self._texts(kind, body)
        name = KINDS.get(kind) or texts.pop(0).partition("@")[0]
        if name == "close" and self._path(texts[0]) in self.folders:
            name = "closedir"
        self.requests.append(name)
        count = self.requests.count(name)
        self._is_cut = (name, count) == self.cut
        if self._is_cut and not self.cut_does:
            return
        said = len(self._answers)
        code: int | None = self.refuse.get((name, count), self.refuse.get(name, messages.OK))
        if code == messages.OK and name not in self.does_nothing:
            code = self._do(name, number, count, texts, body)
        if code is not None:
            words = self.words.get(name, "") if isinstance(self.words, dict) else self.words
            self._answers.append(status(number, code, words))
        if name == self.takes:
            path = self._path(texts[-1])
            self.files = {other: b for other, b in self.files.items() if other != path}
        if name == self.spoils and FINAL in self.files:
            self.files[FINAL] = self.files[FINAL][:5]
        if name in ("close", "closedir"):
            self._handles.pop(texts[0], None)
        if self._is_cut:
            del self._answers[said:]

    def _path(self, text: str) -> str:
        """Return the path of a handle, or of a path."""
        return str(self._handles[text][0]) if text in self._handles else text

    @staticmethod
    def _texts(kind: int, body: bytes) -> list[str]:
        found: list[str] = []
        at = 0
        wanted = {messages.EXTENDED: 3, messages.RENAME: 2}.get(kind, 1)
        while len(found) < wanted and at < len(body):
            text, at = messages.string_at(body, at)
            found.append(text.decode())
        return found

    def _do(self, name: str, number: int, count: int, texts: list[str], body: bytes) -> int | None:
        """Carry out a request. Return the status to answer, None if the answer is given."""
        path = texts[0] if texts else ""
        reply: bytes | int | None = messages.OK
        if name in ("open", "opendir"):
            reply = self._open(name, path, body)
        elif name == "write":
            reply = self._write(path, body[4 + len(path.encode()) :])
        elif name == "close":
            reply = self._close(path)
        elif name in ("stat", "fstat"):
            reply = self._size(name, number, count, self._path(path))
        elif name == "readdir":
            reply = self._names(number, path)
        elif name in ("rename", "posix-rename"):
            reply = self._rename(name, *texts)
        elif name == "remove":
            is_gone = self.files.pop(path, None) is None
            reply = messages.NO_SUCH_FILE if is_gone else messages.OK
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
            is_handle = name in ("open", "opendir")
            kind = messages.HANDLE if is_handle else messages.EXTENDED_REPLY
            self._say(kind, number, reply)
            return None
        return reply

    def _is_allowed(self, path: str, moment: str) -> bool:
        is_name = re.fullmatch(self.allows, path.rpartition("/")[2])
        return moment != self.allows_at or bool(is_name)

    def _open(self, name: str, path: str, body: bytes) -> bytes | int:
        if (path.rpartition("/")[0] if name == "open" else path) not in self.folders:
            return self.missing_as
        if name == "open":
            flags, attributes = struct.unpack(">II", body[-8:])
            assert (flags, attributes) == (0x1A, 0), "written anew, without attributes"
            if not self._is_allowed(path, "open"):
                return messages.PERMISSION_DENIED
            if not self.shows_on_close:
                self.files[path] = b""
        handle = f"handle {len(self.requests)}"
        self._handles[handle] = [path, b"", False]
        return packed(handle)

    def _write(self, handle: str, rest: bytes) -> int:
        offset, length = struct.unpack(">QI", rest[:12])
        assert length == len(rest) - 12 <= 32768
        file = self._handles[handle]
        file[1] = file[1][:offset].ljust(offset) + rest[12:]
        if not self.shows_on_close and file[0] in self.files:
            self.files[file[0]] = file[1]
        return messages.OK

    def _close(self, handle: str) -> int:
        path, data, _ = self._handles[handle]
        if not self._is_allowed(path, "close"):
            self.files.pop(path, None)
            return messages.PERMISSION_DENIED
        if self.shows_on_close:
            self.files[path] = data
        return messages.OK

    def _size(self, name: str, number: int, count: int, path: str) -> int | None:
        if path in self.folders:
            self._say(messages.ATTRS, number, struct.pack(">II", 4, self.kind_of_folder))
            return None
        if path not in self.files:
            return messages.NO_SUCH_FILE if path.rpartition("/")[0] in self.folders else (
                self.missing_as
            )  # fmt: skip
        size = self.wrong.get((name, count), self.wrong.get(name, len(self.files[path])))
        attributes = struct.pack(">I", 0) if name in self.hides else struct.pack(">IQ", 1, size)
        self._say(messages.ATTRS, number, attributes)
        return None

    def _names(self, number: int, handle: str) -> int | None:
        folder, _, is_listed = self._handles[handle]
        if is_listed:
            return messages.EOF
        self._handles[handle][2] = True
        names = [path.rpartition("/")[2] for path in self.files if path.startswith(f"{folder}/")]
        body = b"".join(packed(name, "long") + struct.pack(">IQ", 1, 7) for name in names)
        self._say(messages.NAME, number, struct.pack(">I", len(names)) + body)
        return None

    def _rename(self, name: str, old: str, new: str) -> int:
        if old not in self.files or new in self.folders:
            return messages.NO_SUCH_FILE if new not in self.folders else messages.FAILURE
        if new in self.files and name == "rename" and not self.replaces:
            return messages.FAILURE
        if new == FINAL and not self.renames_to_final and not old.endswith("-old.part"):
            return messages.FAILURE
        self.files[new] = self.files.pop(old)
        return messages.OK
