"""A zip has one reading, by its list and from its beginning. Otherwise it is refused."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.package.source import Source, Unusable
from roster_upload.spec import spec
from roster_upload.validation import archive
from roster_upload.validation.zip_layout import Ambiguous, TooLarge
from roster_upload.validation.zip_package import ZipPackage
from support import rosters, share

TOOLS = sorted(Path(__file__).with_name("zips").glob("*.zip"))
Members = dict[str, bytes]
GOOD: Members = {"users.csv": b"sourcedId\r\n" + b"1\r\n" * 99, "orgs.csv": b"sourcedId\r\n2\r\n"}
EVIL: Members = {"users.csv": b"sourcedId\r\nhidden\r\n"}
LISTED, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


class Pipe(io.RawIOBase):
    """A stream without seeking, so that sizes come after the members."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += data  # type: ignore[arg-type]
        return len(data)  # type: ignore[arg-type]


def packed(
    members: Members = GOOD,
    method: int = zipfile.ZIP_DEFLATED,
    *,
    piped: bool = False,
    large: bool = False,
    comment: bytes = b"",
) -> bytes:
    """Return a zip as Python writes it."""
    out = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as package:
        for name, content in members.items():
            info = rosters.member(name)
            info.compress_type = method
            with package.open(info, "w", force_zip64=large) as member:
                member.write(content)
        package.comment = comment
    return bytes(out.data) if isinstance(out, Pipe) else out.getvalue()


def contents(path: Path) -> Members:
    """Return the program's reading, by the list."""
    with ZipPackage(path) as package:
        found = {info.filename: package.open(info).read() for info in package.infolist()}
        assert package.unread() == []
    return found


def streamed(data: bytes) -> Members:
    """Return the finding of a reader that starts at the beginning and reads no list."""
    found, at = {}, 0
    while data[at : at + 4] == LOCAL:
        flags, method, size, length, more = struct.unpack_from("<6x2H8xI4x2H", data, at)
        name = data[at + 30 : at + 30 + length].decode()
        extra = data[at + 30 + length : at + 30 + length + more]
        at += 30 + length + more
        if method == zipfile.ZIP_DEFLATED:
            inflater = zlib.decompressobj(-15)
            found[name] = inflater.decompress(data[at:])
            at = len(data) - len(inflater.unused_data)
        else:
            size = struct.unpack_from("<Q", extra, 12)[0] if size == 0xFFFFFFFF else size
            end = data.index(b"PK\x07\x08", at) if flags & 8 else at + size
            found[name] = data[at:end]
            at = end
        if flags & 8:
            at = min(place for mark in (LOCAL, LISTED) if (place := data.find(mark, at)) >= 0)
    return found


# ---- what tools write ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_what_tools_write_is_read(path: Path) -> None:
    with zipfile.ZipFile(path) as package:
        expected = {name: package.read(name) for name in package.namelist()}
    assert contents(path) == expected
    assert len(expected) >= 1
    assert len(archive.content_digest(path)) == 64


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize("large", [True, False])
def test_what_python_writes_is_read(tmp_path: Path, method: int, piped: bool, large: bool) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed(method=method, piped=piped, large=large, comment=b"of the SIS"))
    assert contents(path) == GOOD == streamed(path.read_bytes())


def padded(data: bytes) -> bytes:
    """Return a zip whose first file is aligned by zeros in its header, as zipalign writes it."""
    out = bytearray(data)
    length = struct.unpack_from("<H", out, 26)[0]
    out[28:30] = struct.pack("<H", 7)
    out[30 + length : 30 + length] = bytes(7)
    second = out.find(LISTED, out.find(LISTED) + 4)
    out[second + 42 : second + 46] = struct.pack("<I", out.find(LOCAL, 4))
    begin = struct.unpack_from("<I", out, len(out) - 6)[0]
    out[-6:-2] = struct.pack("<I", begin + 7)
    return bytes(out)


def test_padding_in_a_header_and_behind_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for data in (padded(packed()), packed() + bytes(5000)):
        path.write_bytes(data)
        assert contents(path) == GOOD


# ---- what may be read in two ways ---------------------------------------------------------------


def patched(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """Return a zip with other bytes after the first of a mark."""
    at = data.find(mark) + offset
    return data[:at] + value + data[at + len(value) :]


def moved(data: bytes, by: int) -> bytes:
    """Return a zip whose numbers count from so many bytes before it, as archivers repair them."""
    out, at = bytearray(data), data.find(LISTED)
    while at >= 0:
        (place,) = struct.unpack_from("<I", out, at + 42)
        struct.pack_into("<I", out, at + 42, place + by)
        at = data.find(LISTED, at + 4)
    end = data.rfind(END)
    struct.pack_into("<I", out, end + 16, struct.unpack_from("<I", out, end + 16)[0] + by)
    return bytes(out)


def between() -> bytes:
    """A file between two listed ones."""
    data, hidden = packed(), packed(EVIL)
    hidden = hidden[: hidden.find(LISTED)]
    second = data.find(LOCAL, 4)
    out = bytearray(data[:second] + hidden + data[second:])
    entry = out.find(LISTED, out.rfind(LISTED) - 1)
    struct.pack_into("<I", out, entry + 42, second + len(hidden))
    struct.pack_into("<I", out, len(out) - 6, data.find(LISTED) + len(hidden))
    return bytes(out)


def behind_the_last() -> bytes:
    """A file between the last listed one and the list."""
    data, hidden = packed(), packed(EVIL)
    hidden = hidden[: hidden.find(LISTED)]
    at = data.find(LISTED)
    out = bytearray(data[:at] + hidden + data[at:])
    struct.pack_into("<I", out, len(out) - 6, at + len(hidden))
    return bytes(out)


def unlisted() -> bytes:
    """A first file that is not in the list."""
    data = packed({**EVIL, "orgs.csv": b"x"})
    first, second = data.find(LISTED), data.rfind(LISTED)
    out = bytearray(data[:first] + data[second:])
    end = out.rfind(END)
    struct.pack_into("<2HI", out, end + 8, 1, 1, end - first)
    return bytes(out)


def twice_the_same() -> bytes:
    """A file that is in the list twice."""
    data = packed()
    first, second, end = data.find(LISTED), data.rfind(LISTED), data.rfind(END)
    out = bytearray(data[:end] + data[first:second] + data[end:])
    size = end - first + second - first
    struct.pack_into("<2HI", out, end + second - first + 8, 3, 3, size)
    return bytes(out)


def within(*, piped: bool) -> bytes:
    """A file after the packed bytes of another one, and within its size."""
    data, hidden = packed({"orgs.csv": b"x" * 99}, piped=piped), packed(EVIL)
    hidden = hidden[: hidden.find(LISTED)]
    listed = data.find(LISTED)
    (size,) = struct.unpack_from("<I", data, listed + 20)
    at = 38 + size
    new = struct.pack("<I", size + len(hidden))
    out = bytearray(data[:at] + hidden + data[at:])
    end = out.rfind(END)
    begin = listed + len(hidden)
    struct.pack_into("<I", out, end + 16, begin)
    out[begin + 20 : begin + 24] = new
    if piped:
        out[begin - 8 : begin - 4] = new
    else:
        out[18:22] = new
    return bytes(out)


def longer() -> bytes:
    """A file of which the list has the beginning, with the beginning's checksum."""
    text = b"sourcedId\r\n1\r\n2\r\n3\r\n"
    data = packed({"orgs.csv": text})
    new = struct.pack("<I", zlib.crc32(text[:14]))
    for mark, place in ((LOCAL, 14), (LISTED, 16)):
        data = patched(data, mark, place, new)
        data = patched(data, mark, place + 8, struct.pack("<I", 14))
    return data


def stored_with_a_record() -> bytes:
    """A stored file whose size follows it, and whose content looks like its end."""
    hidden = packed(EVIL, zipfile.ZIP_STORED)
    text = b"x" + b"PK\x07\x08" + struct.pack("<3I", zlib.crc32(b"x"), 1, 1) + hidden
    return packed({"notes.bin": text}, zipfile.ZIP_STORED, piped=True)


def in_the_comment() -> bytes:
    """A second archive in the first one's comment, which ends with an end of its own."""
    first = packed()
    second = moved(packed(EVIL), len(first))
    return first[:-2] + struct.pack("<H", len(second)) + second


def two_ends_of_zip64() -> bytes:
    """An end in zip64 that leads to another list than the plain end does."""
    evil = packed(EVIL)
    evil = evil[: evil.rfind(END)]
    good = moved(packed(), len(evil))
    end = good.rfind(END)
    list_64 = len(evil) + end
    record = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(evil) - evil.find(LISTED),
        evil.find(LISTED),
    )  # fmt: skip
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, list_64, 1)
    return evil + good[:end] + record + locator + good[end:]


def with_extra(kind: int, content: bytes, *, listed: bool) -> bytes:
    """A file with an extra field, in its header or in the list."""
    data = packed({"notes.txt": b"x"})
    field = struct.pack("<2H", kind, len(content)) + content
    mark, place, length = (LISTED, 30, 46 + 9) if listed else (LOCAL, 28, 30 + 9)
    at = data.find(mark)
    out = bytearray(data[: at + length] + field + data[at + length :])
    struct.pack_into("<H", out, at + place, len(field))
    end = out.rfind(END)
    where = end + 12 if listed else end + 16
    struct.pack_into("<I", out, where, struct.unpack_from("<I", out, where)[0] + len(field))
    return bytes(out)


SECOND_NAME = b"\x01" + struct.pack("<I", zlib.crc32(b"notes.txt")) + b"users.csv"
AMBIGUOUS: dict[str, tuple[Callable[[], bytes], str]] = {
    "two one after the other": (lambda: packed(EVIL) + packed(), "at byte 0: bytes that belong"),
    "two, mended": (lambda: (e := packed(EVIL)) + moved(packed(), len(e)), "at byte 0: bytes"),
    "the hidden one behind": (lambda: packed() + packed(EVIL), "at byte 0: bytes"),
    "a program before it": (lambda: b"#!/bin/sh\n" + moved(packed(), 10), "at byte 0: bytes"),
    "bytes behind it": (lambda: packed() + b"x", f"at byte {len(packed()):,}: bytes"),
    "between two files": (between, f"at byte {packed().find(LOCAL, 4):,}: bytes"),
    "behind the last file": (behind_the_last, f"at byte {packed().find(LISTED):,}: bytes"),
    "before the list": (unlisted, "at byte 0: bytes"),
    "a file twice in the list": (twice_the_same, "at byte 0: files overlap"),
    "behind packed bytes": (lambda: within(piped=False), "after the end of a file"),
    "behind packed bytes in a pipe": (lambda: within(piped=True), "after the end of a file"),
    "more than the list says": (longer, "longer than the list says"),
    "a stored file with a record": (stored_with_a_record, "the mark of another one"),
    "a record between two reads": (
        lambda: packed({"a": b"x" * 65_534 + b"PK\x07\x08"}, zipfile.ZIP_STORED, piped=True),
        "the mark of another one",
    ),
    "a comment with an end": (in_the_comment, "bytes that belong"),
    "zip64 leads elsewhere": (two_ends_of_zip64, "two ends of the archive that differ"),
    "another name": (lambda: patched(packed(), LOCAL, 30, b"USERS"), "byte 0: a file whose name"),
    "another method": (lambda: patched(packed(), LOCAL, 8, b"\0\0"), "whose method"),
    "another flag": (lambda: patched(packed(), LOCAL, 6, b"\x08\0"), "whose flags"),
    "another flag in the list": (lambda: patched(packed(), LISTED, 8, b"\x08\0"), "whose flags"),
    "another checksum": (lambda: patched(packed(), LOCAL, 14, b"\1"), "whose checksum or size"),
    "another size": (lambda: patched(packed(), LOCAL, 18, b"\1"), "whose checksum or size"),
    "another full size": (lambda: patched(packed(), LOCAL, 22, b"\1"), "whose checksum or size"),
    "another size behind": (
        lambda: patched(packed(piped=True), b"PK\x07\x08", 8, b"\1"), "whose size after it",
    ),
    "no size behind": (
        lambda: patched(patched(packed(), LOCAL, 6, b"\x08"), LISTED, 8, b"\x08"),
        "whose size after it",
    ),
    "no header there": (lambda: patched(packed(), LOCAL, 0, b"PK\x03\x05"), "that is not there"),
    "a name of two ends": (
        lambda: packed({"users.csv.bin": b"x"}).replace(b"users.csv.bin", b"users.csv\0bin"),
        "two names",
    ),
    "a second name": (lambda: with_extra(0x7075, SECOND_NAME, listed=False), "two names"),
    "a second name in the list": (lambda: with_extra(0x7075, SECOND_NAME, listed=True), "names"),
    "second sizes": (lambda: with_extra(1, bytes(16), listed=False), "two sizes or offsets"),
    "second sizes in the list": (lambda: with_extra(1, bytes(16), listed=True), "two sizes"),
    "a cut field": (
        lambda: with_extra(9, b"", listed=False).replace(b"\x09\0\0\0", b"\x09\0\x09\0", 1),
        "extra fields",
    ),
    "fewer than it says": (lambda: patched(packed(), END, 8, b"\3\0\3\0"), "a list of 2 files"),
    "another disk": (lambda: patched(packed(), END, 4, b"\1"), "in several parts"),
    "another disk in the list": (lambda: patched(packed(), LISTED, 34, b"\1"), "in several parts"),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_may_be_read_in_two_ways_is_refused(tmp_path: Path, name: str) -> None:
    make, told = AMBIGUOUS[name]
    path = tmp_path / "a.zip"
    path.write_bytes(make())
    with pytest.raises(Ambiguous, match=told):
        contents(path)


def test_any_zip_that_is_read_has_one_reading(tmp_path: Path) -> None:
    """Zips are cut up, put together and given other numbers. Few can be read, none in two ways."""
    path, read = tmp_path / "a.zip", 0
    for seed in range(share.of(3000)):
        chance = random.Random(seed)  # noqa: S311 - no secret
        members = {f"{n}.csv": chance.randbytes(chance.randint(0, 40)) for n in range(3)}
        method = chance.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
        zips = [packed(members, method, piped=chance.random() < 0.5), packed(EVIL)]
        data = bytearray(chance.choice([zips[0], zips[0], b"".join(chance.sample(zips, 2))]))
        for _ in range(chance.randint(0, 2)):
            mark = chance.choice([LISTED, LOCAL, END])
            at = data.find(mark) + 4 + chance.randrange(42)
            if at < len(data):
                data[at] = chance.choice([0, 1, 8, data[at] ^ 1, 255])
        path.write_bytes(data)
        try:
            found = contents(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, zlib.error):
            continue
        read += 1
        assert found == streamed(bytes(data)), seed
    assert read > share.of(3000) / 10


# ---- no zip at all ------------------------------------------------------------------------------


def test_what_is_cut_off_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    data = packed(comment=b"0123456789")
    for length in (0, 3, 21, 100, len(data) - 33, len(data) - 22, len(data) - 3):
        path.write_bytes(data[:length])
        with pytest.raises(zipfile.BadZipFile) as failed:
            contents(path)
        assert not isinstance(failed.value, Ambiguous)


def test_a_long_list_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed())
    size = len(packed()) - packed().find(LISTED) - 22
    monkeypatch.setitem(spec("limits"), "directory_bytes", size)
    assert contents(path) == GOOD
    monkeypatch.setitem(spec("limits"), "directory_bytes", size - 1)
    with pytest.raises(TooLarge):
        contents(path)
    assert archive.content_digest(path) == ""
    with pytest.raises(Unusable):
        Source(path)
