"""Tests a server's capabilities with small files, which it removes again."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io

from roster_upload.config import Feed
from roster_upload.transfer.connect import remote_directory
from roster_upload.transfer.directory import NAMELESS, RemoteDirectory, meaning_of, most_specific
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import BROKEN, POSIX_RENAME, SftpStatusError
from roster_upload.transfer.profile import IN_PLACE, MOVE_ASIDE, Profile
from roster_upload.transfer.writer import write

SAMPLE = b"roster-upload tests this server's capabilities. This file is removed at once.\n"
# This server computes hashes, but announces it only to later versions of SFTP. Some others hang up
# on the request, so they are asked only if they announce it.
HASHES_UNANNOUNCED = "mod_sftp"


def probe(
    feed: Feed, secret: bytes, info: ConnectionInfo, *, limit: float | None = None
) -> Profile:
    """Log in once and test the server's capabilities. Raise Failure.

    The file under the final name is not touched.
    """
    with remote_directory(feed, secret, info, limit=limit) as directory:
        return Probe(directory).run()


def learn(directory: RemoteDirectory) -> Profile | None:
    """Return the server's capabilities before an upload, None if it refuses the test."""
    doing = directory.doing
    try:
        return Probe(directory).run()
    except SftpStatusError:
        return None  # the upload fails with a better message
    finally:
        directory.doing = doing
        directory.sftp.go_on()


def inspect(directory: RemoteDirectory, profile: Profile | None, size: int) -> None:
    """Check the folder and the free space for an upload of so many bytes.

    Write a small file only if the feed has `verify_by_writing`. Raise SftpStatusError or Failure.
    """
    if directory.feed.verify_by_writing:
        Probe(directory).write()
    elif not profile or profile.lists:
        directory.look()
    directory.check_room(size)


class Probe:
    """Tests a server's capabilities with small files under temporary names."""

    def __init__(self, directory: RemoteDirectory) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.made: list[str] = []
        self.has_size = False  # whether the server reports an open file's size
        self.can_list = True

    def run(self) -> Profile:
        """Run all tests and remove their files. Return the profile. Raise SftpStatusError."""
        directory, info = self.directory, self.directory.info
        try:
            self._remove_leftovers()
            path = self._put()
            with directory.step("verify"):
                is_taken, size = self._look(path)
            # If names cannot be listed, a file that seems to be gone may exist: it is renamed.
            method = IN_PLACE if is_taken and self.can_list else self._find_method(path)
            is_taken = is_taken and method == IN_PLACE
            has_hash = not is_taken and self._has_hash()
            with contextlib.suppress(*BROKEN):
                self._remove_all()
            return Profile(
                server=info.server,
                extensions=info.extensions,
                login=info.method,
                rename=method,
                stat_after_close=size is not None,
                takes_on_close=is_taken,
                sizes=self.has_size or size is not None,
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
        """Write a small file and remove it. Raise SftpStatusError if the account may not."""
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
        computed = None
        with self.directory.step("verify"), contextlib.suppress(*BROKEN):
            computed = self.sftp.sha256(path)
        return computed == hashlib.sha256(SAMPLE).hexdigest()

    def _remove_leftovers(self) -> None:
        """Remove the files of an interrupted probe. Uploads remove their own files."""
        names: list[str] | None = None
        with contextlib.suppress(SftpStatusError):  # writing shows whether the folder is usable
            names = self.directory.look()
        self.can_list = names is not None
        for name in names or []:
            if self.directory.is_own(name, "probe-"):
                with contextlib.suppress(SftpStatusError):
                    self.sftp.remove(f"{self.directory.folder}/{name}")

    def _put(self) -> str:
        """Write a small file under a name that the server accepts. Return its path."""
        refusals = []
        patterns = list(self.directory.patterns)
        for pattern in patterns:
            self.directory.use(pattern)
            try:
                return self._put_one()
            except SftpStatusError as refused:  # some servers refuse a name only at the closing
                refusals.append(refused)
                if meaning_of(refused) in NAMELESS:
                    break
        self.directory.use(patterns[0])
        raise most_specific(refusals)

    def _put_one(self) -> str:
        path = self.directory.temporary("probe-")
        with self.directory.step("write"):
            self.made.append(path)  # before it exists, since a signal may come right after
            handle = self.sftp.take_handle(self.sftp.post_create(path))
            write(self.sftp, handle, io.BytesIO(SAMPLE))
            self.has_size |= self.sftp.size_of(handle) is not None
        with self.directory.step("close"):
            self.sftp.close(handle)
        return path

    def _look(self, path: str) -> tuple[bool, int | None]:
        """Return whether a file is gone, and its size if the server reports it."""
        try:
            return False, self.sftp.size(path)
        except SftpStatusError:
            return True, None

    def _find_method(self, path: str) -> str:
        """Return the first method by which a file replaces another one, else IN_PLACE."""
        offers_posix = POSIX_RENAME in self.sftp.extensions
        other = self._put()
        # Method, request, and the file's new name: an existing one, or an unused one.
        methods = (
            ("posix-rename", self.sftp.posix_rename, other),
            ("rename", self.sftp.rename, other),
            (MOVE_ASIDE, self.sftp.rename, self.directory.temporary("probe-")),
        )
        for method, rename, to in methods[0 if offers_posix else 1 :]:
            with self.directory.step("rename"), contextlib.suppress(SftpStatusError):
                rename(path, to)
                if self._is_gone(path):
                    self.made = [*dict.fromkeys(to if one == path else one for one in self.made)]
                    return method
        return IN_PLACE

    def _is_gone(self, path: str) -> bool:
        """Return whether a renaming was done, as far as the server shows it."""
        names = self.directory.look() if self.can_list else None
        if names is not None:
            return path.rpartition("/")[2] not in names
        try:
            self.sftp.stat(path)
        except SftpStatusError:
            return True
        return False

    def _remove_all(self) -> None:
        while self.made:
            with contextlib.suppress(SftpStatusError):  # it is gone, or must stay
                self.sftp.remove(self.made[-1])
            self.made.pop()
