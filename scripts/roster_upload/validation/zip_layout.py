"""Refuse a zip in which two readers may find different files.

A zip names its files twice, in a header before each file and in a list at its end. Some readers
trust the list, others read from the beginning. Both must agree here, byte by byte. The files must
follow each other without a gap, then the list, then the end.

The zips of usual tools pass: sizes after a file, zip64, extra fields, padding in them, a comment.
A program before the zip, as in self-extracting archives, does not pass.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roster_upload.spec import spec

LOCAL, LISTED, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END_64, LOCATOR_64, BEHIND = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
LISTED_HEADER = struct.Struct("<4s6H3I5H2I")
END_RECORD = struct.Struct("<4s4H2IH")
END_RECORD_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_RECORD_64 = struct.Struct("<4sIQI")
END_SIZE_64 = END_RECORD_64.size - 12  # as the record itself counts
LONGEST_COMMENT = 0xFFFF
FARTHEST = 2**62
MANY, LARGE = 0xFFFF, 0xFFFF_FFFF  # mark a number that only zip64 can hold
UNKNOWN_64 = 2**64 - 1  # some tools write this for a size that follows the member
SIZE_BEHIND = 0x8  # the member's size follows it
SAME_FLAGS = 0x2049  # of both headers: encrypted, size after the member, strongly encrypted, masked
SIZES_64, UNICODE_NAME = 0x0001, 0x7075  # extra fields that readers obey
UNLISTED = "bytes that belong to no listed file"


class TooLarge(zipfile.BadZipFile):
    """An archive with more members than any package has."""


class Ambiguous(zipfile.BadZipFile):
    """An archive in which two readers may find different files."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"at byte {offset:,}: {why}")


@dataclass(frozen=True)
class Entry:
    """A member by the list. `begin` is the offset of its header, `data` that of its bytes."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    begin: int
    data: int = 0

    @property
    def is_size_behind(self) -> bool:
        """Return whether checksum and sizes follow the bytes."""
        return bool(self.flags & SIZE_BEHIND)


def read_layout(file: int) -> list[Entry]:
    """Return the members of an opened zip in the order of its list.

    Raise Ambiguous or TooLarge, or BadZipFile if it is not a zip or is cut off.
    """
    begin, size, count = _find_list(file)
    listed = list(_listed(_read(file, begin, size), begin))
    if len(listed) != count:
        raise Ambiguous(begin, f"a list of {len(listed)} files that says it has {count}")
    entries = [_with_data(file, entry) for entry in listed]
    _refuse_gaps(file, entries, begin)
    return entries


def _some(file: int, at: int, size: int) -> bytes:
    """Return at most `size` bytes. Zip64 has offsets beyond the end of any file."""
    return os.pread(file, size, at) if 0 <= at < FARTHEST else b""


def _read(file: int, at: int, size: int) -> bytes:
    data = _some(file, at, size)
    if len(data) < size:
        raise zipfile.BadZipFile
    return data


# ---- the end ------------------------------------------------------------------------------------


def _find_list(file: int) -> tuple[int, int, int]:
    """Return the list of members: its offset, its bytes and its own count of members."""
    at = _find_end(file)
    _, disk, first, here, count, size, begin, _ = END_RECORD.unpack(
        _read(file, at, END_RECORD.size)
    )
    short = [disk, first, here, count, size, begin]
    marks = [MANY, MANY, MANY, MANY, LARGE, LARGE]
    numbers = short
    if at >= LOCATOR_RECORD_64.size:
        before = at - LOCATOR_RECORD_64.size
        locator = _read(file, before, LOCATOR_RECORD_64.size)
        if locator.startswith(LOCATOR_64):
            at, numbers = _end_64(file, before, locator)
    if any(a not in (b, mark) for a, b, mark in zip(short, numbers, marks, strict=True)):
        raise Ambiguous(at, "two ends of the archive that differ")
    disk, first, here, count, size, begin = numbers
    if disk or first or here != count:
        raise Ambiguous(at, "an archive in several parts")
    if size > spec("limits")["directory_bytes"]:
        raise TooLarge
    if begin + size != at:
        is_list_there = _some(file, begin, len(LISTED)) == LISTED
        raise Ambiguous(begin + size if is_list_there else 0, UNLISTED)
    return begin, size, count


def _find_end(file: int) -> int:
    """Return the offset of the archive's end record. Only NULs may follow the record."""
    size = os.fstat(file).st_size
    start = max(size - END_RECORD.size - LONGEST_COMMENT, 0)
    tail = _read(file, start, size - start)
    at = tail.rfind(END, 0, max(len(tail) - END_RECORD.size + len(END), 0))
    if at < 0:
        raise zipfile.BadZipFile
    behind = at + END_RECORD.size + END_RECORD.unpack_from(tail, at)[-1]
    if behind > len(tail):
        raise zipfile.BadZipFile  # cut off
    if tail[behind:].strip(b"\0"):  # tar pads what it writes into a pipe
        raise Ambiguous(start + behind, UNLISTED)
    return start + at


def _end_64(file: int, at: int, locator: bytes) -> tuple[int, list[int]]:
    """Return the offset and the numbers of zip64's end record. Its locator is at offset `at`."""
    _, disk, begin, disks = LOCATOR_RECORD_64.unpack(locator)
    expected = at - END_RECORD_64.size
    record = _read(file, expected, END_RECORD_64.size)
    mark, size, _, _, *numbers = END_RECORD_64.unpack(record)
    if (mark, size, begin) != (END_64, END_SIZE_64, expected) or disk or disks > 1:
        raise Ambiguous(at, "an end in zip64 that is not where it should be")
    return expected, numbers


# ---- the members --------------------------------------------------------------------------------


def _listed(data: bytes, begin: int) -> Iterator[Entry]:
    """Yield the members of a list. `begin` is the list's offset."""
    at = 0
    while at < len(data):
        where = begin + at
        if len(data) - at < LISTED_HEADER.size:
            raise Ambiguous(where, UNLISTED)
        mark, _, _, flags, method, _, _, crc, packed, unpacked, *lengths, disk, _, _, offset = (
            LISTED_HEADER.unpack_from(data, at)
        )
        at += LISTED_HEADER.size
        name_end, extra_end, comment_end = (at + sum(lengths[:n]) for n in (1, 2, 3))
        if mark != LISTED or comment_end > len(data):
            raise Ambiguous(where, UNLISTED)
        name = data[at:name_end]
        fields = _extra_fields(data[name_end:extra_end], where)
        _refuse_other_names(name, fields, where)
        unpacked, packed, offset = _sizes([unpacked, packed, offset], fields, where)
        if disk:
            raise Ambiguous(where, "an archive in several parts")
        yield Entry(name, flags, method, crc, packed, unpacked, offset)
        at = comment_end


def _with_data(file: int, entry: Entry) -> Entry:
    """Return a member with the offset of its bytes. Its header must agree with the list."""
    at = entry.begin
    mark, _, flags, method, _, _, crc, packed, unpacked, *lengths = LOCAL_HEADER.unpack(
        _read(file, at, LOCAL_HEADER.size)
    )
    if mark != LOCAL:
        raise Ambiguous(at, "a listed file that is not there")
    rest = _read(file, at + LOCAL_HEADER.size, sum(lengths))
    name, extra = rest[: lengths[0]], rest[lengths[0] :]
    fields = _extra_fields(extra, at)
    _refuse_other_names(name, fields, at)
    unpacked, packed = _sizes([unpacked, packed], fields, at)
    found = (crc, packed, unpacked)
    wanted = (entry.crc, entry.packed, entry.unpacked)
    if entry.is_size_behind:
        is_same = all(a in (0, UNKNOWN_64, b) for a, b in zip(found, wanted, strict=True))
    else:
        is_same = found == wanted
    for what, differs in (
        ("name", name != entry.name),
        ("method", method != entry.method),
        ("flags", (flags ^ entry.flags) & SAME_FLAGS),
        ("checksum or size", not is_same),
    ):
        if differs:
            raise Ambiguous(at, f"a file whose {what} differs from the list")
    data = at + LOCAL_HEADER.size + len(rest)
    return dataclasses.replace(entry, data=data)


def _extra_fields(extra: bytes, at: int) -> dict[int, bytes]:
    """Return the extra fields of a header. Fewer than four bytes at their end are padding."""
    fields: dict[int, bytes] = {}
    while len(extra) >= 4:  # a field's kind and size
        kind, size = struct.unpack_from("<2H", extra)
        if size > len(extra) - 4 or (kind in fields and kind in (SIZES_64, UNICODE_NAME)):
            raise Ambiguous(at, "a header whose extra fields are damaged")
        fields[kind] = extra[4 : 4 + size]
        extra = extra[4 + size :]
    return fields


def _sizes(numbers: Sequence[int], fields: dict[int, bytes], at: int) -> list[int]:
    """Return the sizes of a header. Zip64 replaces those that are too large for it.

    Numbers that zip64 repeats must be the same.
    """
    extra = fields.get(SIZES_64, b"")
    values = iter(struct.unpack_from(f"<{len(extra) // 8}Q", extra))
    sizes = [next(values, number) if number == LARGE else number for number in numbers]
    again = [number for number in numbers if number != LARGE]
    if any(value != (again.pop(0) if again else None) for value in values):
        raise Ambiguous(at, "a file with two sizes or offsets")
    return sizes


def _refuse_other_names(name: bytes, fields: dict[int, bytes], at: int) -> None:
    """Raise Ambiguous for a name with NUL, or for a different second name.

    Tools add a second name to one that is not ASCII. No format has such a file.
    """
    second = fields.get(UNICODE_NAME, b"")[5:]  # behind its version and checksum
    if b"\0" in name or (second.isascii() and second not in (b"", name)):
        raise Ambiguous(at, "a file with two names")


# ---- between the members ------------------------------------------------------------------------


def _refuse_gaps(file: int, entries: Sequence[Entry], end: int) -> None:
    """Raise Ambiguous unless the members fill all bytes before `end`, each once."""
    ordered = sorted(entries, key=lambda entry: entry.begin)
    at = 0
    for entry, behind in zip(ordered, [*(e.begin for e in ordered[1:]), end], strict=True):
        if entry.begin != at:
            raise Ambiguous(min(at, entry.begin), UNLISTED if entry.begin > at else "files overlap")
        at = entry.data + entry.packed
        if entry.is_size_behind:
            at += _length_behind(file, entry, at, behind)
    if at != end:
        raise Ambiguous(min(at, end), UNLISTED if at < end else "files overlap")


def _length_behind(file: int, entry: Entry, at: int, next_begin: int) -> int:
    """Return the length of the checksum and sizes after a member."""
    sizes = (entry.packed, entry.unpacked)
    forms = [
        mark + struct.pack(form, entry.crc, *(size & most for size in sizes))
        for form, most in (("<3I", LARGE), ("<I2Q", UNKNOWN_64))
        for mark in (b"", BEHIND)
    ]
    found = _some(file, at, max(min(next_begin - at, max(map(len, forms))), 0))
    if found not in forms:
        raise Ambiguous(at, "a file whose size after it differs from the list")
    return len(found)
