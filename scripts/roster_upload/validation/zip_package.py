"""Open a package's zip for reading, if it has exactly one reading and no hidden bytes."""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

from roster_upload.validation.zip_layout import Ambiguous, Entry, read_layout

ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PACKED_AT_ONCE = 1 << 16
BUFFER_BYTES = 1 << 16
# Readers of streams find the end of a stored file by these marks, if its size follows it.
RECORD = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x07\x08)")
RECORD_BYTES = 4


class ZipPackage(zipfile.ZipFile):
    """A zip in which every reader finds the same files."""

    def __init__(self, path: Path) -> None:
        """Open a zip. Raise OSError, BadZipFile or any other error of `zipfile`.

        The BadZipFile is Ambiguous if two readers may find different files, and TooLarge if the
        list of members is too long.
        """
        with path.open("rb") as file:
            entries = read_layout(file.fileno())
        super().__init__(path)
        self._entries = {entry.begin: entry for entry in entries}
        self._unread = set(self._entries)
        try:
            self._compare(entries)
        except Ambiguous:
            self.close()
            raise

    def _compare(self, entries: list[Entry]) -> None:
        """Raise Ambiguous if Python reads the list differently."""
        read = [
            (i.flag_bits, i.compress_type, i.CRC, i.compress_size, i.file_size, i.header_offset)
            for i in self.infolist()
        ]
        if read != [(e.flags, e.method, e.crc, e.packed, e.unpacked, e.begin) for e in entries]:
            raise Ambiguous(self.start_dir, "a list of files that can be read in two ways")

    def open(
        self,
        name: str | zipfile.ZipInfo,
        mode: Literal["r", "w"] = "r",
        pwd: bytes | None = None,
        *,
        force_zip64: bool = False,
    ) -> IO[bytes]:
        """Return a member's bytes, to be read once.

        Reading raises BadZipFile if the member is damaged, and Ambiguous if it is longer than the
        list says.
        """
        if mode != "r" or pwd or force_zip64 or not self.fp:
            raise ValueError("a package can only be read, and while it is open")
        info = self.getinfo(name) if isinstance(name, str) else name
        entry = self._entries[info.header_offset]
        if entry.flags & ENCRYPTED or entry.method not in METHODS:
            raise NotImplementedError("encrypted, or packed by another method")
        return io.BufferedReader(
            Member(self.fp.fileno(), entry, lambda: self._unread.discard(entry.begin)),
            BUFFER_BYTES,
        )

    def unread(self) -> list[zipfile.ZipInfo]:
        """Return the members that have not been read to their end."""
        return [info for info in self.infolist() if info.header_offset in self._unread]


class Member(io.RawIOBase):
    """The bytes of one member. The list and the packed bytes must agree on their end."""

    def __init__(self, file: int, entry: Entry, when_read: Callable[[], None]) -> None:
        """`when_read` is called after the member was read to its end without an error."""
        super().__init__()
        self._file = os.dup(file)  # a thread may still read when the package is closed
        self._entry, self._when_read = entry, when_read
        self._at, self._end = entry.data, entry.data + entry.packed
        is_deflated = entry.method == zipfile.ZIP_DEFLATED
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if is_deflated else None
        self._count = self._crc = 0
        self._last = b""  # the last bytes, in which a mark may begin
        self._is_over = False

    def close(self) -> None:
        """Close the member."""
        if not self.closed:
            os.close(self._file)
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer. Return their number, 0 at the end."""
        if self._is_over:
            return 0
        data = self._inflated(len(buffer)) if self._inflater else self._packed(len(buffer))
        if not data:
            self._finish()
        self._count += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._count > self._entry.unpacked:
            raise Ambiguous(self._entry.begin, "a file that is longer than the list says")
        if self._entry.is_size_behind and not self._inflater:
            self._refuse_records(data)
        buffer[: len(data)] = data
        return len(data)

    def _packed(self, size: int) -> bytes:
        data = os.pread(self._file, min(size, self._end - self._at), self._at)
        self._at += len(data)
        return data

    def _inflated(self, size: int) -> bytes:
        inflater = self._inflater
        while inflater and not inflater.eof:
            packed = inflater.unconsumed_tail or self._packed(PACKED_AT_ONCE)
            data = inflater.decompress(packed, size)
            if data:
                return data
            if not packed:
                raise zipfile.BadZipFile
        return b""

    def _refuse_records(self, data: bytes) -> None:
        """Raise Ambiguous for bytes that readers of streams take for the member's end."""
        data = self._last + data
        if RECORD.search(data):
            raise Ambiguous(self._entry.begin, "a stored file with the mark of another one in it")
        self._last = data[-(RECORD_BYTES - 1) :]

    def _finish(self) -> None:
        """Raise BadZipFile or Ambiguous unless the member is complete and nothing follows it."""
        behind = self._end - self._at + (len(self._inflater.unused_data) if self._inflater else 0)
        if behind:
            raise Ambiguous(self._end - behind, f"{behind:,} bytes after the end of a file")
        if (self._count, self._crc) != (self._entry.unpacked, self._entry.crc):
            raise zipfile.BadZipFile
        self._is_over = True
        self._when_read()
