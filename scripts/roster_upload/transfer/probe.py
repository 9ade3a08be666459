"""Learns a server's ways on small files, which it removes again."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io

from roster_upload.config import Feed
from roster_upload.transfer.connect import remote_directory
from roster_upload.transfer.directory import NAMELESS, RemoteDirectory, meaning_of, most_telling
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import BROKEN, POSIX_RENAME, SftpStatusError
from roster_upload.transfer.profile import IN_PLACE, Profile
from roster_upload.transfer.writer import write

SAMPLE = b"roster-upload looks at the ways of this server; this file goes away at once.\n"
# It computes hashes and announces that to later versions of SFTP only. Others hang up on the
# question, so they are asked where they announce it.
HASHES_UNANNOUNCED = "mod_sftp"


def probe(
    feed: Feed, secret: bytes, info: ConnectionInfo, *, limit: float | None = None
) -> Profile:
    """Log in once and learn the server's ways; the final name is not touched. Raise Failure."""
    with remote_directory(feed, secret, info, limit=limit) as directory:
        return Probe(directory).run()


def learn(directory: RemoteDirectory) -> Profile | None:
    """Learn the server's ways before an upload, None where it refuses what that takes."""
    doing = directory.doing
    try:
        return Probe(directory).run()
    except SftpStatusError:
        return None  # the upload tells better what is wrong
    finally:
        directory.doing = doing
        directory.sftp.go_on()


def inspect(directory: RemoteDirectory, profile: Profile | None, size: int) -> None:
    """Look whether an upload of so many bytes would find its place; raise SftpStatusError, Failure.

    A small file is written where the feed says so, and nothing else.
    """
    if directory.feed.verify_by_writing:
        Probe(directory).write()
    elif not profile or profile.lists:
        directory.look()
    directory.check_room(size)


class Probe:
    """Small files under temporary names, and what a server does to them."""

    def __init__(self, directory: RemoteDirectory) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.made: list[str] = []
        self.can_tell_size = False
        self.can_list = True

    def run(self) -> Profile:
        """Try all and tidy up; return what was learned. Raise SftpStatusError."""
        directory, info = self.directory, self.directory.info
        try:
            self._remove_leftovers()
            path = self._put()
            with directory.step("verify"):
                is_taken, size = self._look(path)
            # Where nothing can be listed, a file that is not seen may be there: it is renamed.
            way = IN_PLACE if is_taken and self.can_list else self._way(path)
            is_taken = is_taken and way == IN_PLACE
            has_hash = not is_taken and self._has_hash()
            with contextlib.suppress(*BROKEN):
                self._remove_all()
            return Profile(
                server=info.server,
                extensions=info.extensions,
                login=info.method,
                rename=way,
                stat_after_close=size is not None,
                takes_on_close=is_taken,
                sizes=self.can_tell_size or size is not None,
                hash=has_hash,
                learned=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                temporary_name=directory.unusual_pattern,
                lists=self.can_list,
            )
        finally:
            with contextlib.suppress(*BROKEN):
                if self.made:
                    self.sftp.hurry()
                    self._remove_all()

    def write(self) -> None:
        """Write a small file and remove it: whether the account may. Raise SftpStatusError."""
        try:
            self._put()
        except BaseException:
            self.sftp.hurry()
            raise
        finally:
            with contextlib.suppress(*BROKEN):
                self._remove_all()

    def _has_hash(self) -> bool:
        """Return whether the server computes a file's SHA-256."""
        if not (self.sftp.offers_hash or HASHES_UNANNOUNCED in self.directory.info.server):
            return False
        path = self.made[-1] if self.made else self._put()
        told = None
        with self.directory.step("verify"), contextlib.suppress(*BROKEN):
            told = self.sftp.sha256(path)
        return told == hashlib.sha256(SAMPLE).hexdigest()

    def _remove_leftovers(self) -> None:
        """Remove what a probe has left that was cut off; an upload's own are its matter."""
        names: list[str] | None = None
        with contextlib.suppress(SftpStatusError):  # it is tried by writing
            names = self.directory.look()
        self.can_list = names is not None
        for name in names or []:
            if self.directory.is_own(name, "probe-"):
                with contextlib.suppress(SftpStatusError):
                    self.sftp.remove(f"{self.directory.folder}/{name}")

    def _put(self) -> str:
        """Write a small file under a name that the server takes; return its path."""
        refusals = []
        patterns = list(self.directory.patterns)
        for pattern in patterns:
            self.directory.use(pattern)
            try:
                return self._put_one()
            except SftpStatusError as refused:  # some say so of a name only when it is closed
                refusals.append(refused)
                if meaning_of(refused) in NAMELESS:
                    break
        self.directory.use(patterns[0])
        raise most_telling(refusals)

    def _put_one(self) -> str:
        path = self.directory.temporary("probe-")
        with self.directory.step("write"):
            self.made.append(path)  # before it is: a signal may come behind that
            handle = self.sftp.created(self.sftp.post_create(path))
            write(self.sftp, handle, io.BytesIO(SAMPLE))
            self.can_tell_size |= self.sftp.size_of(handle) is not None
        with self.directory.step("close"):
            self.sftp.close(handle)
        return path

    def _look(self, path: str) -> tuple[bool, int | None]:
        """Return whether a file is gone, and its size where the server tells it."""
        try:
            return False, self.sftp.size(path)
        except SftpStatusError:
            return True, None

    def _way(self, path: str) -> str:
        """Return the first way by which a file takes another's place, else IN_PLACE."""
        offers_posix = POSIX_RENAME in self.sftp.extensions
        other = self._put()
        # The way, how, and the name that a file is given: one in use, or a free one.
        ways = (
            ("posix-rename", self.sftp.posix_rename, other),
            ("rename", self.sftp.rename, other),
            ("aside", self.sftp.rename, self.directory.temporary("probe-")),
        )
        for way, rename, to in ways[0 if offers_posix else 1 :]:
            with self.directory.step("rename"), contextlib.suppress(SftpStatusError):
                rename(path, to)
                if self._is_gone(path):
                    self.made = [*dict.fromkeys(to if one == path else one for one in self.made)]
                    return way
        return IN_PLACE

    def _is_gone(self, path: str) -> bool:
        """Return whether a renaming was done, as far as the server lets anyone look."""
        names = self.directory.look() if self.can_list else None
        if names is not None:
            return path.rpartition("/")[2] not in names
        try:
            self.sftp.look(path)
        except SftpStatusError:
            return True
        return False

    def _remove_all(self) -> None:
        while self.made:
            with contextlib.suppress(SftpStatusError):  # it is gone, or may not be removed
                self.sftp.remove(self.made[-1])
            self.made.pop()
