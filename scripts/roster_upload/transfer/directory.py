"""The feed's folder on the vendor's server: the names in it, and what a refusal there means."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.listing import Listing
from roster_upload.transfer.messages import (
    BROKEN,
    FAILURE,
    NO_SUCH_FILE,
    PERMISSION_DENIED,
    ConnectionLost,
    SftpStatusError,
)
from roster_upload.transfer.protocol import STATVFS, Sftp

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
    (
        re.compile(r"no such|not found|not exist|cannot find|not a directory", re.I),
        Exit.REMOTE_PATH,
    ),
    (
        re.compile(r"permission|denied|not (allowed|permitted|authori)|forbidden|access", re.I),
        Exit.PERMISSION,
    ),
)
# Of several refusals of one file, the one that says most is told.
TELLING = (Exit.QUOTA, Exit.DISK_FULL, Exit.READ_ONLY, Exit.PERMISSION, Exit.REMOTE_PATH)
# Another name for the temporary file cures none of these.
NAMELESS = (Exit.QUOTA, Exit.DISK_FULL, Exit.READ_ONLY)
LEAST_ROOM_BYTES = 32_768  # of a disk that is not full

# What a temporary name may look like, the best first: some servers take `*.zip` only. The asterisk
# stands for a word of the feed's own.
TEMPORARY_NAMES = (".*.part", ".*{suffix}", "*{suffix}")

ADVICE = {
    Exit.REMOTE_PATH: "{folder} {is_what} on the server; compare remote_dir with the upload "
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
NO_ROOM = ". This server does not tell how much room it has: its disk, or the quota, may be full"
LOSSES = {
    Exit.VANISHED: "ended the connection",
    Exit.SILENT: "stopped answering",
    Exit.TRANSFER: "broke the protocol",
}
STEPS = {
    "list": "looking around",
    "make": "making the folder",
    "write": "writing",
    "close": "closing the file",
    "rename": "renaming",
    "verify": "verifying",
}


class RemoteDirectory:
    """The feed's folder on its server."""

    def __init__(self, sftp: Sftp, feed: Feed, info: ConnectionInfo, learned: str = "") -> None:
        """`learned` is the pattern of temporary names that the server is known to take."""
        self.sftp = sftp
        self.feed = feed
        self.info = info
        # Its own feed's leftovers only; another feed of the folder may be at work.
        own = hashlib.sha256(feed.feed.encode()).hexdigest()[:8]
        self.prefix = f"roster-upload-{own}-"
        self.folder = feed.remote_dir.rstrip("/")
        self.final = f"{self.folder}/{feed.remote_name}"
        suffix = PurePosixPath(feed.remote_name).suffix
        usual = [pattern.format(suffix=suffix) for pattern in TEMPORARY_NAMES]
        chosen = [feed.temporary_name] if feed.temporary_name else [learned, *usual]
        self.patterns = list(dict.fromkeys(filter(None, chosen)))  # the first is in use
        self.is_seen = False  # whether something was read or made in the folder
        self.pending = ""  # the last temporary path that was asked for, there or not
        self.is_missing = False  # whether it is known not to be there, and has to be made
        self.doing = STEPS["list"]

    @property
    def unusual_pattern(self) -> str:
        """The pattern in use, "" where it is the usual one."""
        return "" if self.patterns[0] == TEMPORARY_NAMES[0] else self.patterns[0]

    def use(self, pattern: str) -> None:
        """Give new temporary files such a name."""
        self.patterns = [pattern, *(other for other in self.patterns if other != pattern)]

    @property
    def aside(self) -> str:
        """The path of the old file while the new one takes its place."""
        return self._named("old")

    def temporary(self, what: str = "") -> str:
        """Return a new path for a file that is not to stay."""
        return self._named(f"{what}{secrets.token_hex(4)}")

    def _named(self, word: str) -> str:
        return f"{self.folder}/{self.patterns[0].replace('*', self.prefix + word, 1)}"

    def is_own(self, name: str, what: str = "") -> bool:
        """Whether a name is that of a temporary file of this feed, of the given sort."""
        return self.prefix + what in name and name != self.feed.remote_name

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A phase of an upload, which a failure in it names."""
        self.doing = STEPS[name]
        with self.info.phase(name):
            yield

    def names(self) -> list[str]:
        """Return the names in the folder, which is made where it is missing and the feed says so.

        Raise SftpStatusError.
        """
        with self.step("list"):
            try:
                names = self.sftp.names(self.folder)
            except SftpStatusError as refused:
                self._make(refused)
                names = self.sftp.names(self.folder)
        self.is_seen = True
        return names

    def look(self) -> list[str] | None:
        """Return the names as by `names`, None where the folder is there and cannot be listed.

        Such is the folder of an account that may only write. Raise SftpStatusError.
        """
        try:
            return self.names()
        except SftpStatusError:
            if self._state() != "there":
                raise
            return None

    def begin(self) -> tuple[Listing | None, str, bytes]:
        """Look into the folder, made as by `names`, and make a temporary file in it meanwhile.

        Return the names to come, None where they cannot be listed, the file's path and its handle.
        Raise SftpStatusError.
        """
        with self.step("list"):
            try:
                begun = self._begin()
            except SftpStatusError as refused:
                self._make(refused)
                begun = self._begin()
        self.is_seen = True
        return begun

    def _begin(self) -> tuple[Listing | None, str, bytes]:
        asked = Listing(self.sftp, self.folder)
        path = self.pending = self.temporary()
        number = self.sftp.post_create(path)
        refusals = []
        listing: Listing | None = asked
        try:
            asked.begin()
        except SftpStatusError as refused:
            refusals.append(refused)
            listing = None
        try:
            return listing, path, self.sftp.created(number)
        except SftpStatusError as refused:
            refusals.append(refused)
        if listing:
            asked.names()  # some servers open what is not there; then that is the cause
            self.is_seen, self.doing = True, STEPS["write"]
        path, handle = self.create(refusals=refusals)
        return None, path, handle

    def create(
        self, what: str = "", refusals: list[SftpStatusError] | None = None
    ) -> tuple[str, bytes]:
        """Make a temporary file under the first name that the server takes; return path and handle.

        `refusals` are those of names that were tried before. Raise SftpStatusError.
        """
        refusals = refusals or []
        waiting = self.patterns[len(refusals) and 1 :]
        for pattern in waiting:
            if refusals and meaning_of(refusals[-1]) in NAMELESS:
                break
            former = self.patterns[0]
            self.use(pattern)
            path = self.pending = self.temporary(what)
            try:
                return path, self.sftp.created(self.sftp.post_create(path))
            except SftpStatusError as refused:
                refusals.append(refused)
                self.use(former)
        raise most_telling(refusals)

    def _make(self, refused: SftpStatusError) -> None:
        """Make the folder where that was the cause of a refusal; raise it where not."""
        if not (self.feed.make_remote_dir and self._is_missing(refused)):
            raise refused
        self.is_missing, self.doing = True, STEPS["make"]
        parts = self.folder.split("/")
        for path in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if not path or self.sftp.is_there(path):
                continue
            try:
                self.sftp.make_folder(path)
            except SftpStatusError:
                if not self.sftp.is_there(path):  # another feed may have made it meanwhile
                    raise
        self.is_missing = False

    def _is_missing(self, refused: SftpStatusError) -> bool:
        """Whether a refusal means that there is no such folder: servers word it in many ways."""
        if self.is_seen:
            return False
        state = self._state()
        return state == "missing" or (
            state == "unknown" and meaning_of(refused) is Exit.REMOTE_PATH
        )

    def _state(self) -> str:
        """Return whether the folder is "there", "missing", a "file", or "unknown"."""
        try:
            seen = self.sftp.look(self.folder)
        except SftpStatusError as refused:
            is_missing = meaning_of(refused) is Exit.REMOTE_PATH
            return "missing" if is_missing else "unknown"
        return "file" if seen.is_no_folder else "there"

    def check_room(self, size: int) -> None:
        """Raise Failure where the server says that so many bytes find no room in the folder."""
        try:
            told = self.sftp.space(self.folder)
        except SftpStatusError:
            return
        if not told:
            return
        room, is_read_only = told
        host = self.feed.remote_host
        if is_read_only:
            why = "the server says so"
            text = ADVICE[Exit.READ_ONLY].format(folder=self.folder, why=why)
            raise Failure(Exit.READ_ONLY, f"{host}: {text}")
        if room < size:
            raise Failure(
                Exit.DISK_FULL,
                f"{host}: {self.folder} has room for {room:,} bytes, the file has {size:,}; the "
                "vendor has to make room",
            )

    def failure(self, *refusals: SftpStatusError) -> Failure:
        """Return what refusals of one file mean to an operator.

        The server is asked for evidence where they say little.
        """
        refused = most_telling(refusals)
        code, is_what = self._meaning(refused), "does not exist"
        state = "there" if self.is_seen else "unknown"
        if code in (Exit.REMOTE_PATH, Exit.PERMISSION, Exit.TRANSFER) and not (
            self.is_seen or self.is_missing
        ):
            with contextlib.suppress(*BROKEN):
                state = self._state()
        if state in ("missing", "file"):
            code = Exit.REMOTE_PATH
            is_what = "is a file, not a folder" if state == "file" else is_what
        elif state == "there" and code is Exit.REMOTE_PATH:
            code = Exit.TRANSFER  # the folder is there: something in it is not
        text = ADVICE[code].format(
            folder=self.folder,
            user=self.feed.username,
            doing=self.doing,
            why=refused,
            is_what=is_what,
        )
        hint = f". {NEW_LOGIN}" if code is Exit.PERMISSION and not self.is_seen else ""
        if code is Exit.TRANSFER and self.doing in (STEPS["write"], STEPS["close"]):
            hint = NO_ROOM if STATVFS not in self.sftp.extensions else hint
        return Failure(code, f"{self.feed.remote_host}: {text}{hint}")

    def _meaning(self, refused: SftpStatusError) -> Exit:
        code = meaning_of(refused)
        if code is not Exit.TRANSFER or refused.code != FAILURE:
            return code
        with contextlib.suppress(SftpStatusError, *BROKEN):
            # OpenSSH answers a full disk and a read-only one with a bare "Failure".
            if told := self.sftp.space(self.folder):
                room, is_read_only = told
                if is_read_only:
                    return Exit.READ_ONLY
                if room < LEAST_ROOM_BYTES:
                    return Exit.DISK_FULL
        return code

    def broken(self, error: ConnectionLost | struct.error) -> Failure:
        """Return what a lost conversation means to an operator."""
        code = error.code if isinstance(error, ConnectionLost) else Exit.TRANSFER
        where = f"{self.feed.remote_host} ({self.info.address})"
        why = error if isinstance(error, ConnectionLost) else "an answer was cut short"
        return Failure(code, f"{where} {LOSSES[code]} while {self.doing} ({why})")


def meaning_of(refused: SftpStatusError) -> Exit:
    """Return the exit code that a refusal stands for by itself."""
    if refused.code in MEANINGS:
        return MEANINGS[refused.code]
    found = (code for pattern, code in WORDS if pattern.search(refused.words))
    return next(found, Exit.TRANSFER)


def most_telling(refusals: tuple[SftpStatusError, ...] | list[SftpStatusError]) -> SftpStatusError:
    """Return the refusal that says most of why a file was refused, the first of equals."""

    def rank(refused: SftpStatusError) -> int:
        code = meaning_of(refused)
        return TELLING.index(code) if code in TELLING else len(TELLING)

    return min(refusals, key=rank)
