"""Uploads one file under a temporary name and renames it to the final name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.transfer.connect import remote_directory
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo, Holds
from roster_upload.transfer.listing import Listing
from roster_upload.transfer.messages import (
    BROKEN,
    CLOSE,
    FSTAT,
    NO_SUCH_FILE,
    SftpStatusError,
)
from roster_upload.transfer.probe import learn
from roster_upload.transfer.profile import IN_PLACE, MOVE_ASIDE, RENAME_METHODS, Profile
from roster_upload.transfer.rename import Renaming
from roster_upload.transfer.verify import Verification, finishing
from roster_upload.transfer.watchdog import Times
from roster_upload.transfer.writer import Pace, write

UNKNOWN = object()  # a file's state that the server does not report


class UploadFailure(Failure):
    """A failed upload. `tried` has the rename methods that the server refused."""

    def __init__(self, failure: Failure, holds: Holds, tried: set[str]) -> None:
        super().__init__(failure.code, f"{failure.message}. {holds.words}")
        self.tried = tried


@dataclass
class Delivered:
    """A delivered file.

    `verified` names the evidence: "hash", "size", "answers" or "taken". With "answers" the server
    hides sizes, but has acknowledged each request. With "taken" it has done so, too, and took the
    file away at once.
    """

    bytes: int | None  # None if the server does not report it
    method: str  # one of RENAME_METHODS, or IN_PLACE
    verified: str = "size"


class AtomicUpload:
    """One upload. If the server allows it, the final name always has a whole file, old or new."""

    def __init__(
        self,
        directory: RemoteDirectory,
        *,
        profile: Profile | None = None,
        sha256: str = "",
        progress: Callable[[int], None] | None = None,
        restores_first: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.directory = directory
        self.sftp = directory.sftp
        self.info = directory.info
        self.sha256 = sha256
        self.progress = progress
        self.pace = pace
        self.asks_hash = bool(sha256) and (profile.hash if profile else self.sftp.offers_hash)
        self.method = profile.rename if profile else RENAME_METHODS[0]  # the first to be tried
        self.restores_first = restores_first or self.method == MOVE_ASIDE
        self.target = directory.final if self.method == IN_PLACE else ""
        self.before: object = UNKNOWN  # state of the final name before it is written over
        self.is_partial = False  # whether the target is a useless file that may be removed
        self.is_tidy = False  # whether a broken upload's leftovers were searched
        self.refusals: list[SftpStatusError] = []  # while the current file is written
        self.tried: set[str] = set()  # rename methods that were refused

    def run(self, source: Path, size: int) -> Delivered:
        """Send, rename and verify. Raise UploadFailure.

        `info.holds` stays as an earlier try has set it, until this one changes the vendor's file.
        """
        try:
            if self.method == IN_PLACE:
                written = self._write_in_place(source, size)
                return self._verify(self._verification(size), written, IN_PLACE)
            return self._run_by_renaming(source, size)
        except SftpStatusError as refused:
            failure = self.directory.failure(*(self.refusals or [refused]))
        except BROKEN as error:
            failure = self.directory.broken(error)
        except Failure as known:
            failure = known
        except BaseException:
            self._drop()
            raise
        self._drop()
        raise UploadFailure(failure, self.info.holds, self.tried)

    def _run_by_renaming(self, source: Path, size: int) -> Delivered:
        verification = self._verification(size)
        before = self._write_temporary(source, size, verification)
        is_hashed = verification.is_hashed(self.target)  # before the old file is replaced
        renaming = Renaming(self.directory, self.target, self.method)
        with self.directory.step("rename"), finishing(self.sftp, size):
            try:
                method = renaming.run()
            except (SftpStatusError, Failure):
                self.tried = renaming.tried
                raise
        self.is_partial = False
        with self.directory.step("verify"):
            if not verification.is_renamed(renaming.left, self.target):
                raise self._not_renamed()
        return self._verify(verification, before, method, seen=renaming.seen, is_hashed=is_hashed)

    def _verification(self, size: int) -> Verification:
        return Verification(self.directory, size, self.sha256 if self.asks_hash else "")

    # ---- writing -------------------------------------------------------------------------------

    def _write_temporary(self, source: Path, size: int, verification: Verification) -> int | None:
        """Write the temporary file. Return the size that the server reports.

        The size and the closing are requested before the last writes are answered. All answers are
        checked before the renaming.
        """
        listing, self.target, handle = self.directory.begin()
        self.is_partial = True
        if self.restores_first:
            self._tidy(listing)
            listing = None
        asked: list[int] = []  # requests for the size and the closing
        with self.directory.step("write"), source.open("rb") as data:
            try:
                self._write(
                    handle,
                    data,
                    meanwhile=lambda: self._tidy(listing),
                    then=lambda: asked.extend(
                        self.sftp.post(kind, handle) for kind in (FSTAT, CLOSE)
                    ),
                )
            except SftpStatusError as refused:
                self.refusals.append(refused)
                self._refuse_closing(asked[1] if asked else self.sftp.post(CLOSE, handle))
                raise
        with self.directory.step("close"), finishing(self.sftp, size):
            self._take_closing(asked[1])
        there = None
        with contextlib.suppress(SftpStatusError):
            there = verification.size(asked[0], self.target)
        verification.check_size(there, "the file as written")
        return there

    def _write_in_place(self, source: Path, size: int) -> int | None:
        """Write over the file under the final name. Return the number of bytes.

        Some servers show a file only after the closing. Before, they report on the old file.
        """
        final = self.directory.final
        with contextlib.suppress(SftpStatusError):  # the writing fails with a better message
            self._tidy_names(self.directory.look() or [])
        self.before = before = self._state(final)
        with self.directory.step("write"):
            self.info.holds = Holds.PART
            try:
                handle = self.sftp.take_handle(self.sftp.post_create(final))
            except SftpStatusError:
                self.info.holds = Holds.OLD
                raise
            there = self._state(final)
            # If the old file is visibly gone, removing the new one loses nothing.
            self.is_partial = there not in (None, before, UNKNOWN)
            if there == before and there not in (None, UNKNOWN):
                self.info.holds = Holds.UNKNOWN  # the server shows the new file after the closing
            with source.open("rb") as data:
                try:
                    self._write(handle, data)
                except SftpStatusError as refused:  # closing it might make it the new file
                    self.refusals.append(refused)
                    raise
        with self.directory.step("close"), finishing(self.sftp, size):
            self._take_closing(self.sftp.post(CLOSE, handle))
        self.is_partial = False
        return size

    def _state(self, path: str) -> object:
        """Return size and time of a file, None if it is missing, UNKNOWN if not reported."""
        try:
            state = self.sftp.stat(path).state
        except SftpStatusError as refused:
            return None if refused.code == NO_SUCH_FILE else UNKNOWN
        return UNKNOWN if state == (None, None) else state

    def _write(
        self,
        handle: bytes,
        data: BinaryIO,
        meanwhile: Callable[[], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        write(
            self.sftp, handle, data, self.progress,
            meanwhile=meanwhile, then=then, pace=self.pace,
        )  # fmt: skip

    def _take_closing(self, number: int) -> None:
        try:
            self.sftp.take(number)
        except SftpStatusError as refused:
            self.refusals.append(refused)
            raise

    def _refuse_closing(self, number: int) -> None:
        """Keep the refusal of the closing, which may explain why a write was refused."""
        with contextlib.suppress(SftpStatusError):
            self._take_closing(number)

    # ---- leftovers -----------------------------------------------------------------------------

    def _tidy(self, listing: Listing | None) -> None:
        """Remove a broken upload's leftovers, if the folder can be listed."""
        if not listing:
            return
        doing = self.directory.doing
        with self.directory.step("list"), contextlib.suppress(SftpStatusError):
            self._tidy_names(listing.names())
        self.directory.doing = doing

    def _tidy_names(self, names: list[str]) -> None:
        directory = self.directory
        self.is_tidy = True
        for name in filter(directory.is_own, names):
            path = f"{directory.folder}/{name}"
            if path == self.target:
                continue
            with contextlib.suppress(SftpStatusError):
                if directory.is_own(name, "old") and directory.feed.remote_name not in names:
                    self.sftp.rename(path, directory.final)  # the only whole file
                    self.info.holds = Holds.OLD
                else:
                    self.sftp.remove(path)

    def _drop(self) -> None:
        """Remove a partial file if the connection still works. Otherwise the next run does."""
        with contextlib.suppress(SftpStatusError, *BROKEN):
            self.sftp.hurry()
            partial = (
                self.target if self.is_partial else "" if self.target else self.directory.pending
            )
            if partial:
                with contextlib.suppress(SftpStatusError):
                    self.sftp.remove(partial)
            elif self.before not in (None, UNKNOWN) and self._state(self.target) == self.before:
                self.info.holds = Holds.OLD
            if self.directory.is_seen and not self.is_tidy:
                self._tidy_names(self.sftp.names(self.directory.folder))

    # ---- verification --------------------------------------------------------------------------

    def _verify(
        self,
        verification: Verification,
        before: int | None,
        method: str,
        *,
        seen: int | None = None,
        is_hashed: bool = False,
    ) -> Delivered:
        """Compare the file under the final name with the sent one. Return the result."""
        self.info.holds = Holds.NEW
        final = self.directory.final
        with self.directory.step("verify"):
            try:
                there = verification.size(seen, final)
            except SftpStatusError:
                return Delivered(before, method, "taken")
            verification.check_size(there, final)
            if is_hashed or verification.is_hashed(final):
                return Delivered(there, method, "hash")
        return Delivered(there, method, "answers" if there is None else "size")

    def _not_renamed(self) -> Failure:
        """Return the failure of a renaming that was acknowledged but not done."""
        self.is_partial = True
        self.info.holds = Holds.OLD
        return Failure(
            Exit.VERIFY,
            f"{self.directory.feed.remote_host} acknowledged the renaming to "
            f"{self.directory.final}, but did not rename the file",
        )


def deliver(
    feed: Feed,
    secret: bytes,
    source: Path,
    size: int,
    info: ConnectionInfo,
    *,
    profile: Profile | None = None,
    learns: bool = False,
    restores_first: bool = False,
    sha256: str = "",
    progress: Callable[[int], None] | None = None,
    limit: float | None = None,
    times: Times | None = None,
    pace: Pace | None = None,
) -> Delivered:
    """Deliver a file to the feed's folder on its server. Raise Failure.

    size            the file's bytes
    info            filled during the delivery. `info.holds` is right even after a failure.
    profile         the server's capabilities: the first rename method, or writing in place
    learns          probes the server if there is no profile, or if its method no longer works.
                    The result is in `info.learned`.
    restores_first  puts back an old file that a broken run left aside, before sending
    sha256          hexadecimal, compared if the server computes hashes
    progress        called with the number of bytes that the server has acknowledged
    limit           seconds for the whole delivery
    """
    with remote_directory(
        feed, secret, info, profile=profile, limit=limit, times=times
    ) as directory:
        has_learned = False
        if learns and not profile:
            profile = info.learned = learn(directory)
            has_learned = bool(profile)

        def run() -> Delivered:
            return AtomicUpload(
                directory, profile=profile, sha256=sha256.lower(), progress=progress,
                restores_first=restores_first, pace=pace,
            ).run(source, size)  # fmt: skip

        try:
            return run()
        except UploadFailure as failure:
            # The profile's rename methods no longer work.
            if has_learned or not (learns and failure.tried):
                raise
            directory.sftp.go_on()
            learned = learn(directory)
            info.learned = learned or info.learned
            if not learned or learned.rename in failure.tried:
                raise
            profile = learned
            return run()
