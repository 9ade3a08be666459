"""Writes a zip whose bytes depend on its content only. A separate thread compresses it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from roster_upload.host.memory import start_thread

LEVEL = 1  # of zlib: the fastest, and a roster is small on the wire
STAMP = (1980, 1, 1, 0, 0, 0)
PARTS_AHEAD = 8
LOOK_SECONDS = 0.5  # between two checks whether the thread is alive
LARGEST_WITHOUT_ZIP64 = 1 << 30


class PackageWriter:
    """A new zip file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raise FileExistsError, or another OSError."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)

    def __enter__(self) -> PackageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            self._zip.close()

    def add(self, name: str, parts: Iterable[bytes], size: int) -> None:
        """Add a member of about `size` bytes. Raise OSError, and errors of the parts."""
        info = zipfile.ZipInfo(name, STAMP)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3  # always Unix
        info.external_attr = 0o600 << 16
        is_large = size > LARGEST_WITHOUT_ZIP64
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # duplicate names are kept
            with self._zip.open(info, "w", force_zip64=is_large) as member, Packer(member) as out:
                for part in parts:
                    out.put(part)


class Packer:
    """A thread that compresses a member. zlib releases the interpreter's lock meanwhile."""

    def __init__(self, member: object) -> None:
        self._write = member.write  # type: ignore[attr-defined]
        self._waiting: queue.Queue[bytes] = queue.Queue(PARTS_AHEAD)
        self._error: BaseException | None = None
        self._is_packed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Packer:
        start_thread(self._thread)
        return self

    def put(self, part: bytes) -> None:
        """Add some bytes. Raise the error that earlier ones caused."""
        if self._error:
            raise self._error
        if part:
            self._hand_over(part)

    def _hand_over(self, part: bytes) -> None:
        """Pass bytes to the thread. Raise MemoryError if it has ended without an error."""
        while True:
            is_alive = self._thread.is_alive()
            with contextlib.suppress(queue.Full):
                self._waiting.put(part, timeout=LOOK_SECONDS if is_alive else 0)
                return
            if not is_alive:
                raise MemoryError

    def _run(self) -> None:
        while part := self._waiting.get():
            if self._error is None:
                try:
                    self._write(part)
                except Exception as error:  # noqa: BLE001 - `put` or `__exit__` raises it
                    self._error = error
        self._is_packed = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(MemoryError):  # the thread has already ended
            self._hand_over(b"")
        self._thread.join()
        if error:
            return
        if self._error:
            raise self._error
        if not self._is_packed:
            raise MemoryError
