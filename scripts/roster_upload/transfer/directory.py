"""The feed's folder on the vendor's server: its names, and the meaning of refused requests."""

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

# Exit codes of refusals. Statuses of later protocol versions count, too. Words are second choice.
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
# If a file is refused several times, the message has the most specific refusal.
SPECIFIC = (Exit.QUOTA, Exit.DISK_FULL, Exit.READ_ONLY, Exit.PERMISSION, Exit.REMOTE_PATH)
# Another name for the temporary file does not help here.
NAMELESS = (Exit.QUOTA, Exit.DISK_FULL, Exit.READ_ONLY)
LEAST_ROOM_BYTES = 32_768  # a disk with less is full

# Patterns of temporary names, the best first. Some servers accept only `*.zip`. The asterisk is
# replaced by a prefix of the feed and a random word.
TEMPORARY_NAMES = (".*.part", ".*{suffix}", "*{suffix}")

ADVICE = {
    Exit.REMOTE_PATH: "{folder} {is_what} on the server. Compare remote_dir with the upload "
    "path that the vendor gave you",
    Exit.PERMISSION: "{doing} in {folder} is not allowed for {user}: {why}. Ask the vendor for "
    "permission to write, rename and delete there",
    Exit.READ_ONLY: "{folder} is on a read-only file system: {why}. Ask the vendor when it will be "
    "writable again",
    Exit.DISK_FULL: "the server's disk is full, {doing} in {folder} failed: {why}. Ask the vendor "
    "to free disk space",
    Exit.QUOTA: "the quota of {user} is used up, {doing} in {folder} failed: {why}. Ask the vendor "
    "for a larger quota",
    Exit.TRANSFER: "the server refused {doing} in {folder}: {why}. If it refuses again, ask the "
    "vendor",
}
LOGIN_ACCEPTED = "The login itself was accepted"
NO_ROOM = ". This server does not report its free space: its disk or the quota may be full"
LOSSES = {
    Exit.VANISHED: "ended the connection",
    Exit.SILENT: "stopped answering",
    Exit.TRANSFER: "broke the protocol",
}
STEPS = {
    "list": "listing files",
    "make": "making the folder",
    "write": "writing",
    "close": "closing the file",
    "rename": "renaming",
    "verify": "verifying",
}


class RemoteDirectory:
    """The feed's folder on its server."""

    def __init__(self, sftp: Sftp, feed: Feed, info: ConnectionInfo, learned: str = "") -> None:
        """Set up the names. `learned` is a pattern of temporary names that the server accepted."""
        self.sftp = sftp
        self.feed = feed
        self.info = info
        # Only this feed's leftovers are removed. Another feed may be using the same folder.
        own = hashlib.sha256(feed.feed.encode()).hexdigest()[:8]
        self.prefix = f"roster-upload-{own}-"
        self.folder = feed.remote_dir.rstrip("/")
        self.final = f"{self.folder}/{feed.remote_name}"
        suffix = PurePosixPath(feed.remote_name).suffix
        usual = [pattern.format(suffix=suffix) for pattern in TEMPORARY_NAMES]
        chosen = [feed.temporary_name] if feed.temporary_name else [learned, *usual]
        self.patterns = list(dict.fromkeys(filter(None, chosen)))  # the first is in use
        self.is_seen = False  # whether something was read or made in the folder
        self.pending = ""  # the last temporary path that was requested, whether it exists or not
        self.is_missing = False  # whether the folder does not exist and is being made
        self.doing = STEPS["list"]

    @property
    def unusual_pattern(self) -> str:
        """Return the pattern in use, "" for the usual one."""
        return "" if self.patterns[0] == TEMPORARY_NAMES[0] else self.patterns[0]

    def use(self, pattern: str) -> None:
        """Use this pattern for new temporary files."""
        self.patterns = [pattern, *(other for other in self.patterns if other != pattern)]

    @property
    def aside(self) -> str:
        """Return the path of the old file while the new one replaces it."""
        return self._path("old")

    def temporary(self, kind: str = "") -> str:
        """Return a new path for a temporary file."""
        return self._path(f"{kind}{secrets.token_hex(4)}")

    def _path(self, word: str) -> str:
        return f"{self.folder}/{self.patterns[0].replace('*', self.prefix + word, 1)}"

    def is_own(self, name: str, kind: str = "") -> bool:
        """Return whether a name belongs to a temporary file of this feed and of this kind."""
        return self.prefix + kind in name and name != self.feed.remote_name

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run the block as a step of the upload. Messages of failures name the step."""
        self.doing = STEPS[name]
        with self.info.phase(name):
            yield

    def names(self) -> list[str]:
        """Return the names in the folder. Raise SftpStatusError.

        Make a missing folder first, if the feed has `make_remote_dir`.
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
        """Return the names in the folder, None if it exists but cannot be listed.

        Some accounts may only write. Raise SftpStatusError.
        """
        try:
            return self.names()
        except SftpStatusError:
            if self._state() != "there":
                raise
            return None

    def begin(self) -> tuple[Listing | None, str, bytes]:
        """Request the names in the folder, and make a temporary file there at the same time.

        Make a missing folder first, as `names` does. Return the listing, the file's path and its
        handle. The listing is None if the folder cannot be listed. Raise SftpStatusError.
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
            return listing, path, self.sftp.take_handle(number)
        except SftpStatusError as refused:
            refusals.append(refused)
        if listing:
            asked.names()  # some servers open missing folders. This raises the real cause.
            self.is_seen, self.doing = True, STEPS["write"]
        path, handle = self.create(refusals=refusals)
        return None, path, handle

    def create(
        self, kind: str = "", refusals: list[SftpStatusError] | None = None
    ) -> tuple[str, bytes]:
        """Make a temporary file under the first name that the server accepts.

        Return its path and handle. `refusals` belong to names that were tried before. Raise
        SftpStatusError.
        """
        refusals = refusals or []
        waiting = self.patterns[len(refusals) and 1 :]
        for pattern in waiting:
            if refusals and meaning_of(refusals[-1]) in NAMELESS:
                break
            former = self.patterns[0]
            self.use(pattern)
            path = self.pending = self.temporary(kind)
            try:
                return path, self.sftp.take_handle(self.sftp.post_create(path))
            except SftpStatusError as refused:
                refusals.append(refused)
                self.use(former)
        raise most_specific(refusals)

    def _make(self, refused: SftpStatusError) -> None:
        """Make the folder if its absence caused a refusal. Otherwise raise the refusal."""
        if not (self.feed.make_remote_dir and self._is_missing(refused)):
            raise refused
        self.is_missing, self.doing = True, STEPS["make"]
        parts = self.folder.split("/")
        for path in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if not path or self.sftp.exists(path):
                continue
            try:
                self.sftp.make_folder(path)
            except SftpStatusError:
                if not self.sftp.exists(path):  # another feed may have made it meanwhile
                    raise
        self.is_missing = False

    def _is_missing(self, refused: SftpStatusError) -> bool:
        """Return whether a refusal means a missing folder. Servers word this in many ways."""
        if self.is_seen:
            return False
        state = self._state()
        return state == "missing" or (
            state == "unknown" and meaning_of(refused) is Exit.REMOTE_PATH
        )

    def _state(self) -> str:
        """Return whether the folder is "there", "missing", a "file", or "unknown"."""
        try:
            seen = self.sftp.stat(self.folder)
        except SftpStatusError as refused:
            is_missing = meaning_of(refused) is Exit.REMOTE_PATH
            return "missing" if is_missing else "unknown"
        return "file" if seen.is_no_folder else "there"

    def check_room(self, size: int) -> None:
        """Raise Failure if the server reports too little space for so many bytes."""
        try:
            space = self.sftp.space(self.folder)
        except SftpStatusError:
            return
        if not space:
            return
        room, is_read_only = space
        host = self.feed.remote_host
        if is_read_only:
            why = "the server reports it"
            text = ADVICE[Exit.READ_ONLY].format(folder=self.folder, why=why)
            raise Failure(Exit.READ_ONLY, f"{host}: {text}")
        if room < size:
            raise Failure(
                Exit.DISK_FULL,
                f"{host}: {self.folder} has room for {room:,} bytes, the file has {size:,}. Ask "
                "the vendor to free disk space",
            )

    def failure(self, *refusals: SftpStatusError) -> Failure:
        """Return the failure that explains refusals of one file to an operator.

        Ask the server for evidence if the refusals are vague.
        """
        refused = most_specific(refusals)
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
            code = Exit.TRANSFER  # the folder exists: something in it is missing
        text = ADVICE[code].format(
            folder=self.folder,
            user=self.feed.username,
            doing=self.doing,
            why=refused,
            is_what=is_what,
        )
        hint = ""
        if code is Exit.PERMISSION and not self.is_seen:
            hint = f". {LOGIN_ACCEPTED}. {self.feed.contact.new_session}"
        if code is Exit.TRANSFER and self.doing in (STEPS["write"], STEPS["close"]):
            hint = NO_ROOM if STATVFS not in self.sftp.extensions else hint
        return Failure(code, f"{self.feed.remote_host}: {text}{hint}")

    def _meaning(self, refused: SftpStatusError) -> Exit:
        code = meaning_of(refused)
        if code is not Exit.TRANSFER or refused.code != FAILURE:
            return code
        with contextlib.suppress(SftpStatusError, *BROKEN):
            # OpenSSH answers "Failure" for a full disk and for a read-only one.
            if space := self.sftp.space(self.folder):
                room, is_read_only = space
                if is_read_only:
                    return Exit.READ_ONLY
                if room < LEAST_ROOM_BYTES:
                    return Exit.DISK_FULL
        return code

    def broken(self, error: ConnectionLost | struct.error) -> Failure:
        """Return the failure that explains a lost connection to an operator."""
        code = error.code if isinstance(error, ConnectionLost) else Exit.TRANSFER
        where = f"{self.feed.remote_host} ({self.info.address})"
        why = error if isinstance(error, ConnectionLost) else "an answer was cut short"
        return Failure(code, f"{where} {LOSSES[code]} while {self.doing} ({why})")


def meaning_of(refused: SftpStatusError) -> Exit:
    """Return the exit code of a refusal, without asking the server."""
    if refused.code in MEANINGS:
        return MEANINGS[refused.code]
    found = (code for pattern, code in WORDS if pattern.search(refused.words))
    return next(found, Exit.TRANSFER)


def most_specific(refusals: tuple[SftpStatusError, ...] | list[SftpStatusError]) -> SftpStatusError:
    """Return the refusal with the most specific cause, the first of equals."""

    def rank(refused: SftpStatusError) -> int:
        code = meaning_of(refused)
        return SPECIFIC.index(code) if code in SPECIFIC else len(SPECIFIC)

    return min(refusals, key=rank)
