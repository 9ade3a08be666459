"""Brings one file to its place on the server, by way of a temporary name beside it."""

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
from roster_upload.transfer.profile import IN_PLACE, RENAME_METHODS, Profile
from roster_upload.transfer.rename import Renaming
from roster_upload.transfer.verify import Verification, finishing
from roster_upload.transfer.watchdog import Times
from roster_upload.transfer.writer import Pace, write

UNKNOWN = object()  # a file's state that the server does not tell


class UploadFailure(Failure):
    """An upload that failed: `tried` are the ways to the final name that the server refused."""

    def __init__(self, failure: Failure, holds: Holds, tried: set[str]) -> None:
        super().__init__(failure.code, f"{failure.message}; {holds.words}")
        self.tried = tried


@dataclass
class Delivered:
    """What is known of a file that has arrived.

    `verified` is by what: "hash", "size", "answers" (the server hides sizes, but has acknowledged
    each request) or "taken" (so it has, and took the file away at once).
    """

    bytes: int | None  # None where the server does not tell
    method: str  # one of RENAME_METHODS, or IN_PLACE
    verified: str = "size"


class AtomicUpload:
    """One upload; the final name holds the old file or the new one, whole, as far as may be."""

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
        self.way = profile.rename if profile else RENAME_METHODS[0]  # the first to be tried
        self.restores_first = restores_first or self.way == "aside"
        self.target = directory.final if self.way == IN_PLACE else ""
        self.before: object = UNKNOWN  # state of the final name, where it is written over
        self.is_partial = False  # whether the target is there, but of no use, and may be removed
        self.is_tidy = False  # whether a broken upload's leftovers were looked for
        self.refusals: list[SftpStatusError] = []  # of the present file, while it is written
        self.tried: set[str] = set()  # ways to the final name that were refused

    def run(self, source: Path, size: int) -> Delivered:
        """Send, rename and verify; raise UploadFailure.

        What the vendor has is what a try before has left, until something changes it.
        """
        try:
            if self.way == IN_PLACE:
                written = self._write_in_place(source, size)
                return self._verified(self._verification(size), written, IN_PLACE)
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
        is_hashed = verification.is_hashed(self.target)  # while the old file is still there
        renaming = Renaming(self.directory, self.target, self.way)
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
        return self._verified(verification, before, method, seen=renaming.seen, is_hashed=is_hashed)

    def _verification(self, size: int) -> Verification:
        return Verification(self.directory, size, self.sha256 if self.asks_hash else "")

    # ---- writing -------------------------------------------------------------------------------

    def _write_temporary(self, source: Path, size: int, verification: Verification) -> int | None:
        """Write the temporary file; return the size that the server has for it.

        It is looked at and closed without waiting for the last writes: all answers are checked
        before it is renamed.
        """
        listing, self.target, handle = self.directory.begin()
        self.is_partial = True
        if self.restores_first:
            self._tidy(listing)
            listing = None
        asked: list[int] = []  # for the size, and to close the file
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
        """Write over the final name; return the size that the server tells of it then.

        Some servers show a file only once it is closed: what they tell before is of the old one.
        """
        final = self.directory.final
        with contextlib.suppress(SftpStatusError):  # the writing tells what is wrong
            self._tidy_names(self.directory.look() or [])
        self.before = before = self._state(final)
        with self.directory.step("write"):
            self.info.holds = Holds.PART
            try:
                handle = self.sftp.created(self.sftp.post_create(final))
            except SftpStatusError:
                self.info.holds = Holds.OLD
                raise
            there = self._state(final)
            # Whether the old file is seen to be gone, so that nothing is lost by a removal.
            self.is_partial = there not in (None, before, UNKNOWN)
            if there == before and there not in (None, UNKNOWN):
                self.info.holds = Holds.UNKNOWN  # the server shows the new file once it is closed
            with source.open("rb") as data:
                try:
                    self._write(handle, data)
                except SftpStatusError as refused:  # not closed, which would make it the new file
                    self.refusals.append(refused)
                    raise
        with self.directory.step("close"), finishing(self.sftp, size):
            self._take_closing(self.sftp.post(CLOSE, handle))
        self.is_partial = False
        return size

    def _state(self, path: str) -> object:
        """Return size and time of a file, None where there is none, UNKNOWN where not told."""
        try:
            state = self.sftp.look(path).state
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
        """Note what the server says to the closing: it may tell why a write was refused."""
        with contextlib.suppress(SftpStatusError):
            self._take_closing(number)

    # ---- leftovers -----------------------------------------------------------------------------

    def _tidy(self, listing: Listing | None) -> None:
        """Remove what a broken upload left in the folder, where its names are told."""
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
                    self.sftp.rename(path, directory.final)  # the only whole file that there is
                    self.info.holds = Holds.OLD
                else:
                    self.sftp.remove(path)

    def _drop(self) -> None:
        """Remove a partial file where the connection still lives; else the next run does."""
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

    # ---- what has arrived ----------------------------------------------------------------------

    def _verified(
        self,
        verification: Verification,
        before: int | None,
        method: str,
        *,
        seen: int | None = None,
        is_hashed: bool = False,
    ) -> Delivered:
        """Compare the file in its place with what was sent; return what is known of it."""
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
        """Return the failure of a renaming that was acknowledged and not done."""
        self.is_partial = True
        self.info.holds = Holds.OLD
        return Failure(
            Exit.VERIFY,
            f"{self.directory.feed.remote_host} acknowledged the renaming to "
            f"{self.directory.final}, but did not do it",
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
    """Deliver a file of `size` bytes to the feed's place on its server; return what is known of it.

    `info` is filled on the way; `info.holds` says what the vendor has, wherever it ends. `profile`
    says by which way of renaming to begin, or to write in place. With `learns` the server's ways
    are tried where there is none, or where none of them works any more: `info.learned`. With
    `restores_first` an old file that a broken run left aside is put back before anything is sent.
    `sha256`, in hexadecimal, is compared where the server computes it; `progress` is told the bytes
    that the server has acknowledged; `limit` is what all may take, in seconds. Raise Failure.
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
            # None of the ways works any more that were learned, or begun with.
            if has_learned or not (learns and failure.tried):
                raise
            directory.sftp.go_on()
            learned = learn(directory)
            info.learned = learned or info.learned
            if not learned or learned.rename in failure.tried:
                raise
            profile = learned
            return run()
